"""What the clock does to traces: closes the quiet ones, makes partitions ahead, removes what is too old."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now

from tests.builders import make_project
from tests.traces.builders import send, step
from traces import partitions
from traces.closing import close_quiet_traces
from traces.models import DetectJob, IngestBatch, Session, Span, Trace
from traces.partitions import analyze_new, drop_partitions, ensure_partitions, partition_name
from traces.retention import remove_old
from traces.threads.models import Part

pytestmark = pytest.mark.django_db


def quieten(*names: str) -> None:
    Trace.objects.filter(external_trace_id__in=names).update(closes_at=Now() - timedelta(minutes=1))


def test_a_quiet_trace_is_closed_by_how_its_last_step_went() -> None:
    project = make_project()
    send(project, step(1, "good"), step(1, "bad"), step(2, "bad", is_error=True), step(1, "busy"))
    quieten("good", "bad")
    assert close_quiet_traces() == 2
    assert dict(Trace.objects.values_list("external_trace_id", "status")) == {
        "good": "ok",
        "bad": "error",
        "busy": "running",
    }
    assert close_quiet_traces() == 0


def test_a_trace_is_closed_by_its_last_step_not_by_a_late_or_an_earlier_one() -> None:
    project = make_project()
    send(project, *(step(i, "long", is_error=i == 72) for i in range(1, 75)))
    send(project, step(5, "late"))
    send(project, step(2, "late", is_error=True))
    quieten("long", "late")
    close_quiet_traces()
    assert set(Trace.objects.values_list("status", flat=True)) == {"ok"}


def test_steps_that_come_after_a_quiet_close_open_the_trace_again() -> None:
    project = make_project()
    send(project, step(1))
    quieten("t-1")
    close_quiet_traces()
    send(project, step(2))
    trace = Trace.objects.get()
    assert (trace.status, trace.closed_at) == ("running", None)


def test_partitions_are_made_a_week_ahead_and_only_once() -> None:
    today = datetime(2031, 5, 1, tzinfo=UTC).date()
    assert len(ensure_partitions(today)) == 8
    assert ensure_partitions(today) == []
    assert ensure_partitions(today + timedelta(days=1)) == [today + timedelta(days=8)]


def test_autovacuum_leaves_partitions_alone_that_only_grow_and_their_bodies() -> None:
    ensure_partitions(datetime(2031, 5, 1, tzinfo=UTC).date())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), bool_and(coalesce("
            "   ARRAY['autovacuum_vacuum_insert_threshold=-1'] <@ t.reloptions, false))"
            " FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid JOIN pg_class t ON t.oid IN (c.oid, c.reltoastrelid)"
            " WHERE inhparent = 'traces_span'::regclass"
        )
        tables, are_alone = cursor.fetchone()
    assert (tables > 16, are_alone) == (True, True)


@pytest.mark.django_db(transaction=True)
def test_a_new_day_has_statistics_soon() -> None:
    def rows_known() -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute("SELECT reltuples FROM pg_class WHERE relname = %s", [partition_name(day)])
            return float(cursor.fetchone()[0])

    day = datetime.now(UTC).date() + timedelta(days=400)
    made = ensure_partitions(day)
    assert analyze_new() != partition_name(day)
    send(make_project(), *(step(number) for number in range(1, 601)))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traces_span SET trace_day = %s", [day])
    assert (rows_known(), analyze_new(), rows_known()) == (-1, partition_name(day), 600)
    assert analyze_new() != partition_name(day)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {', '.join(map(partition_name, made))}")


def test_a_day_that_has_spans_in_the_default_partition_stays_there() -> None:
    project = make_project()
    send(project, step(1))
    day = datetime(2032, 1, 1, tzinfo=UTC).date()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traces_span SET trace_day = %s", [day])
    assert day not in ensure_partitions(day)


@pytest.mark.django_db(transaction=True)
def test_what_is_too_old_is_removed_whole(settings: object) -> None:
    project = make_project()
    send(project, step(1, "old", session_id="old"), step(1, "new", session_id="new"))
    old = datetime.now(UTC) - timedelta(days=91)
    ensure_partitions(old.date())
    Trace.objects.filter(external_trace_id="old").update(trace_day=old.date())
    Session.objects.filter(session_id="old").update(received_at=old)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traces_span SET trace_day = t.trace_day FROM traces_trace t WHERE t.id = trace_ref_id")
    for trace, received_at in enumerate((old, datetime.now(UTC)), 1):
        Part.objects.create(project=project, trace_id=UUID(int=trace), thread=UUID(int=1), received_at=received_at)
    remove_old()
    assert Part.objects.get().trace_id == UUID(int=2)
    assert Trace.objects.get().external_trace_id == "new"
    assert Session.objects.get().session_id == "new"
    assert (Span.objects.count(), DetectJob.objects.count(), IngestBatch.objects.count()) == (1, 1, 1)
    assert partition_name(old.date()) not in connection.introspection.table_names()
    for ahead in range(8):
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {partition_name(old.date() + timedelta(days=ahead))}")


def test_a_step_that_comes_days_later_lies_beside_the_first_and_is_known_again() -> None:
    project = make_project()
    send(project, step(1))
    day = datetime.now(UTC).date() - timedelta(days=2)
    with connection.cursor() as cursor:  # as if the first had come then
        cursor.execute("UPDATE traces_trace SET trace_day = %s", [day])
        cursor.execute("UPDATE traces_span SET trace_day = %s", [day])
    receipt = send(project, step(1), step(2))
    assert (receipt.accepted, receipt.duplicates) == (1, 1)
    assert set(Span.objects.values_list("trace_day", flat=True)) == {day}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lock", [ensure_partitions, drop_partitions], ids=["made", "dropped"])
def test_a_long_reader_holds_up_no_batch_while_a_partition_is(
    lock: Callable[[date], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "WAIT", "50ms")
    project, day = make_project(), datetime(2033, 1, 1, tzinfo=UTC).date()
    reader = connection.get_new_connection({**connection.get_connection_params()})
    try:
        reader.execute("SELECT count(*) FROM traces_span")  # and its transaction goes on
        with pytest.raises(OperationalError):
            lock(day)
        assert send(project, step(1)).accepted == 1
    finally:
        reader.close()
