"""The pages of runs: what they say, what they cost, and what people do on them."""

import json
from typing import Any

import pytest
from django.test import Client

import tests.runtime.desk
from agentops.accounts.models import Membership, Role
from agentops.runtime.models import Run
from agentops.runtime.services import cancel_run
from agentops.web.navigation import counters
from tests.builders import make_membership, signed_in
from tests.runtime.running import Desk

pytestmark = pytest.mark.django_db(transaction=True)

SIGNED_IN = 3  # and on a whole page what the rooms count beside their names
LOOK = ["look_up", {"order": 1}]
REFUND = ["issue_refund", {"order": 1, "amount": 40}]
CHARGE = ["charge", {"order": 1, "amount": 40}]
MAIL = ["send_email", {"order": 1}]
REFUSED = {"stop": "refusal"}


@pytest.fixture
def member(desk: Desk) -> Membership:
    return make_membership(desk.project, Role.OPERATOR)


@pytest.fixture
def client(member: Membership) -> Client:
    client = signed_in(member)
    client.get("/accounts/profile")  # the first page notes in the session when it began
    return client


def page(client: Client, path: str, status: int = 200, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def filled(**fields: str) -> dict[str, str]:
    return {"agent": "support-desk", "input": "Refund order 1001.", "scenario": "refund", **fields}


def test_pages_cost_the_same_however_much_they_show(client: Client, desk: Desk, django_assert_num_queries: Any) -> None:
    for calls in (1, 4):
        for _ in range(calls):
            run = desk.advance(desk.start([LOOK] * calls, [REFUND]))
        for path, cost in {"/runs": 4, f"/runs/{run.pk}": 7, "/runs/new": 0, f"/runs/{run.pk}/cancel": 2}.items():
            with django_assert_num_queries(SIGNED_IN + len(counters) + cost):
                page(client, path)
        for path, cost in {"/runs": 3, f"/runs/{run.pk}": 7}.items():
            with django_assert_num_queries(SIGNED_IN + cost):
                assert client.get(path, headers={"HX-Request": "true"}).status_code == 200


def test_what_answers_cost_that_nobody_knows_the_price_of_is_unknown_and_not_zero(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests.runtime.desk, "COST", None)
    run = desk.advance(desk.start([LOOK]))
    content = page(client, f"/runs/{run.pk}")
    assert "<dt>Cost</dt><dd>unknown</dd>" in content
    assert "<strong>unknown</strong> of $2.00" in content
    assert "</span>unknown</td>" in page(client, "/runs")
    assert (desk.trace(run).cost_usd, desk.trace(run).unpriced) == (None, 2)


def test_a_run_that_waits_says_for_whom_and_for_what(client: Client, desk: Desk) -> None:
    run = desk.advance(desk.start([LOOK], [REFUND]))
    approval = desk.approvals(run)[-1]
    content = page(client, f"/runs/{run.pk}")
    link = f'<a class="in-text" href="/approvals/{approval.pk}">'
    assert f"It waits for <strong>{desk.approver.user}</strong> to decide on {link}" in content
    assert link in page(client, "/runs")
    assert str(desk.starter) in content
    assert f"/traces/{run.trace_id.hex}?step=call-1-0" in content


def test_all_who_may_decide_are_named_and_the_starter_is_not_among_them(client: Client, desk: Desk) -> None:
    others = [make_membership(desk.project, Role.APPROVER).user for _ in range(2)]
    desk.starter = others[1]
    run = desk.advance(desk.start([REFUND]))
    assert f"<strong>{desk.approver.user} or {others[0]}</strong>" in page(client, f"/runs/{run.pk}")


def test_what_a_run_did_is_shown_with_how_it_was_undone(client: Client, desk: Desk) -> None:
    desk.allow("issue_refund", "charge", "send_email")
    run = desk.advance(desk.start([REFUND], [MAIL], [CHARGE]), times=3)
    content = page(client, f"/runs/{run.pk}")
    assert content.count("not needed") == 2
    assert "cannot be undone" in content
    run = desk.advance(desk.start([REFUND], [CHARGE], REFUSED), times=3)
    assert run.status == "rolled_back"
    assert "All it did was undone: 2 of 2." in page(client, f"/runs/{run.pk}")


def test_an_effect_that_cannot_be_undone_says_what_a_person_has_to_do(client: Client, desk: Desk) -> None:
    desk.allow("issue_refund")
    run = desk.advance(desk.start([["issue_refund", {"order": 7, "act": "never undo"}]], REFUSED), times=3)
    assert run.status == "needs_person"
    content = page(client, f"/runs/{run.pk}")
    for words in ("could not be undone", "the bank refuses", "What a person has to do", "Cancel, and undo the rest"):
        assert words in content, words


def test_what_a_person_rejected_says_who_did_and_why(client: Client, desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND]))
    desk.decide(run, "reject", comment="Not this one.")
    desk.advance(run)
    content = page(client, f"/runs/{run.pk}")
    assert f"rejected by {desk.approver.user}" in content
    assert "Not this one." in content


def test_the_budget_says_what_is_used_of_what(client: Client, desk: Desk) -> None:
    run = desk.advance(desk.start([LOOK]))
    content = page(client, f"/runs/{run.pk}")
    assert f"<strong>{run.steps}</strong> of 40" in content
    assert "<strong>220</strong> of 200,000" in content
    assert "<strong>$0.002</strong> of $2.00" in content


def test_what_a_script_answered_is_called_simulated(client: Client, desk: Desk) -> None:
    run = desk.advance(desk.start([LOOK]))
    for path in ("/runs", f"/runs/{run.pk}", "/runs/new"):
        assert "simulated" in page(client, path)


