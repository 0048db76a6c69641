"""What a project sets for a detector: what may be set, by whom, version by version, and that it counts."""

import inspect
import re
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Project, Role
from agentops.audit.models import Entry
from agentops.web.templatetags.look import listed
from tests.alerts.builders import looping, make_finding, run_jobs
from tests.builders import bearer, make_key, make_membership, signed_in
from tests.traces.builders import send
from traces.detectors.base import Detector
from traces.detectors.budget import Budget
from traces.detectors.limits import ThresholdError, checked, limits, usable
from traces.detectors.models import DetectorSettings, Finding
from traces.detectors.registry import all_detectors
from traces.detectors.tool_loop import ToolLoop
from traces.tuning.models import SettingsVersion
from traces.tuning.services import ChangedMeanwhileError, Wish, set_detector

LOOP = "/detectors/ToolLoop"
SET = f"{LOOP}/set"
db = pytest.mark.django_db


def save(client: Client, base: int = 0, mode: str = "on", **fields: Any) -> Any:
    return client.post(SET, {"mode": mode, "base": base, **fields})


def in_force(project: Project) -> tuple[dict[str, Any], bool]:
    row = DetectorSettings.objects.of(project).get(detector="ToolLoop")
    return row.thresholds, row.enabled


@pytest.mark.parametrize("kind", all_detectors(), ids=lambda kind: kind.name())
def test_each_threshold_has_a_unit_and_a_range_that_holds_its_default(kind: type[Detector]) -> None:
    for limit in limits(kind):
        assert limit.unit, limit.name
        assert limit.most is not None or limit.below is not None, f"{limit.name} has no top"
        assert checked(kind, {limit.name: limit.default}) == {}


def test_a_number_that_turns_a_threshold_off_is_called_so() -> None:
    off = {limit.name: limit.usual for limit in limits(Budget) if limit.off is not None}
    assert off == {limit.name: "0 (off)" for limit in limits(Budget) if limit.name.startswith("max_session")}
    assert off


@pytest.mark.parametrize("kind", all_detectors(), ids=lambda kind: kind.name())
def test_each_detector_lists_kinds_that_it_gives(kind: type[Detector]) -> None:
    assert kind.kinds
    code = inspect.getsource(inspect.getmodule(kind))  # type: ignore[arg-type]
    assert [name for name in kind.kinds if code.count(f'"{name}"') < 2 and f"`{name}`" not in code] == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"min_repeats": 1}, "min_repeats: A whole number, 2 to 50; the default is 5."),
        ({"min_repeats": 2.5}, "A whole number"),
        ({"min_repeats": True}, "A whole number"),
        ({"min_repeats": "6"}, "A whole number"),
        ({"min_similarity": 1.01}, "A number, 0 to 1"),
        ({"max_repeats": 3}, "ToolLoop has no such threshold; it has min_repeats,"),
    ],
)
def test_a_wrong_threshold_is_refused_with_what_would_be_right(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ThresholdError, match=says):
        checked(ToolLoop, given)


def test_what_the_code_takes_no_more_counts_as_not_set() -> None:
    assert usable(ToolLoop, {"min_repeats": 7, "was_renamed": 3, "min_errors": 0}) == {"min_repeats": 7}


@db
def test_the_list_explains_every_detector(client: Client, project: Project, django_assert_num_queries: Any) -> None:
    make_finding(project)
    client.get("/detectors")
    with django_assert_num_queries(10):
        html = client.get("/detectors").content.decode()
    for kind in all_detectors():
        assert f"/detectors/{kind.name()}" in html
        assert all(f"<code>{limit.name}</code>" in html for limit in limits(kind))
        assert all(f"<code>{name}</code>" in html for name in kind.kinds)
        entries = re.findall(r"<li>(.*?): ", listed(kind.sections()["Definition"]))
        assert len(kind.kinds) == 1 or re.findall(r"<code>(.*?)</code>", " ".join(entries)) == list(kind.kinds)
    assert html.count("<dt>Misses</dt>") == len(all_detectors())


