"""What a batch leaves in the database: rows, sums, jobs and a ledger that adds up, also when it comes again."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentops.accounts.models import Project
from tests.instance import wait_until
from tests.traces.builders import send, step
from traces.ingest.columns import SAID
from traces.ingest.record import SpanRecord
from traces.models import DetectJob, IngestBatch, Session, Span, Toolset, Trace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    return Project.objects.create(slug="p", name="P")


def test_a_step_is_stored_with_its_trace_session_job_and_ledger_row(project: Project) -> None:
    receipt = send(
        project,
        step(
            1, session_id="s-1", agent="desk", tool_input={"q": "x"}, tool_output="[]", duration_ms=120, cost_usd=0.25
        ),
    )
    assert (receipt.accepted, receipt.duplicates, receipt.repaired, receipt.rejected) == (1, 0, 0, [])
    trace = Trace.objects.get()
    assert (trace.external_trace_id, trace.agent, trace.steps, trace.spans, trace.shape) == ("t-1", "desk", 1, 1, "t")
    assert (trace.cost_usd, trace.duration_s, trace.tool_names) == (Decimal("0.25"), 0.12, ["search_database"])
    assert trace.session == Session.objects.get(session_id="s-1")
    span = Span.objects.get()
    assert (span.trace_day, span.input, span.output) == (trace.trace_day, '{"q":"x"}', '"[]"')
    assert (span.input_preview, span.output_preview) == ('q: "x"', "[]")
    assert DetectJob.objects.get().trace == trace
    assert IngestBatch.objects.get(pk=receipt.batch_id).traces == [trace.trace_id]


def test_the_same_batch_again_is_all_duplicates_and_changes_no_sum(project: Project) -> None:
    steps = [step(i, input_tokens=10, tool_output={"n": i}) for i in range(5)]
    send(project, *steps)
    before = Trace.objects.values().get()
    receipt = send(project, *steps)
    assert (receipt.accepted, receipt.duplicates) == (0, 5)
    after = Trace.objects.values().get()
    for moving in ("last_received_at", "closes_at", "arrivals"):
        before.pop(moving), after.pop(moving)
    assert after == before
    assert not Span.objects.filter(revised=True).exists()


def test_a_step_sent_twice_in_one_batch_is_stored_once(project: Project) -> None:
    receipt = send(project, step(1), step(1), step(1, tool_output="late"))
    assert (receipt.accepted, receipt.duplicates) == (2, 1)
    assert Span.objects.get().output == '"late"'
    assert Trace.objects.get().steps == 1


def test_a_merge_fills_nulls_takes_a_later_end_and_marks_a_contradiction(project: Project) -> None:
    send(project, step(1, tool_output="first", duration_ms=100))
    added = send(project, step(1, tool_output="first", duration_ms=300, input_tokens=7, model="m"))
    assert (added.accepted, added.duplicates) == (1, 0)
    contradicting = send(project, step(1, tool_output="second", duration_ms=200))
    assert (contradicting.accepted, contradicting.duplicates) == (0, 1)
    span = Span.objects.get()
    assert (span.output, span.input_tokens, span.model, span.revised) == ('"first"', 7, "m", True)
    assert span.ended_at is not None
    assert (span.ended_at - span.started_at).total_seconds() == 0.3
    assert Trace.objects.get().input_tokens == 7
    assert span.arrival == 1


def test_the_sums_of_a_trace_are_those_of_its_spans(project: Project) -> None:
    send(project, step(1, trace_status="running"), step(2, event_type="error", error="boom"))
    send(project, step(3, is_error=True), step(4, event_type="model_response", input_tokens=5, text="hello"))
    send(project, step(5, event_type="human_gate"), step(6, event_type="human_gate", decision="approved"))
    trace = Trace.objects.get()
    assert (trace.steps, trace.errors, trace.input_tokens, trace.shape) == (6, 2, 5, "teemcg")
    assert trace.preview == "hello"


def test_what_a_merge_refuses_changes_no_sum(project: Project) -> None:
    send(project, step(1, is_error=False, model="m", cost_usd=1.0))
    for _ in range(3):
        send(
            project,
            step(1, is_error=True, model="other", tool_name="other", cost_usd=2.0, timestamp="2020-01-01T00:00:00Z"),
        )
    trace = Trace.objects.get()
    assert (trace.errors, trace.model, trace.tool_names, trace.cost_usd) == (0, "m", ["search_database"], Decimal(1))
    assert trace.started_at is not None
    assert trace.started_at.year == 2026


def test_a_step_that_turns_out_failed_counts_once(project: Project) -> None:
    for _ in range(3):
        send(project, step(1), step(1, is_error=True))
    assert Trace.objects.get().errors == 1


def test_the_sum_of_many_costly_steps_is_held(project: Project) -> None:
    assert send(project, *(step(i, cost_usd=1_000_000) for i in range(1_200))).accepted == 1_200
    assert Trace.objects.get().cost_usd == Decimal(1_200_000_000)


def test_a_session_gets_its_user_from_whoever_names_them_first(project: Project) -> None:
    for user in (None, "anna", "bob"):
        send(project, step(1, session_id="s", user=user))
    assert Session.objects.get().user == "anna"


def test_new_sessions_and_traces_at_once_do_not_deadlock(project: Project) -> None:
    barrier, failures = threading.Barrier(6), []

    def run(worker: int) -> None:
        barrier.wait()
        try:
            for i in range(8):
                names = [f"s-{i}-{n}" for n in range(5)]
                with transaction.atomic():
                    send(project, *(step(n, f"t-{worker}-{n}", session_id=name) for n, name in enumerate(names)))
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_of_two_batches_that_make_the_same_trace_one_is_done_anew(project: Project) -> None:
    receipts: list[Any] = []

    def run() -> None:
        receipts.append(send(project, step(2, cost_usd=2.0, tool_name="b"), step(1)))
        connection.close()

    late = threading.Thread(target=run)
    with transaction.atomic():
        send(project, step(1, cost_usd=1.0, tool_name="a"))
        late.start()
        with connection.cursor() as cursor:
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
            assert wait_until(lambda: cursor.execute(waits) or cursor.fetchone() == (1,), 10)
    late.join(10)
    (receipt,) = receipts
    assert (receipt.accepted, receipt.duplicates) == (1, 1)
    trace = Trace.objects.get()
    assert (trace.steps, trace.cost_usd, trace.tool_names) == (2, Decimal(3), ["a", "b"])
    assert set(Span.objects.values_list("trace_ref", flat=True)) == {trace.pk}


def test_a_trace_closes_when_told_and_its_sender_may_open_it_again(project: Project) -> None:
    send(project, step(1))
    assert send(project, {"trace_id": "t-1", "trace_status": "error"}).accepted == 1
    assert send(project, {"trace_id": "t-1", "trace_status": "error"}).duplicates == 1
    trace = Trace.objects.get()
    assert (trace.status, trace.closes_at) == ("error", None)
    assert trace.closed_at is not None
    send(project, step(2))
    assert Trace.objects.get().status == "error"
    send(project, {"trace_id": "t-1", "trace_status": "running"})
    assert Trace.objects.get().status == "running"


def test_a_step_of_another_project_is_another_step(project: Project) -> None:
    other = Project.objects.create(slug="o", name="O")
    send(project, step(1, session_id="s"))
    assert send(other, step(1, session_id="s")).accepted == 1
    assert Trace.objects.of(project).count() == Trace.objects.of(other).count() == 1


def test_a_toolset_is_stored_once_however_often_it_is_offered(project: Project) -> None:
    tools = [{"name": "search", "schema": {"type": "object"}, "risk": "low"}]
    send(project, step(1, tools=tools), step(2, tools=tools))
    send(project, step(3, tools=tools))
    assert Toolset.objects.get().tools == tools
    assert set(Span.objects.values_list("toolset", flat=True)) == {Toolset.objects.get().pk}


def test_a_long_trace_keeps_its_tools_and_a_short_drawing(project: Project) -> None:
    for start in range(0, 400, 50):
        send(project, *(step(i, tool_name=f"tool {i % 7}") for i in range(start, start + 50)))
    trace = Trace.objects.get()
    assert (trace.steps, len(trace.tool_names)) == (400, 7)
    assert 36 <= len(trace.shape) <= 72


def test_spans_lie_in_the_partition_of_their_day(project: Project) -> None:
    send(project, step(1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM traces_span")
        assert cursor.fetchall() == [(f"traces_span_{Trace.objects.get().trace_day:%Y%m%d}",)]


def test_batches_of_one_trace_at_once_lose_and_double_nothing(project: Project) -> None:
    receipts: list[Any] = []
    barrier = threading.Barrier(4)

    def run(worker: int) -> None:
        barrier.wait()
        receipts.extend(send(project, *(step(n, session_id="s") for n in range(i, i + 5 + worker))) for i in range(10))
        connection.close()

    threads = [threading.Thread(target=run, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 40
    assert sum(receipt.accepted for receipt in receipts) == Span.objects.count() == Trace.objects.get().steps == 17


ITEMS = st.lists(
    st.one_of(
        st.builds(step, st.integers(0, 4), st.sampled_from(["a", "b"]), text=st.sampled_from([None, "x", "y\0"])),
        st.builds(dict, trace_id=st.sampled_from(["a", "c"]), trace_status=st.sampled_from(["ok", "running", "bad"])),
        st.sampled_from([1, None, {}, {"trace_id": ""}]),
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(ITEMS, min_size=1, max_size=3))
def test_received_is_always_accepted_and_duplicate_and_rejected(project: Project, batches: list[list[Any]]) -> None:
    Trace.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE traces_span")
    accepted = 0
    for items in batches:
        receipt = send(project, *items)
        assert receipt.accepted + receipt.duplicates + len(receipt.rejected) == len(items)
        accepted += receipt.accepted
    assert accepted >= Span.objects.count()
    for trace in Trace.objects.all():
        assert trace.steps == Span.objects.filter(trace_ref=trace).count()


TOO_LONG = "x" * 201


@pytest.mark.parametrize(
    "fields",
    [{name: TOO_LONG} for name in ("user", "trace_name", "environment", "release", "agent")]
    + [{"metadata": {"note": "x" * 256_001}}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_is_cut_is_counted_as_repaired(project: Project, fields: dict[str, Any]) -> None:
    assert send(project, step(1, **fields)).repaired == 1


def test_a_record_has_its_columns_in_their_order() -> None:
    assert SpanRecord.__struct_fields__[1 : 1 + len(SAID)] == tuple(column.name for column in SAID)
