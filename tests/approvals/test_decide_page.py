"""The form of a decision: who is let in, what each refusal shows, what an edit does, and text that tries to deceive."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.test import Client

from agentops.accounts.models import Membership, Role
from agentops.audit.models import Entry
from approvals import services
from approvals.models import Action, Approval, Policy
from approvals.tasks import expire
from tests.approvals.builders import decide, fresh, make_policy, propose
from tests.approvals.form import send, words_of
from tests.builders import bearer, make_key, make_membership, signed_in

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "properties": {
        "order_id": {"type": "integer", "description": "The order's number"},
        "amount": {"type": "number"},
        "reason": {"type": "string"},
        "method": {"enum": ["card", "voucher"]},
        "notify": {"type": "boolean"},
        "tags": {"type": "array"},
    },
    "required": ["order_id", "amount", "reason"],
    "additionalProperties": False,
}
ARGUMENTS = {"order_id": 1001, "amount": 40, "reason": "late", "method": "card", "notify": True}
SENT = {"order_id": "1001", "amount": "40", "reason": "late", "method": '"card"', "notify": "true", "tags": ""}


def with_schema(member: Membership, **more: Any) -> Approval:
    tool = services.ToolFacts(definition_hash="1", schema=SCHEMA)
    return propose(member.project, tool=tool, **{"arguments": ARGUMENTS, **more})


def edited(approval: Approval, **fields: str) -> dict[str, str]:
    return {"edit": "fields", **{f"argument:{name}": text for name, text in {**SENT, **fields}.items()}}


def test_a_decision_leads_back_to_the_page(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    answer = send(client, approval, "reject", comment="ask first")
    assert (answer.status_code, answer["Location"]) == (302, approval.get_absolute_url())
    content = words_of(client.get(answer["Location"]))
    assert "ask first" in content
    assert "did not run" in content
    as_json = send(client, propose(member.project), accept="application/json")
    assert (as_json.status_code, as_json.json()["decided_by"]) == (200, "Ines Duarte")  # type: ignore[attr-defined]


def test_the_same_decision_sent_a_hundred_times_is_one_decision(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    answers = [send(client, approval, accept="application/json").status_code for _ in range(100)]
    assert answers == [200, *[409] * 99]
    assert Entry.objects.filter(action="approval.approved").count() == 1


def test_who_lost_the_race_reads_who_won_and_when(client: Client, member: Membership, other: Membership) -> None:
    approval = propose(member.project)
    decide(approval, other, "reject", comment="not without the return")
    answer = send(client, approval)
    content = words_of(answer)
    assert answer.status_code == 409
    assert "Tomas Reyes rejected this at" in content
    assert "Your decision was not counted." in content
    assert "not without the return" in content
    assert 'name="decision"' not in content


def test_the_digest_of_another_action_or_an_older_look_is_stale(
    client: Client, member: Membership, other: Membership
) -> None:
    approval, another = propose(member.project), propose(member.project)
    for digest in (another.digest, "", "0" * 64):
        assert send(client, approval, digest=digest).status_code == 412
    decide(approval, other, arguments={"order_id": 1001, "amount": "4000.00 USD"})
    answer = send(client, approval, comment="I have looked")
    content = words_of(answer)
    assert answer.status_code == 412
    assert "4000.00 USD" in content  # as it is now
    assert fresh(approval).digest in content
    assert "I have looked" in content
    assert fresh(approval).status == "pending"


def test_whoever_had_a_part_in_it_is_refused_and_reads_who_may(member: Membership, other: Membership) -> None:
    """Neither requester, starter of the run, owner of the key, editor of arguments nor recent editor of the policy."""
    editor = make_membership(member.project, Role.APPROVER)
    policy = make_policy(member.project, "other_tool")
    Policy.objects.filter(pk=policy.pk).update(edited_by=member.user)
    key = make_key(member.project, by=member.user).key
    changed = propose(member.project)
    decide(changed, member, arguments={"order_id": 7})
    cases = {
        "You asked for this,": propose(member.project, requester=member.user),
        "You started the run": propose(member.project, requester=member.user, run_id=uuid4()),
        "You asked for this by API key": propose(member.project, requester=member.user, key=key),
        "You edited the arguments": fresh(changed),
        "You changed the policy in the last 24 hours": propose(member.project, tool_name="other_tool"),
    }
    for why, approval in cases.items():
        answer = send(signed_in(member), approval)
        content = words_of(answer)
        assert answer.status_code == 403
        assert why in content
        assert f"Tomas Reyes, {editor.user} may decide." in content
        assert fresh(approval).status == "pending"
        assert send(signed_in(other), approval).status_code == 302


def test_what_expired_is_refused_whatever_a_clock_at_the_browser_says(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    Approval.objects.update(expires_at=Now() - timedelta(milliseconds=1))
    for end in (lambda: None, expire):
        end()
        answer = send(client, approval)
        assert answer.status_code == 409
        assert "It expired" in words_of(answer)
        assert 'name="decision"' not in words_of(answer)
    assert fresh(approval).status == "expired"


def test_an_api_key_never_decides(member: Membership) -> None:
    """An agent that calls the page with its own key, or with the key of an approver, is sent away."""
    approval = propose(member.project)
    token = make_key(member.project, by=member.user).token
    for browser in (Client(), signed_in(member)):
        for headers in (bearer(token), {"X-Api-Key": token}):
            answer = browser.post(
                f"{approval.get_absolute_url()}/decide",
                {"decision": "approve", "digest": approval.digest},
                headers=headers,
            )
            assert answer.status_code == 403
            assert browser.get(approval.get_absolute_url(), headers=headers).status_code == 403
    assert fresh(approval).status == "pending"


def test_a_form_of_another_site_decides_nothing(member: Membership) -> None:
    approval = propose(member.project)
    browser = signed_in(member, Client(enforce_csrf_checks=True))
    assert send(browser, approval).status_code == 403
    assert fresh(approval).status == "pending"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"decision": "allow"}, "one of approve, reject, answer"),
        ({"decision": "answer", "comment": " "}, "an answer says something"),
        ({"arguments": "[1]"}, "must be a JSON object"),
        ({"arguments": '{"a": 1, "a": 2}'}, "a name stands twice in it"),
        ({"arguments": "{" * 5_000}, "must be a JSON object"),
        ({"arguments": '{"a": NaN}'}, "finite numbers"),
        ({"arguments": json.dumps({"note": "\n" * 300})}, "at most 200 lines"),
    ],
)
def test_what_cannot_be_understood_is_said_and_changes_nothing(
    client: Client, member: Membership, other: Membership, fields: dict[str, str], said: str
) -> None:
    approval = propose(member.project)
    before = list(Action.objects.values())
    answer = send(client, approval, **{"comment": "my words", **fields})
    assert answer.status_code == 400
    assert said in words_of(answer)
    assert "comment" in fields or "my words" in words_of(answer)
    assert (fresh(approval).status, list(Action.objects.values())) == ("pending", before)
    document = send(client, approval, accept="application/json", **fields)
    assert (document.status_code, len(document.json()["errors"])) == (400, 1)  # type: ignore[attr-defined]


def test_the_edit_form_has_a_field_for_each_argument_of_the_schema(client: Client, member: Membership) -> None:
    content = words_of(client.get(f"{with_schema(member).get_absolute_url()}?edit=1"))
    for words in (
        '<input type="number" id="field-1" name="argument:amount" value="40" step="any" required>',
        'name="argument:order_id" value="1001" step="1"',
        '<option value="&quot;card&quot;" selected>',
        '<option value="true" selected>yes</option>',
        'name="argument:tags" rows="4"',
        "The order&#x27;s number",
        '<details class="region edit" id="edit" open>',
    ):
        assert words in content


def test_an_edit_gets_a_new_digest_and_waits_for_somebody_else(
    client: Client, member: Membership, other: Membership
) -> None:
    approval = with_schema(member)
    assert send(client, approval, **edited(approval, amount="20.5", tags='["a"]', notify="")).status_code == 302
    action = fresh(approval).action
    assert action.parsed_arguments == {
        "order_id": 1001, "amount": 20.5, "reason": "late", "method": "card", "tags": ["a"]
    }  # fmt: skip
    content = words_of(client.get(approval.get_absolute_url()))
    assert "What Ines Duarte changed" in content
    assert "You edited the arguments" in content
    assert send(signed_in(other), fresh(approval)).status_code == 302
    assert "approved" in words_of(client.get(approval.get_absolute_url()))


def test_an_edit_that_changes_nothing_approves_nothing(client: Client, member: Membership, other: Membership) -> None:
    approval = with_schema(member)
    answer = send(client, approval, **edited(approval))
    assert answer.status_code == 400
    assert "nothing is changed in them" in words_of(answer)
    same = send(client, approval, edit="json", arguments=json.dumps(ARGUMENTS))
    assert (same.status_code, fresh(approval).status) == (400, "pending")


def test_an_edit_that_the_tool_does_not_take_keeps_what_was_written(
    client: Client, member: Membership, other: Membership
) -> None:
    approval = with_schema(member)
    answer = send(client, approval, **edited(approval, order_id="12.5", reason="I wrote this"))
    content = words_of(answer)
    assert answer.status_code == 400
    assert "order_id: 12.5 is not of type" in content
    assert 'value="I wrote this"' in content
    assert 'value="12.5"' in content
    assert fresh(approval).action.parsed_arguments == ARGUMENTS


def test_an_edit_of_one_into_true_is_a_change(client: Client, member: Membership, other: Membership) -> None:
    approval = propose(member.project, arguments={"force": 1})
    assert send(client, approval, arguments='{"force": true}').status_code == 302
    assert fresh(approval).action.arguments == '{"force":true}'


def test_an_edit_that_nobody_else_could_approve_is_not_offered(client: Client, member: Membership) -> None:
    approval = with_schema(member)
    assert "Nobody else in this project could approve your edit" in words_of(client.get(approval.get_absolute_url()))
    assert send(client, approval, **edited(approval, amount="20")).status_code == 403
    make_policy(member.project, mode="confirm")
    confirmed = with_schema(member)
    assert "Approve with these arguments" in words_of(client.get(confirmed.get_absolute_url()))
    assert send(client, confirmed, **edited(confirmed, amount="20")).status_code == 302
    assert (fresh(confirmed).status, fresh(confirmed).action.parsed_arguments["amount"]) == ("approved", 20)
