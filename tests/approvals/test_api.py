"""The gate's API, as an agent with a key meets it: asking, reading, withdrawing, and what it refuses."""

import json
from typing import Any
from uuid import uuid4

import pytest

from agentops.accounts.models import Role
from approvals.api_fields import ApprovalOut, BriefOut, ProposalIn
from approvals.models import Action, Approval
from approvals.wire import brief, full
from tests.approvals.agent import PROPOSAL, Agent
from tests.approvals.builders import decide, fresh, make_policy, propose
from tests.builders import make_membership, make_project, signed_in
from traces.models import Trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Agent:
    return Agent()


def row(answer: Any) -> Approval:
    return Approval.objects.whole().get(pk=answer.json()["id"])


def test_an_agent_asks_and_is_told_what_it_needs_to_wait(agent: Agent) -> None:
    answer = agent.ask(trace_id="run 7", session_id="s-1", reason="The customer is angry.", expires_in_s=60)
    assert answer.status_code == 201
    said = answer.json()
    assert {"status": "pending", "action_status": "proposed", "tier": "high", "policy": None}.items() <= said.items()
    assert (said["arguments"], len(said["digest"]), said["agent"]) == (PROPOSAL["arguments"], 64, "desk")
    assert said["url"].endswith(f"/approvals/{said['id']}")
    assert "callback_secret" not in said
    action = row(answer).action
    assert (action.requester, action.key) == (agent.key.key.created_by, agent.key.key)
    assert (action.external_trace_id, action.session_id, action.reason) == ("run 7", "s-1", "The customer is angry.")
    assert said["trace_id"] == action.trace_id.hex


def test_a_trace_is_named_as_it_is_for_ingest(agent: Agent) -> None:
    name = "8C5C6E0F-5d2a-4d3a-9a2b-2f0b7d6f4a11"
    action = row(agent.ask(trace_id=name)).action
    assert (action.trace_id.hex, action.external_trace_id) == (name.replace("-", "").lower(), None)
    assert row(agent.ask()).action.trace_id is None


def test_what_needs_no_person_is_answered_at_once(agent: Agent) -> None:
    policy = make_policy(agent.project, "get_*", "low")
    said = agent.ask(tool_name="get_order").json()
    assert (said["status"], said["tier"], said["policy"]) == ("approved", "low", policy.name)
    assert said["decided_by"] is None