def test_the_list_is_narrowed_by_state(client: Client, desk: Desk) -> None:
    ended, waiting = desk.advance(desk.start([LOOK])), desk.advance(desk.start([REFUND]))
    queued = desk.start([LOOK])
    for state, shown in {"succeeded": ended, "waiting": waiting, "active": queued}.items():
        content = page(client, "/runs", state=state)
        assert [run.pk for run in (ended, waiting, queued) if run.pk.hex in content] == [shown.pk]
    assert "No run is in this state" in page(client, "/runs", state="cancelled")
    assert all(run.pk.hex in page(client, "/runs", state="nonsense") for run in (ended, waiting, queued))


def test_a_list_goes_on_where_its_page_ends(client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentops.runtime.views.ROWS", 2)
    runs = [desk.start([LOOK]) for _ in range(3)]
    first = page(client, "/runs")
    assert [run.pk.hex in first for run in runs] == [False, True, True]
    (after,) = {part.split('"')[0] for part in first.split("after=")[1:]}
    assert runs[0].pk.hex in page(client, "/runs", after=after)
    assert runs[2].pk.hex in page(client, "/runs", after="of another list")


def test_an_empty_list_says_how_to_start_a_run_to_who_may(client: Client, desk: Desk) -> None:
    assert "POST /api/v1/runs" in page(client, "/runs")
    viewer = signed_in(make_membership(desk.project, Role.VIEWER))
    assert "An operator, approver or admin of this project starts one." in page(viewer, "/runs")
    assert 'href="/runs/new"' not in page(viewer, "/runs")


def test_a_form_that_is_sent_twice_starts_one_run(client: Client, member: Membership) -> None:
    key = client.get("/runs/new").context["form"]["key"].value()
    answers = [client.post("/runs/new", filled(key=str(key))) for _ in range(2)]
    run = Run.objects.get()
    assert [answer.headers["Location"] for answer in answers] == [f"/runs/{run.pk}"] * 2
    assert (run.agent, run.scenario, run.started_by) == ("support-desk", "refund", member.user)
    client.post("/runs/new", filled(key=str(client.get("/runs/new").context["form"]["key"].value())))
    assert Run.objects.count() == 2


@pytest.mark.parametrize(
    "bad", [{"agent": "nobody"}, {"input": " "}, {"input": "x" * 20_001}, {"scenario": "none"}, {"key": "no uuid"}]
)
def test_a_form_that_makes_no_sense_starts_nothing_and_is_shown_again(client: Client, bad: dict[str, str]) -> None:
    answer = client.post("/runs/new", filled(**bad))
    assert answer.status_code == 400
    assert not Run.objects.exists()


def test_text_that_no_database_holds_is_refused(client: Client) -> None:
    assert client.post("/runs/new", filled(input="nothing\x00here")).status_code == 400


def test_where_a_real_model_answers_only_a_sandbox_plays_scripts(
    client: Client, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    content = page(client, "/runs/new")
    assert "scenario" not in content
    assert "simulated" not in content
    client.post("/runs/new", filled())
    assert Run.objects.get().scenario == ""
    type(desk.project).objects.filter(pk=desk.project.pk).update(is_sandbox=True)
    assert "none: the real model answers" in page(client, "/runs/new")


def test_cancelling_asks_first_and_names_what_is_undone(client: Client, desk: Desk, member: Membership) -> None:
    desk.allow("charge", "send_email")
    run = desk.advance(desk.start([CHARGE], [MAIL], [REFUND]), times=3)
    url = f"/runs/{run.pk}/cancel"
    content = page(client, url)
    assert "<strong>will be undone</strong>" in content
    assert "<strong>cannot be undone</strong>" in content
    assert Run.objects.get(pk=run.pk).cancel_requested_at is None
    assert client.post(url).headers["Location"] == f"/runs/{run.pk}"
    content = page(client, f"/runs/{run.pk}")
    assert "Cancel was asked for" in content
    assert f"Cancelled by {member.user}." in content
    assert "It ends once what is under way is finished." in content
    assert desk.advance(run, times=3).status == "cancelled"
    content = page(client, f"/runs/{run.pk}")
    assert f"Cancelled by {member.user}." in content
    assert "Undone: 1 of 1." in content
    assert "This run has ended" in client.post(url, follow=True).content.decode()


def test_a_viewer_sees_runs_and_starts_and_cancels_none(desk: Desk) -> None:
    run = desk.advance(desk.start([REFUND]))
    viewer = signed_in(make_membership(desk.project, Role.VIEWER))
    assert "Cancel the run" not in page(viewer, f"/runs/{run.pk}")
    assert viewer.post("/runs/new", filled()).status_code == 403
    assert viewer.post(f"/runs/{run.pk}/cancel").status_code == 403


def test_what_an_agent_was_asked_is_text_and_nothing_else(client: Client, desk: Desk) -> None:
    script = [[["look_up", {"order": 1, "act": "<script>alert(1)</script>\u202e"}]]]
    run = desk.advance(desk.start(*script))
    for path in ("/runs", f"/runs/{run.pk}", f"/runs/{run.pk}/cancel"):
        content = page(client, path)
        assert "<script>alert" not in content
        assert "\u202e" not in content


def test_who_looks_hears_that_a_run_changed(desk: Desk) -> None:
    from django.db import connection

    run = desk.start([LOOK])
    with connection.cursor() as cursor:
        cursor.execute("LISTEN agentops")
    desk.advance(run)
    cancel_run(desk.start([LOOK]), by=None)
    assert connection.connection is not None
    heard = [json.loads(one.payload) for one in connection.connection.notifies(timeout=1, stop_after=50)]
    told = [one["run"] for one in heard if one["event"] == "runs"]
    assert told.count(run.pk.hex) > 3
    assert len(set(told)) == 2
