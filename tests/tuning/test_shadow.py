"""Shadow: what is on trial is found and shown, and nobody is told; what is in force goes on beside it."""

from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Project
from tests.alerts.builders import looping, make_finding, make_trace, run_jobs
from tests.traces.builders import send
from traces.alerts.models import Alert, AlertFinding
from traces.containment.services import set_rules
from traces.detectors.models import AlertJob, DetectorSettings, Finding
from traces.models import Trace

pytestmark = pytest.mark.django_db
SET = "/detectors/ToolLoop/set"


def set_loop(client: Client, base: int = 0, mode: str = "on", **fields: Any) -> None:
    assert client.post(SET, {"mode": mode, "base": base, **fields}).status_code == 302


def found() -> set[tuple[str, bool, str]]:
    return set(Finding.objects.values_list("detector", "shadow", "state"))


def test_a_detector_in_shadow_finds_and_tells_nobody(client: Client, admin: Membership, project: Project) -> None:
    set_rules(project, {"tool_loop": "low"}, by=admin.user)
    set_loop(client, mode="shadow")
    send(project, *looping("quiet"))
    run_jobs()
    assert found() == {("ToolLoop", True, "open")}
    assert [model.objects.count() for model in (Alert, AlertFinding, AlertJob)] == [0, 0, 0]
    assert Trace.objects.get().stopped_at is None


def test_what_is_in_shadow_is_shown_marked_and_counts_nowhere(client: Client, project: Project) -> None:
    make_finding(project, make_trace(project, "quiet"), shadow=True, explanation="It might be a loop.")
    listed = client.get("/detectors/shadow").content.decode()
    assert "It might be a loop." in listed
    assert "It might be a loop." in client.get("/detectors/shadow?detector=ToolLoop").content.decode()
    assert "It might be a loop." not in client.get("/detectors/shadow?detector=Budget").content.decode()
    assert client.get("/detectors/shadow?detector=Nobody").status_code == 404
    assert "found in shadow, of which nobody is told" in client.get("/why/quiet").content.decode()
    assert '<span class="finding"' not in client.get("/traces").content.decode()
    assert client.get("/api/v1/traces?pattern=tool_loop").json()["results"] == []
    assert client.get("/api/v1/traces/quiet").json()["patterns"] == []
    assert [one["shadow"] for one in client.get("/api/v1/findings").json()["results"]] == [True]
    assert "1 in shadow" in client.get("/detectors/ToolLoop").content.decode()


def test_its_trace_says_that_nobody_was_told(client: Client, project: Project) -> None:
    set_loop(client, mode="shadow")
    send(project, *looping("quiet"))
    run_jobs()
    html = client.get("/traces/quiet").content.decode()
    assert "in shadow: nobody was told" in html
    assert 'class="loop"' not in html


def test_a_candidate_runs_beside_what_is_in_force(client: Client, project: Project) -> None:
    set_loop(client, **{"try": 1, "min_repeats": 3})
    assert DetectorSettings.objects.get().candidate == {"min_repeats": 3}
    send(project, *looping("short", calls=4))
    send(project, *looping("long", calls=6))
    run_jobs()
    assert Alert.objects.get().first_trace.external_trace_id == "long"
    by_trace = set(Finding.objects.values_list("trace__external_trace_id", "detector", "shadow"))
    assert by_trace == {
        ("short", "ToolLoop.candidate", True),
        ("long", "ToolLoop.candidate", True),
        ("long", "ToolLoop", False),
    }
    assert "min_repeats = 3" in client.get("/detectors/ToolLoop").content.decode()


def test_a_candidate_that_is_adopted_finds_in_open_traces_what_it_had_found_on_trial(
    client: Client, project: Project
) -> None:
    set_loop(client, **{"try": 1, "min_repeats": 3})
    send(project, *looping("short", calls=4))
    run_jobs()
    assert not Alert.objects.exists()
    assert client.post(SET, {"adopt": 1}).status_code == 302
    row = DetectorSettings.objects.get()
    assert (row.thresholds, row.candidate) == ({"min_repeats": 3}, None)
    send(project, *looping("short", calls=5))
    run_jobs()
    assert Alert.objects.get().first_trace.external_trace_id == "short"


def test_saving_leaves_a_candidate_alone_and_its_end_is_a_version_too(client: Client, project: Project) -> None:
    set_loop(client, **{"try": 1, "min_repeats": 3})
    set_loop(client, base=1, min_repeats=7)
    row = DetectorSettings.objects.get()
    assert (row.thresholds, row.candidate) == ({"min_repeats": 7}, {"min_repeats": 3})
    assert client.post(SET, {"end": 1}).status_code == 302
    row.refresh_from_db()
    assert (row.thresholds, row.candidate) == ({"min_repeats": 7}, None)
    assert "the trial in shadow has ended" in client.get("/detectors/ToolLoop").content.decode()


def test_what_was_found_before_it_went_into_shadow_stays_on_its_alert(client: Client, project: Project) -> None:
    send(project, *looping("loud", calls=6))
    run_jobs()
    set_loop(client, mode="shadow")
    send(project, *looping("loud", calls=9))
    run_jobs()
    assert found() == {("ToolLoop", False, "open")}
    assert "9 times" in Alert.objects.get().explanation


def test_what_goes_on_after_the_trial_is_told(client: Client, project: Project) -> None:
    set_loop(client, mode="shadow")
    send(project, *looping("quiet", calls=6))
    run_jobs()
    assert found() == {("ToolLoop", True, "open")}
    set_loop(client, base=1)
    send(project, *looping("quiet", calls=9))
    run_jobs()
    assert found() == {("ToolLoop", False, "open")}
    assert "9 times" in Alert.objects.get().explanation