@db
def test_a_threshold_that_was_saved_counts_and_each_version_is_kept(client: Client, project: Project) -> None:
    assert save(client, min_repeats=8, note="too loud").status_code == 302
    send(project, *looping(calls=7))
    run_jobs()
    assert not Finding.objects.exists()
    assert in_force(project) == ({"min_repeats": 8}, True)
    assert save(client, base=1, mode="off").status_code == 302
    assert [
        (one.number, one.thresholds, one.enabled, one.note) for one in SettingsVersion.objects.order_by("number")
    ] == [
        (1, {"min_repeats": 8}, True, "too loud"),
        (2, {}, False, ""),
    ]
    html = client.get(LOOP).content.decode()
    assert "min_repeats = 8" in html
    assert "too loud" in html


@db
def test_a_change_is_in_the_audit_trail_with_before_and_after(client: Client, admin: Membership) -> None:
    save(client, min_repeats=8, note="too loud")
    entry = Entry.objects.get(action="detector.changed")
    assert (entry.actor_id, entry.target_name) == (str(admin.user.pk), "ToolLoop")
    assert entry.detail == {
        "version": 1,
        "before": ["the defaults"],
        "after": ["min_repeats = 8"],
        "note": "too loud",
    }


@db
def test_a_wrong_number_is_said_at_its_field_and_saves_nothing(client: Client) -> None:
    answer = save(client, min_repeats="many", min_similarity="2")
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "A whole number, 2 to 50; the default is 5." in html
    assert "A number, 0 to 1; the default is 0.8." in html
    assert not SettingsVersion.objects.exists()


@db
def test_saving_what_is_in_force_makes_no_version(client: Client) -> None:
    save(client, min_repeats=5, min_similarity="0.8")
    assert not SettingsVersion.objects.exists()


@db
def test_an_earlier_version_is_restored_as_a_new_one(client: Client, project: Project) -> None:
    save(client, min_repeats=8)
    save(client, base=1, min_repeats=9)
    first = SettingsVersion.objects.get(number=1)
    assert client.post(f"/detectors/versions/{first.pk}/restore").status_code == 302
    assert in_force(project) == ({"min_repeats": 8}, True)
    assert SettingsVersion.objects.get(number=3).note == "version 1 again"


@db
def test_a_version_that_the_code_takes_no_more_is_not_restored(client: Client, project: Project) -> None:
    save(client, min_repeats=8)
    SettingsVersion.objects.update(thresholds={"min_repeats": 1})
    answer = client.post(f"/detectors/versions/{SettingsVersion.objects.get().pk}/restore", follow=True)
    assert "cannot be restored" in answer.content.decode()
    assert in_force(project) == ({"min_repeats": 8}, True)


@db
def test_the_defaults_come_back_with_one_button(client: Client, project: Project) -> None:
    save(client, min_repeats=8, mode="off")
    save(client, base=1, reset=1, min_repeats="nonsense")
    assert in_force(project) == ({}, True)


@db
def test_who_looked_at_an_older_version_overwrites_nobody(client: Client, project: Project) -> None:
    save(client, min_repeats=8)
    answer = save(client, base=0, min_repeats=9)
    assert answer.status_code == 409
    assert "saved version 1 meanwhile" in answer.content.decode()
    assert in_force(project)[0] == {"min_repeats": 8}
    with pytest.raises(ChangedMeanwhileError):
        set_detector(project, ToolLoop, Wish(), by=make_membership(project).user, base=0)


@db
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER])
def test_others_read_the_numbers_and_whom_to_ask(project: Project, role: str) -> None:
    html = signed_in(make_membership(project, role)).get(LOOP).content.decode()
    assert "This needs the role admin in this project." in html
    assert SET not in html


@db
def test_a_program_reads_what_is_set(client: Client, project: Project) -> None:
    save(client, min_repeats=8)
    api = Client(headers=bearer(make_key(project, "read").token))
    found = api.get("/api/v1/detectors").json()
    assert found["next"] is None
    assert [one["name"] for one in found["results"]] == [
        kind.name() for kind in sorted(all_detectors(), key=lambda kind: (kind.pattern, kind.name()))
    ]
    one = api.get("/api/v1/detectors/ToolLoop").json()
    assert one["thresholds"][0] == {
        "name": "min_repeats", "unit": "times", "allowed": "2 to 50", "default": 5.0, "value": 8.0
    }  # fmt: skip
    assert set(one["about"]) == {"Definition", "Input", "Misses", "Source"}
    assert api.get("/api/v1/detectors/Nobody").status_code == 404
