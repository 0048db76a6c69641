"""The pages of approvals: what they say and to whom, what they cost, and that looking at them changes nothing."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.test import Client

from agentops.accounts.models import Membership, Role, User
from agentops.audit.models import Entry
from agentops.web.navigation import counters
from approvals import services
from approvals.models import Action, Approval
from approvals.tasks import expire
from tests.approvals.builders import decide, fresh, make_policy, propose
from tests.builders import make_membership, make_user, signed_in
from tests.traces.builders import send, step
from traces.ids import trace_key
from traces.models import Span

pytestmark = pytest.mark.django_db

SIGNED_IN = 3  # and on a whole page what the rooms count beside their names
TOOL = services.ToolFacts(
    definition_hash="1",
    preview={
        "title": "Refund $40.00",
        "target": "to Oslo Climbing AS",
        "facts": {"Order": "1001"},
        "consequences": ["$40.00 leave at once."],
        "undo": "",
    },
)


def page(client: Client, path: str, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def another(member: Membership, name: str = "Tomas Reyes") -> Membership:
    return make_membership(member.project, Role.APPROVER, make_user(name=name))


def test_pages_cost_the_same_however_much_they_show(
    client: Client, member: Membership, django_assert_num_queries: Any
) -> None:
    requester = make_user()
    send(member.project, *(step(n, trace="the run") for n in range(1, 30)))
    for rows in (2, 20):
        for _ in range(rows):
            another(member)
            ended = propose(member.project, requester=requester)
            decide(ended, member)
            alone = propose(member.project, requester=requester)
            traced = propose(member.project, trace_id=trace_key("the run")[0], tool=TOOL)
        costs = {"": 3, "?tab=yours": 3, "?tab=decided": 4}
        costs |= {f"/{alone.pk}": 4, f"/{traced.pk}": 7, f"/{ended.pk}": 4}
        for path, cost in costs.items():
            with django_assert_num_queries(SIGNED_IN + len(counters) + cost):
                page(client, f"/approvals{path}")
        for path, cost in {"": 2, "?tab=decided": 1}.items():
            with django_assert_num_queries(SIGNED_IN + cost):
                assert client.get(f"/approvals{path}", headers={"HX-Request": "true"}).status_code == 200


def test_the_queue_is_in_the_order_of_deadlines_and_says_who_may_decide(client: Client, member: Membership) -> None:
    other = another(member)
    propose(member.project, tool_name="later", expires_in_s=3_000)
    propose(member.project, tool_name="urgent", expires_in_s=200, requester=other.user)
    propose(member.project, tool_name="own", expires_in_s=1_000, requester=member.user, run_id=uuid4())
    content = page(client, "/approvals")
    assert content.index(">urgent<") < content.index(">own<") < content.index(">later<")
    assert "you or Tomas Reyes" in content
    assert "you started the run" in content
    assert content.count("not yours") == 1
    assert content.count("Decide<span") == 2
    assert content.count("data-soon") == 2  # the row that is near its end, and its clock
    yours = page(client, "/approvals", tab="yours")
    assert ">own<" not in yours
    assert ">urgent<" in yours


def test_a_viewer_sees_the_queue_and_nothing_in_it_is_theirs(member: Membership) -> None:
    propose(member.project)
    viewer = signed_in(make_membership(member.project, Role.VIEWER))
    content = page(viewer, "/approvals")
    assert "Ines Duarte" in content
    assert "not yours" in content
    assert "Nothing waits for you" in page(viewer, "/approvals", tab="yours")
    refused = page(viewer, Approval.objects.get().get_absolute_url())
    assert "this needs the role approver. Ines Duarte may decide." in refused
    assert 'name="decision"' not in refused


def test_what_was_decided_says_by_whom_with_which_outcome(client: Client, member: Membership) -> None:
    make_policy(member.project, "get_*", "low")
    propose(member.project, tool_name="get_order")
    ran = propose(member.project, tool=TOOL)
    decide(ran, member, comment="fine")
    services.claim(fresh(ran), key="k")
    services.report(ran.pk, outcome="unknown")
    decide(propose(member.project, tool_name="delete_all"), member, "reject", comment="ask legal first")
    propose(member.project, tool_name="forgotten")
    Approval.objects.filter(action__tool_name="forgotten").update(expires_at=Now())
    expire()
    content = page(client, "/approvals", tab="decided")
    for words in ("Ines Duarte: “<bdi", "ask legal first", "rejected", "unknown", "expired", "nobody in", "not run"):
        assert words in content
    assert "get_order" not in content  # it never needed a person
    assert '0</span> wait, <span data-count="yours">0' in content


def test_older_decisions_are_on_the_next_page(client: Client, member: Membership) -> None:
    for n in range(52):
        decide(propose(member.project, tool_name=f"tool_{n:02}"), member)
    first = page(client, "/approvals", tab="decided")
    assert ">tool_51<" in first
    assert ">tool_01<" not in first
    cursor = first.partition("after=")[2].partition('"')[0]
    second = page(client, "/approvals", tab="decided", after=cursor)
    assert ">tool_01<" in second
    assert ">tool_02<" not in second
    assert ">tool_51<" in page(client, "/approvals", tab="decided", after="no cursor")


def test_empty_lists_say_why(client: Client) -> None:
    assert "Nothing waits for a decision" in page(client, "/approvals")
    assert "Nothing waits for you" in page(client, "/approvals", tab="yours")
    assert "Nothing was decided yet" in page(client, "/approvals", tab="decided")


def test_the_action_comes_first_and_the_agents_words_last_and_unverified(client: Client, member: Membership) -> None:
    """An agent that says "status check only" while its arguments delete does not get the first word."""
    claim = "Only a read-only status check."
    arguments = {"bucket": "prod-backups", "recursive": True}
    approval = propose(member.project, tool_name="delete_bucket", arguments=arguments, agent="ops-bot", reason=claim)
    content = page(client, approval.get_absolute_url()).partition("<main")[2]
    order = ["wants to", "delete_bucket", "No policy names this tool", "prod-backups", "unverified", claim]
    places = [content.index(words) for words in order]
    assert places == sorted(places)
    assert approval.digest[:4] in content


def test_the_tools_own_preview_is_shown_and_compared_with_the_last_one(client: Client, member: Membership) -> None:
    decide(propose(member.project, arguments={"order_id": 1000, "amount": "5.00 USD"}), member)
    content = page(client, propose(member.project, tool=TOOL).get_absolute_url())
    for words in (
        "Refund $40.00",
        "to Oslo Climbing AS",
        "$40.00 leave at once.",
        "Cannot be undone.",
        "Last approved",
    ):
        assert words in content
    assert '"5.00 USD"' in content.replace("&quot;", '"')
    assert "What runs" not in content


def test_a_preview_that_cannot_be_read_is_no_preview(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    for preview in ({"title": "Refund", "facts": ["no", "mapping"]}, {"title": {"a": 1}}, {"target": 7, "undo": []}):
        Action.objects.update(preview=preview)
        assert "issue_refund" in page(client, approval.get_absolute_url())


def test_the_run_is_shown_up_to_the_action(client: Client, member: Membership) -> None:
    send(member.project, *(step(n, trace="the run", tool_output=f"answer {n}") for n in range(1, 13)))
    approval = propose(member.project, trace_id=trace_key("the run")[0])
    content = page(client, approval.get_absolute_url())
    assert "answer 12" in content
    assert "answer 4<" not in content
    assert "waits for a person" in content
    decide(approval, member)
    send(member.project, step(13, trace="the run", tool_output="what came afterwards"))
    Span.objects.filter(step_number=13).update(received_at=Now() + timedelta(seconds=1))
    later = page(client, approval.get_absolute_url())
    assert "what came afterwards" not in later
    assert "answer 12" in later


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_opening_every_link_changes_nothing(client: Client, member: Membership, method: str) -> None:
    """A mail scanner that opens all links, with the session of the person, decides nothing."""
    approval = propose(member.project)
    before = (list(Approval.objects.values()), list(Action.objects.values()), Entry.objects.count())
    for path in ("", "?edit=1", "?decision=approve", "/decide", "/decide?decision=approve&digest=" + approval.digest):
        status = getattr(client, method)(f"{approval.get_absolute_url()}{path}").status_code
        assert status == (200 if method == "get" and not path.startswith("/decide") else 405)
    assert (list(Approval.objects.values()), list(Action.objects.values()), Entry.objects.count()) == before


def test_a_decision_of_an_approval_says_who_decided_and_what_became_of_it(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    decide(approval, member, comment="<b>fine</b>")
    services.claim(fresh(approval), key="k")
    services.report(approval.pk, outcome="failed", detail="card closed")
    content = page(client, approval.get_absolute_url())
    for words in ("approved", "Ines Duarte", "&lt;b&gt;fine&lt;/b&gt;", "failed", "card closed", approval.digest):
        assert words in content
    assert 'name="decision"' not in content


def test_the_overview_says_how_many_wait(client: Client, member: Membership) -> None:
    send(member.project, step())
    assert "approvals wait" not in page(client, "/")
    for _ in range(2):
        propose(member.project)
    assert "2 approvals wait" in page(client, "/")
    Approval.objects.update(expires_at=Now() - timedelta(minutes=1))
    assert "approvals wait" not in page(client, "/")


def test_a_step_that_names_an_approval_leads_to_it(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    gate = {"event_type": "human_gate", "tool_name": None, "trace": "gated"}
    send(member.project, step(1, span_id="one", approval_id=str(approval.pk), **gate))
    send(member.project, step(2, span_id="two", approval_id="<of another system>", **gate))
    assert f'href="{approval.get_absolute_url()}"' in page(client, "/traces/gated", step="one")
    assert "&lt;of another system&gt;" in page(client, "/traces/gated", step="two")


def test_people_who_left_may_not_decide(client: Client, member: Membership) -> None:
    approval = propose(member.project)
    User.objects.filter(pk=another(member, "Gone").user_id).update(is_active=False)
    assert "Gone" not in page(client, approval.get_absolute_url())
