"""An id made anew for each step opens so many traces a minute and no more; whoever sends runs notices nothing."""

import json

import pytest

from tests.builders import make_project
from tests.traces.api import Api
from tests.traces.builders import step
from tests.traces.otlp import JSON, Exporter, request, span
from traces.ingest import newcomers
from traces.models import IngestBatch, Trace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "A_MINUTE", 3)
    monkeypatch.setattr(newcomers, "_opened", {})


def test_what_opens_a_trace_beyond_the_limit_is_to_come_again_and_the_rest_is_stored(api: Api) -> None:
    assert api.post([step(1, trace=name) for name in "abc"]).status_code == 200
    refused = api.post([step(2, trace="a"), step(1, trace="d")])
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert "3 new traces within a minute" in refused.json()["detail"]
    assert (Trace.objects.count(), IngestBatch.objects.count()) == (3, 1)
    assert api.post([step(2, trace=name) for name in "abc"]).json()["accepted"] == 3
    assert Api(make_project()).post(step(1, trace="d")).status_code == 200, "each project has its own"


def test_a_minute_later_there_is_room_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.post([step(1, trace=name) for name in "abc"])
    newcomers._opened[api.project.pk].until = 0
    assert api.post(step(1, trace="d")).status_code == 200


def test_it_holds_at_the_door_of_otlp_too() -> None:
    exporter = Exporter(make_project())
    newcomers.note(exporter.project.pk, 3)
    answer = exporter.post(json.dumps(request(span(1))).encode(), JSON)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
