"""Runs through the API: started, listed, looked at and cancelled."""

from typing import Any

import pytest

from agentops.accounts.models import Role
from agentops.audit.models import Entry
from agentops.runtime import llm
from agentops.runtime.models import Run, RunJob
from tests.builders import make_membership, make_project
from tests.runtime.running import Desk
from tests.traces.api import Api

pytestmark = pytest.mark.django_db(transaction=True)

WHERE = {"agent": "support-desk", "input": "Where is order 1001?"}


class Runs(Api):
    def start(self, body: Any = WHERE, **headers: str) -> Any:
        return self.client.post("/api/v1/runs", body, "application/json", headers={**self.headers, **headers})

    def cancel(self, run_id: str) -> Any:
        return self.client.post(f"/api/v1/runs/{run_id}/cancel", headers=self.headers)


@pytest.fixture
def runs(desk: Desk) -> Runs:
    return Runs(desk.project)


def test_a_run_is_queued_with_its_job_and_its_trace(runs: Runs) -> None:
    answer = runs.start({**WHERE, "scenario": "healthy", "session_id": "s-1"})
    assert answer.status_code == 201
    body = answer.json()
    assert (body["status"], body["scenario"], body["session_id"]) == ("queued", "healthy", "s-1")
    run = Run.objects.get(pk=body["id"])
    assert body["trace_id"] == run.trace_id.hex
    assert body["url"].endswith(f"/runs/{run.pk}")
    assert RunJob.objects.filter(run=run).exists()
    entry = Entry.objects.get(action="run.started", target_id=str(run.pk))
    assert entry.actor_kind == "api_key"


def test_the_same_idempotency_key_starts_one_run(runs: Runs) -> None:
    key = {"Idempotency-Key": "once"}
    assert runs.start(**key).json()["id"] == runs.start(**key).json()["id"]
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"agent": "nobody"}, "/agent"),
        ({"scenario": "none such"}, "/scenario"),
        ({"input": ""}, "/input"),
        ({"input": "x" * 20_001}, "/input"),
    ],
)
def test_what_cannot_be_started_is_refused_with_its_place(runs: Runs, change: dict[str, str], pointer: str) -> None:
    answer = runs.start({**WHERE, **change})
    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert not Run.objects.exists()


def test_a_scenario_is_refused_where_a_real_model_answers_and_nothing_is_a_sandbox(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm, "is_simulated", lambda: False)
    assert runs.start({**WHERE, "scenario": "healthy"}).status_code == 403
    sandbox = Runs(make_project(is_sandbox=True))
    assert sandbox.start({**WHERE, "scenario": "healthy"}).status_code == 201


def test_a_run_shows_its_actions_its_effects_and_what_it_has_used(desk: Desk, runs: Runs) -> None:
    desk.allow("charge")
    run = desk.advance(desk.start([["look_up", {"order": 1}]], [["charge", {"order": 1}]], [["book", {"order": 1}]]))
    body = runs.get(f"runs/{run.pk}").json()
    assert body["status"] == "waiting_approval"
    assert [(one["tool_name"], one["status"]) for one in body["actions"]] == [
        ("look_up", "succeeded"), ("charge", "succeeded"), ("book", "waiting_approval"),
    ]  # fmt: skip
    assert body["actions"][2]["approval_id"] == str(desk.approvals(run)[-1].pk)
    (effect,) = body["effects"]
    assert (effect["tool_name"], effect["compensation"]["status"]) == ("charge", "registered")
    assert body["budget"]["tokens"] == {"used": 330, "limit": 200_000}
    assert body["budget"]["cost_usd"]["used"] == 0.003


def test_a_run_that_is_cancelled_ends_so_and_a_second_time_is_a_conflict(desk: Desk, runs: Runs) -> None:
    run = desk.advance(desk.start([["book", {"order": 1}]]))
    assert runs.cancel(str(run.pk)).status_code == 200
    assert desk.advance(run).status == "cancelled"
    assert runs.cancel(str(run.pk)).status_code == 409


def test_runs_are_listed_newest_first(desk: Desk, runs: Runs) -> None:
    made = [desk.start() for _ in range(3)]
    desk.advance(made[0])
    first = runs.get("runs", limit=2).json()
    assert [one["id"] for one in first["results"]] == [str(run.pk) for run in made[:0:-1]]
    rest = runs.get("runs", limit=2, after=first["next"]).json()
    assert [one["id"] for one in rest["results"]] == [str(made[0].pk)]
    assert [one["id"] for one in runs.get("runs", status="succeeded").json()["results"]] == [str(made[0].pk)]


def test_a_run_of_another_project_is_not_there(desk: Desk) -> None:
    foreign = Runs(make_membership(role=Role.ADMIN).project)
    run = desk.start()
    assert foreign.get(f"runs/{run.pk}").status_code == 404
    assert foreign.cancel(str(run.pk)).status_code == 404
    assert foreign.get("runs").json()["results"] == []