def test_a_stopped_trace_and_a_project_without_an_approver_are_denied_with_the_reason() -> None:
    lonely = Agent(make_project())
    said = lonely.ask().json()
    assert (said["status"], said["comment"]) == ("denied", "nobody in this project may approve it")
    agent = Agent()
    asked = row(agent.ask(trace_id="t"))
    trace = Trace.objects.create(project=agent.project, trace_id=asked.action.trace_id, trace_day="2026-03-16")
    Trace.objects.filter(pk=trace.pk).update(stopped_at="2026-03-16T12:00:00Z")
    denied = agent.ask(trace_id="t").json()
    assert denied["status"] == "denied"
    assert "stopped" in denied["comment"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"tool_name": ""}, "/tool_name"),
        ({"tool_name": "x" * 201}, "/tool_name"),
        ({"tool_name": 7}, "/tool_name"),
        ({"tool_name": "a\x00b"}, "/tool_name"),
        ({"tool_name": None}, "/tool_name"),
        ({"arguments": None}, "/arguments"),
        ({"arguments": "{}"}, "/arguments"),
        ({"arguments": [1]}, "/arguments"),
        ({"arguments": {"n": 2**60}}, "/arguments"),
        ({"arguments": {"x": "y\n" * 300}}, "/arguments"),
        ({"arguments": {"x": "y" * 40_000}}, "/arguments"),
        ({"trace_id": "x" * 201}, "/trace_id"),
        ({"trace_id": {"a": 1}}, "/trace_id"),
        ({"session_id": "x" * 201}, "/session_id"),
        ({"agent": ["a"]}, "/agent"),
        ({"reason": "x" * 2_001}, "/reason"),
        ({"expires_in_s": 0}, "/expires_in_s"),
        ({"expires_in_s": 7 * 24 * 3_600 + 1}, "/expires_in_s"),
        ({"expires_in_s": "soon"}, "/expires_in_s"),
        ({"expires_in_s": True}, "/expires_in_s"),
        ({"callback_url": "http://example.com/"}, "/callback_url"),
        ({"callback_url": "https://127.0.0.1/"}, "/callback_url"),
        ({"callback_url": "https://u:p@example.com/"}, "/callback_url"),
        ({"callback_url": 1}, "/callback_url"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_fault_is_named_by_its_place(agent: Agent, more: dict[str, Any], pointer: str) -> None:
    answer = agent.ask(**more)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert not Action.objects.exists()


DEEP = b'{"tool_name": "t", "arguments": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe{}",
        b'{"tool_name": "a", "tool_name": "b", "arguments": {}}',
        b'{"tool_name": "a", "arguments": {"to": "me", "to": "you"}}',
        b'{"tool_name": "a", "arguments": {"n": NaN}}',
        b'{"tool_name": "a", "arguments": {"n": 1e999}}',
        b'{"tool_name": "a", "arguments": {"x": "\\ud800"}}',
        b'{"tool_name": "a", "arguments": {"\\ud800": 1}}',
        b'{"tool_name": "\\ud800", "arguments": {}}',
        b'{"tool_name": "a", "arguments": {"n": ' + b"9" * 5_000 + b"}}",
        DEEP,
    ],
    ids=lambda value: repr(value[:60]),
)
def test_what_two_readers_could_understand_differently_is_refused(agent: Agent, body: bytes) -> None:
    answer = agent.post("", body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert not Action.objects.exists()


@pytest.mark.parametrize("depth", [100, 300, 600, 900, 1_200])
def test_nesting_is_taken_or_refused_and_never_breaks_the_gate(agent: Agent, depth: int) -> None:
    answer = agent.post("", b'{"tool_name": "t", "arguments": ' + b'{"a":' * depth + b"1" + b"}" * (depth + 1))
    assert answer.status_code in {201, 400}
    if answer.status_code == 201:
        assert agent.get(f"/{answer.json()['id']}").status_code == 200


def test_a_name_is_taken_exactly_as_it_was_sent(agent: Agent) -> None:
    make_policy(agent.project, "get_order", "low")
    said = agent.ask(tool_name="get_order ").json()
    assert (said["tool_name"], said["tier"]) == ("get_order ", "high")


def test_what_an_agent_says_beside_the_question_changes_nothing(agent: Agent) -> None:
    claims = {
        "risk": "low", "tier": "low", "mode": "confirm", "status": "approved", "action_status": "succeeded",
        "approved_by": "me", "decided_by": "me", "decided_at": "2026-03-16T12:00:00Z", "policy": "mine",
        "digest": "0" * 64,
        "id": "00000000-0000-0000-0000-000000000000", "project": "other", "requester": "other", "run_id": "1",
        "is_staff": True, "definition_hash": "x", "schema": {}, "preview": {"title": "read a file"}, "call_id": "1",
    }  # fmt: skip
    assert not set(claims) & set(ProposalIn().fields)
    plain, said = row(agent.ask()), row(agent.ask(**claims))
    for name in ("status", "tier", "mode", "policy_id", "policy_name", "policy_version", "project_id", "decided_at"):
        assert getattr(said, name) == getattr(plain, name), name
    for name in ("status", "requester", "run_id", "call_id", "definition_hash", "schema", "preview", "title"):
        assert getattr(said.action, name) == getattr(plain.action, name), name


def test_the_same_question_under_one_key_is_asked_once(agent: Agent) -> None:
    first, again = agent.ask("k-1"), agent.ask("k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert agent.ask("k-1", tool_name="other").status_code == 422
    assert Approval.objects.count() == 1
    assert agent.ask("k\u00fc").status_code == 400


def test_an_approval_is_read_with_what_was_decided(agent: Agent) -> None:
    approval = row(agent.ask())
    member = make_membership(agent.project, Role.APPROVER)
    decide(approval, member, comment="Only this once.", arguments={"order_id": 1001, "amount": "20.00 USD"})
    other = make_membership(agent.project, Role.APPROVER)
    decide(fresh(approval), other, comment="Well.")
    said = agent.get(f"/{approval.pk}", wait=30).json()
    assert (said["status"], said["decided_by"], said["comment"]) == ("approved", str(other.user), "Well.")
    assert said["arguments"] == {"order_id": 1001, "amount": "20.00 USD"}
    assert said["digest"] == fresh(approval).digest
    assert said["decided_at"]


def test_the_list_is_walked_by_key_and_narrowed(agent: Agent) -> None:
    make_policy(agent.project, "get_order", "low")
    asked = [agent.ask(tool_name="get_order" if i % 2 else "x").json()["id"] for i in range(5)]
    seen, after = [], ""
    while after is not None:
        page = agent.get("", limit=2, after=after).json()
        seen += [one["id"] for one in page["results"]]
        after = page["next"]
    assert seen == asked[::-1]
    assert [one["id"] for one in agent.get("", status="pending").json()["results"]] == asked[::-2]
    assert agent.get("", run="01a20ec2-a6fe-711f-a1d7-f95db803072f").json()["results"] == []
    for query in ({"status": "x"}, {"run": "x"}, {"after": "x"}, {"limit": 201}, {"stauts": "pending"}):
        assert agent.get("", **query).status_code == 400


def test_the_actions_of_a_run_are_listed_by_it(agent: Agent) -> None:
    run = uuid4()
    mine = propose(agent.project, run_id=run)
    agent.ask()
    (found,) = agent.get("", run=str(run)).json()["results"]
    assert (found["id"], found["run_id"]) == (str(mine.pk), str(run))


@pytest.mark.parametrize("wait", ["-1", "56", "1.5", "x", "1e1"])
def test_a_wait_that_is_none_is_refused(agent: Agent, wait: str) -> None:
    answer = agent.get(f"/{propose(agent.project).pk}", wait=wait)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/wait")


def test_an_id_that_is_none_leads_nowhere(agent: Agent) -> None:
    for path in ("/x", "/x?wait=1", "/00000000-0000-0000-0000-000000000000"):
        assert agent.get(path).status_code == 404


def test_scopes_of_reading_and_asking_are_two() -> None:
    reader, asker, sender = Agent(None, "read"), Agent(None, "gate"), Agent(None, "ingest", "run", "manage")
    for one, status in ((reader, 200), (asker, 200), (sender, 403)):
        approval = propose(one.project)
        assert one.get().status_code == status
        assert one.get(f"/{approval.pk}").status_code == status
    for one in (reader, sender):
        assert one.ask().status_code == 403
        assert one.claim(approval.pk).status_code == 403


def test_no_key_decides_whatever_it_may_and_wherever_it_asks() -> None:
    agent = Agent(None, "ingest", "read", "gate", "run", "manage")
    approval = propose(agent.project)
    form = {"decision": "approve", "digest": approval.digest}
    for headers in ({}, {"Accept": "application/json"}):
        answer = agent.client.post(f"/approvals/{approval.pk}/decide", form, headers=headers)
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    for word in ("decide", "approve"):
        assert agent.post(f"/{approval.pk}/{word}", form).status_code == 404
    for method in ("put", "patch", "delete"):
        assert getattr(agent.client, method)(f"/api/v1/approvals/{approval.pk}").status_code == 405
    assert fresh(approval).status == "pending"


def test_the_session_of_an_approver_beside_a_key_decides_nothing() -> None:
    agent = Agent(None, "gate")
    approval = propose(agent.project)
    client = signed_in(make_membership(agent.project, Role.APPROVER), agent.client)
    form = {"decision": "approve", "digest": approval.digest}
    assert client.post(f"/approvals/{approval.pk}/decide", form).status_code == 403
    assert fresh(approval).status == "pending"


def test_nothing_of_another_project_can_be_touched(agent: Agent) -> None:
    other = Agent(None, "gate", "read")
    make_policy(agent.project, "*", "low")
    approval = row(agent.ask())
    missing = other.get("/00000000-0000-0000-0000-000000000000")
    answers = [other.get(f"/{approval.pk}"), other.claim(approval.pk), other.report(approval.pk)]
    for answer in [*answers, other.post(f"/{approval.pk}/cancel")]:
        assert (answer.status_code, answer.content) == (404, missing.content)
    assert other.get().json()["results"] == []
    assert fresh(approval).action.status == "proposed"


def test_an_agent_takes_back_what_waits(agent: Agent) -> None:
    approval = row(agent.ask())
    said = agent.post(f"/{approval.pk}/cancel")
    assert (said.status_code, said.json()["status"], said.json()["comment"]) == (
        200,
        "cancelled",
        "Taken back by desk.",
    )
    assert agent.post(f"/{approval.pk}/cancel").status_code == 200
    rejected = row(agent.ask())
    decide(rejected, make_membership(agent.project, Role.APPROVER), "reject", comment="No.")
    refused = agent.post(f"/{rejected.pk}/cancel")
    assert (refused.status_code, refused.json()["approval_status"]) == (409, "rejected")


def test_the_document_names_every_field_and_the_wait(agent: Agent) -> None:
    approval = propose(agent.project)
    assert list(BriefOut().fields) == list(brief(approval))
    assert set(ApprovalOut().fields) == set(full(approval))
    document = json.loads(agent.client.get("/api/schema").content)
    paths = {path for path in document["paths"] if path.startswith("/api/v1/approvals")}
    one = "/api/v1/approvals/{approval_id}"
    assert paths == {"/api/v1/approvals", one, f"{one}/claim", f"{one}/result", f"{one}/cancel"}
    wait = next(given for given in document["paths"][one]["get"]["parameters"] if given["name"] == "wait")
    assert (wait["schema"]["minimum"], wait["schema"]["maximum"]) == (0, 55)
    keys = [p for p in document["paths"][f"{one}/claim"]["post"]["parameters"] if p["name"] == "Idempotency-Key"]
    assert [key["required"] for key in keys] == [True]
