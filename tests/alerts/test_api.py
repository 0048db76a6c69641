"""The API of findings, alerts and the time to detect, as a client with a key meets it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from agentops.accounts.authenticate import forget_verified
from agentops.accounts.models import AnsweredCall, Project
from agentops.audit.models import Entry
from tests.alerts.builders import looping, make_finding, make_trace, raise_one, run_jobs
from tests.builders import bearer, make_key, make_project, make_user
from tests.notify.builders import make_channel
from tests.traces.builders import send
from traces.alerts.models import Alert, Verdict
from traces.alerts.services import resolve
from traces.detectors.models import FindingState

pytestmark = pytest.mark.django_db

FINDING = {
    "id", "trace_id", "pattern", "kind", "severity", "state", "explanation", "next_step", "onset_span_id", "evidence",
    "onset_at", "received_at", "detected_at",
}  # fmt: skip
ALERT = {
    "id", "pattern", "severity", "state", "title", "explanation", "agent", "tool_name", "trace_id", "first_trace_id",
    "findings", "onset_at", "received_at", "detected_at", "alerted_at", "delivered_at", "acknowledged_at",
    "resolved_at", "url",
}  # fmt: skip


class Api:
    def __init__(self, project: Project, *scopes: str) -> None:
        self.project = project
        self.key = make_key(project, *scopes)
        self.client = Client()

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=bearer(self.key.token))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        headers |= bearer(self.key.token)
        return self.client.post(f"/api/v1/{path}", body or {}, "application/json", headers=headers)


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def api(project: Project) -> Api:
    return Api(project)


def test_a_loop_sent_to_the_door_is_read_back_as_finding_alert_and_pattern(api: Api) -> None:
    send(api.project, *looping("the loop", calls=5))
    run_jobs()
    (finding,) = api.get("findings", trace="the loop").json()["results"]
    assert set(finding) >= FINDING
    assert (finding["pattern"], finding["kind"], finding["state"]) == ("tool_loop", "repeated_call", "open")
    assert len(finding["evidence"]) == 5
    assert finding["onset_span_id"] == finding["evidence"][0]
    (alert,) = api.get("alerts", trace="the loop").json()["results"]
    assert set(alert) >= ALERT
    assert alert["trace_id"] == alert["first_trace_id"] == finding["trace_id"]
    assert (alert["state"], alert["findings"], alert["agent"]) == ("open", 1, "support-desk")
    assert alert["delivered_at"] is not None
    assert alert["url"].endswith(f"/alerts/{alert['id']}")
    assert api.get(f"alerts/{alert['id']}").json() == alert
    assert api.get(f"alerts/{alert['id'].replace('-', '')}").json() == alert
    assert api.get("traces/the loop").json()["patterns"] == ["tool_loop"]


def test_traces_carry_their_open_patterns_once_each_and_are_found_by_them(api: Api) -> None:
    first, second = make_trace(api.project, "a"), make_trace(api.project, "b")
    make_trace(api.project, "c")
    make_finding(api.project, first, onset_number=2)
    make_finding(api.project, first, pattern="bad_signature", onset_number=1)
    make_finding(api.project, first, onset_number=3)
    make_finding(api.project, second, state=FindingState.RETRACTED)
    found = {trace["external_trace_id"]: trace["patterns"] for trace in api.get("traces").json()["results"]}
    assert found == {"a": ["bad_signature", "tool_loop"], "b": [], "c": []}
    for pattern, names in {"tool_loop": ["a"], "bad_signature": ["a"], "context_drift": []}.items():
        results = api.get("traces", pattern=pattern).json()["results"]
        assert [trace["external_trace_id"] for trace in results] == names


def test_alerts_are_narrowed_by_state_pattern_and_trace(api: Api) -> None:
    trace = make_trace(api.project, "one")
    loop = raise_one(api.project, trace)
    raise_one(api.project, make_trace(api.project, "two"))
    other = raise_one(api.project, trace, pattern="bad_signature")
    resolve(other, by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    for query, expected in [
        ({}, {loop, other}),
        ({"state": "open"}, {loop}),
        ({"state": "resolved"}, {other}),
        ({"pattern": "tool_loop"}, {loop}),
        ({"pattern": "budget"}, set()),
        ({"trace": "one"}, {loop, other}),
        ({"trace": "two"}, {loop}),
        ({"trace": "three"}, set()),
    ]:
        results = api.get("alerts", **query).json()["results"]
        assert {alert["id"] for alert in results} == {str(alert.pk) for alert in expected}, query
    assert api.get("alerts", state="broken").status_code == 400
    assert api.get("alerts", colour="red").status_code == 400


def test_lists_are_walked_by_cursor(api: Api) -> None:
    trace = make_trace(api.project)
    for tool in "abc":
        raise_one(api.project, trace, tool_name=tool)
    for path in ("alerts", "findings"):
        seen, after = [], ""
        while after is not None:
            page = api.get(path, limit=2, after=after).json()
            seen += [row["tool_name"] for row in page["results"]]
            after = page["next"]
        assert seen == ["c", "b", "a"]


def test_lists_cost_the_same_however_long(api: Api, django_assert_num_queries: Any) -> None:
    for rows in (1, 10):
        for n in range(rows):
            raise_one(api.project, tool_name=f"{rows}-{n}")
        for path, cost in {"alerts": 1, "findings": 1, "traces": 2, "mttd": 7}.items():
            forget_verified()
            api.get(path)  # the key is known for three seconds from here on
            with django_assert_num_queries(cost):
                assert api.get(path).status_code == 200


def test_an_alert_is_acknowledged_and_resolved_by_a_key_in_its_makers_name(api: Api) -> None:
    alert = raise_one(api.project)
    mine = api.post(f"alerts/{alert.pk}/acknowledge")
    assert mine.status_code == 200
    assert (mine.json()["state"], mine.json()["acknowledged_at"] is not None) == ("acknowledged", True)
    assert mine.json()["acknowledged_by"] == str(api.key.key.created_by)
    done = api.post(f"alerts/{alert.pk}/resolve", {"verdict": "false_positive", "note": "A test."})
    assert (done.status_code, done.json()["state"]) == (200, "resolved")
    assert (done.json()["verdict"], done.json()["note"]) == ("false_positive", "A test.")
    again = api.post(f"alerts/{alert.pk}/resolve", {"verdict": "true_positive"})
    assert again.status_code == 409
    assert "resolved this alert" in again.json()["detail"]
    assert list(Entry.objects.of(api.project).order_by("seq").values_list("action", "actor_kind")) == [
        ("key.created", "user"),
        ("alert.acknowledged", "api_key"),
        ("alert.resolved", "api_key"),
    ]


def test_an_alert_is_acknowledged_for_as_long_as_is_asked(api: Api) -> None:
    alert = raise_one(api.project)
    for wrong in (0, 604_801, "soon"):
        assert api.post(f"alerts/{alert.pk}/acknowledge", {"expires_in_s": wrong}).status_code == 400
    mine = api.post(f"alerts/{alert.pk}/acknowledge", {"expires_in_s": 600}).json()
    lasting = datetime.fromisoformat(mine["acknowledged_until"]) - datetime.fromisoformat(mine["acknowledged_at"])
    assert lasting == timedelta(minutes=10)


@pytest.mark.parametrize("body", [{}, {"verdict": "retracted"}, {"verdict": "true_positive", "note": "x" * 2_001}])
def test_a_verdict_that_cannot_be_is_refused(api: Api, body: dict[str, Any]) -> None:
    alert = raise_one(api.project)
    assert api.post(f"alerts/{alert.pk}/resolve", body).status_code == 400
    assert Alert.objects.get().state == "open"


def test_reading_needs_read_and_deciding_needs_manage(project: Project) -> None:
    alert = raise_one(project)
    reader, ingester = Api(project, "read"), Api(project, "ingest")
    assert reader.get(f"alerts/{alert.pk}").status_code == 200
    assert ingester.get("alerts").status_code == 403
    for action in ("acknowledge", "resolve"):
        assert reader.post(f"alerts/{alert.pk}/{action}", {"verdict": "true_positive"}).status_code == 403
        assert Api(make_project()).post(f"alerts/{alert.pk}/{action}").status_code == 404
    assert Api(make_project()).get(f"alerts/{alert.pk}").status_code == 404
    assert reader.get("alerts/nothing").status_code == 404


def test_a_call_repeated_with_its_key_is_answered_as_before(api: Api) -> None:
    alert = raise_one(api.project)
    url, body = f"alerts/{alert.pk}/resolve", {"verdict": "true_positive", "note": "once"}
    key = {"Idempotency-Key": "a-1"}
    first = api.post(url, body, **key)
    again = api.post(url, body, **key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert (again["Content-Type"], again["Idempotency-Replayed"]) == ("application/json", "true")
    other = api.post(url, {**body, "note": "twice"}, **key)
    assert other.status_code == 422
    assert other["Content-Type"] == "application/problem+json"
    assert api.post(f"alerts/{alert.pk}/acknowledge", body, **key).status_code == 422
    assert api.post(url, body).status_code == 409
    assert Entry.objects.filter(action="alert.resolved").count() == 1


def test_a_refusal_is_repeated_too_and_each_caller_has_keys_of_their_own(api: Api) -> None:
    alert = raise_one(api.project)
    url, key = f"alerts/{alert.pk}/resolve", {"Idempotency-Key": "a-1"}
    assert api.post(url, {"verdict": "?"}, **key).status_code == 400
    again = api.post(url, {"verdict": "?"}, **key)
    assert (again.status_code, again["Content-Type"]) == (400, "application/problem+json")
    assert Api(api.project).post(url, {"verdict": "true_positive"}, **key).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "é"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    alert = raise_one(api.project)
    assert api.post(f"alerts/{alert.pk}/acknowledge", **{"Idempotency-Key": key}).status_code == 400


def test_after_a_day_a_key_is_free_again(api: Api) -> None:
    alert = raise_one(api.project)
    key = {"Idempotency-Key": "a-1"}
    assert api.post(f"alerts/{alert.pk}/acknowledge", **key).status_code == 200
    AnsweredCall.objects.update(answered_at=F("answered_at") - timedelta(hours=25))
    body = {"verdict": "true_positive"}
    assert api.post(f"alerts/{alert.pk}/resolve", body, **key).json()["state"] == "resolved"
    assert AnsweredCall.objects.count() == 1


def test_the_time_to_detect_is_counted_with_its_misses(api: Api) -> None:
    trace = make_trace(api.project)
    took = {"a": 10, "b": 20, "c": 30, "d": 40}
    for tool, seconds in took.items():
        raise_one(api.project, trace, tool_name=tool)
        set_times(tool, onset_to_told_s=seconds, receipt_to_told_s=2)
    raise_one(api.project, trace, tool_name="late")
    set_times("late", onset_to_told_s=7200, receipt_to_told_s=3)
    raise_one(api.project, trace, tool_name="ahead", pattern="bad_signature")
    set_times("ahead", onset_to_told_s=-60, receipt_to_told_s=1)
    for tool in ("wrong", "pending", "lost"):
        raise_one(api.project, trace, tool_name=tool)
    resolve(Alert.objects.get(tool_name="wrong"), by=make_user(), verdict=Verdict.FALSE_POSITIVE)
    Alert.objects.filter(tool_name__in=["pending", "lost"]).update(delivered_at=None)
    Alert.objects.filter(tool_name="lost").update(told_at=F("told_at") - timedelta(hours=2))
    answer = api.get("mttd").json()
    assert (answer["objective_s"], answer["cap_s"], answer["onset"]) == (300, 3600, "detector")
    loops, signatures = (by_pattern(answer, name) for name in ("tool_loop", "bad_signature"))
    assert (loops["n"], loops["misses"]) == (6, 2)
    assert (loops["p50_s"], loops["p95_s"], loops["max_s"]) == (30, 3600, 3600)
    assert loops["mean_s"] == round((10 + 20 + 30 + 40 + 3600 + 3600) / 6, 3)
    assert (loops["receipt_to_told_p50_s"], loops["receipt_to_told_p95_s"]) == (2, 3)
    assert (signatures["n"], signatures["p50_s"], signatures["misses"]) == (1, 0, 0)
    assert {**by_pattern(answer, "context_drift"), **NOTHING} == by_pattern(answer, "context_drift")
    assert answer["all"]["n"] == 7
    assert api.get("mttd", since="2099-01-01T00:00:00Z").json()["all"]["n"] == 0


NOTHING = {
    "n": 0,
    "misses": 0,
    "late": 0,
    "severities": [],
    **dict.fromkeys(
        ["mean_s", "p50_s", "p95_s", "max_s", "receipt_to_told_p50_s", "receipt_to_told_p95_s"],
    ),
}


def test_each_occurrence_is_a_point_of_its_own(api: Api) -> None:
    trace = make_trace(api.project)
    for _ in range(3):
        resolve(raise_one(api.project, trace), by=make_user(), verdict=Verdict.TRUE_POSITIVE)
    assert by_pattern(api.get("mttd").json(), "tool_loop")["n"] == 3
    assert len(api.get("alerts").json()["results"]) == 1


def by_pattern(answer: dict[str, Any], pattern: str) -> dict[str, Any]:
    (row,) = [row for row in answer["patterns"] if row["pattern"] == pattern]
    return dict(row)


def set_times(tool: str, *, onset_to_told_s: float, receipt_to_told_s: float) -> None:
    told = F("delivered_at")
    Alert.objects.filter(tool_name=tool).update(
        onset_at=told - timedelta(seconds=onset_to_told_s), received_at=told - timedelta(seconds=receipt_to_told_s)
    )


def test_with_a_channel_told_means_delivered_there(api: Api) -> None:
    make_channel(api.project)
    raise_one(api.project)
    (alert,) = api.get("alerts").json()["results"]
    assert alert["delivered_at"] is None


@pytest.mark.parametrize("body", ["[" * 100_000, '{"note":' * 100_000], ids=["lists", "objects"])
def test_a_verdict_nested_without_end_is_refused(api: Api, body: str) -> None:
    address = f"/api/v1/alerts/{raise_one(api.project).pk}/resolve"
    answer = api.client.post(address, body, "application/json", headers=bearer(api.key.token))
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
