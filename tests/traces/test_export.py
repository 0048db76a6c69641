"""Exports: few run at once, as they hold a thread for as long as their reader takes; each step is read once."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import make_project
from tests.traces.api import Api
from tests.traces.builders import step
from traces import export
from traces.api import rationed

pytestmark = pytest.mark.django_db


def test_exports_beyond_the_few_that_may_run_are_asked_to_come_again() -> None:
    api = Api(make_project())
    api.post(step(1))
    reading = [api.get("traces/t-1/export") for _ in range(rationed.MAX_AT_ONCE)]
    refused = api.get("traces/t-1/export")
    assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    for answer in reading:
        assert b"t-1" in b"".join(answer.streaming_content)
    assert b"t-1" in b"".join(api.get("traces/t-1/export").streaming_content)


def test_a_reader_that_goes_away_gives_its_place_back() -> None:
    going = [rationed.Rationed(iter([b"x"])) for _ in range(rationed.MAX_AT_ONCE)]
    with pytest.raises(rationed.AllTakenError):
        rationed.Rationed(iter([b"x"]))
    going[0].close()
    going[0].close()
    again = rationed.Rationed(iter([b"x"]))
    assert list(again) == [b"x"]
    for one in going:
        one.close()


def exported(api: Api) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the steps of the export, and the queries that read bodies."""
    with CaptureQueriesContext(
        connection,
    ) as queries:
        lines = b"".join(api.get("traces/t-1/export").streaming_content).splitlines()
    steps = [item for item in map(json.loads, lines) if "event_type" in item]
    return steps, [one["sql"] for one in queries if '"traces_span"."thinking",' in one["sql"]]


def test_an_export_sorts_the_trace_once_and_reads_each_window_by_key() -> None:
    api = Api(make_project())
    api.post([step(number) for number in range(1_201, 0, -1)])
    steps, reads = exported(api)
    assert [one["step_number"] for one in steps] == list(range(1, 1_202))
    assert len(reads) == 3
    assert not any("ORDER BY" in sql or "OFFSET" in sql for sql in reads)


def test_a_window_of_an_export_ends_before_its_texts_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "WINDOW_BYTES", 5_000)
    api = Api(make_project())
    api.post([step(number, text="x" * 2_000) for number in range(1, 7)] + [step(7, text="x" * 9_000), step(8)])
    steps, reads = exported(api)
    assert [len(one.get("text", "")) for one in steps] == [2_000] * 6 + [9_000, 0]
    assert len(reads) == 5
