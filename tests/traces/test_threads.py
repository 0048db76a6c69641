"""Threads: a client that sends one trace for each call gives one run, whatever came first; other traces stay apart."""

import json
import threading
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from agentops.accounts.models import Membership, Role
from tests.approvals.builders import propose
from tests.builders import make_membership, make_project, signed_in
from tests.traces.api import Api
from tests.traces.otlp import AGENT, CHAT, TOOL, Exporter, span
from traces.detectors.fold import detect_trace
from traces.detectors.models import Finding
from traces.models import Trace
from traces.threads.models import Part

pytestmark = pytest.mark.django_db
SESSION = {"gen_ai.conversation.id": "c-1"}


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.VIEWER)


@pytest.fixture
def exporter(member: Membership) -> Exporter:
    return Exporter(member.project)


@pytest.fixture
def api(member: Membership) -> Api:
    return Api(member.project)


def call_id(number: int) -> str:
    return f"call_{number:020d}"


def lone(number: int, said: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a span that is the whole of its trace."""
    answer = CHAT | {"gen_ai.response.id": f"resp_{number:020d}"} | (said or {})
    return span(number, answer, traceId=f"{number:032x}", **fields)


def turn(number: int, last: int) -> dict[str, Any]:
    """Return one call of a model in a chain: it is told the result that the one before asked for, and asks anew."""
    asked = {"role": "user", "parts": [{"type": "text", "content": "Pay."}]}
    asks = {"type": "tool_call", "id": call_id(number), "name": "pay", "arguments": {"n": 1}}
    gets = {"type": "tool_call_response", "id": call_id(number - 1), "response": "no"}
    before = {"type": "tool_call", "id": call_id(number - 1), "name": "pay", "arguments": {"n": 1}}
    history = [{"role": "assistant", "parts": [before]}, {"role": "tool", "parts": [gets]}] if number > 1 else []
    answer = [asks] if number < last else [{"type": "text", "content": "Done."}]
    return lone(
        number,
        {
            "gen_ai.input.messages": json.dumps([asked, *history]),
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": answer}]),
        },
    )


def ids(exporter: Exporter) -> list[list[str]]:
    """Return, for each trace, which of the sent spans it has, by their numbers; steps that were told are `c`."""
    traces = Trace.objects.of(exporter.project).order_by("started_at")
    found: dict[Any, list[str]] = {trace.pk: [] for trace in traces}
    for one in exporter.spans():
        found[one.trace_ref_id].append("c" if one.span_id.startswith("call-") else one.span_id[-1])
    return list(found.values())


def expect_sums_right(exporter: Exporter) -> None:
    for trace in Trace.objects.of(exporter.project):
        spans = [one for one in exporter.spans() if one.trace_ref_id == trace.pk]
        steps = [one for one in spans if one.event_type]
        assert (trace.spans, trace.steps) == (len(spans), len(steps))
        assert trace.input_tokens == sum(one.input_tokens or 0 for one in spans)
        assert trace.tool_names == sorted({one.tool_name for one in steps if one.tool_name})
        assert (trace.started_at, trace.ended_at) == (spans[0].started_at, max(one.ended_at for one in spans))  # type: ignore[type-var]
        arrivals = [one.arrival for one in spans]
        assert len(set(arrivals)) == len(arrivals)
        assert max(arrivals) < trace.arrivals


def test_the_calls_of_a_session_are_one_run_named_by_what_was_asked(exporter: Exporter) -> None:
    for number in (1, 2, 3):
        exporter.send(lone(number, SESSION))
    assert ids(exporter) == [["1", "2", "3"]]
    trace = exporter.trace()
    assert (trace.title, trace.status, trace.steps, trace.input_tokens) == ("Weather?", "running", 3, 90)
    assert trace.closes_at is not None
    # No span says where the run ends.
    assert timedelta(minutes=10) < trace.closes_at - trace.last_received_at <= timedelta(minutes=10, seconds=10)
    expect_sums_right(exporter)


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_calls_are_joined_by_the_ids_of_tool_calls_in_whatever_order_they_come(
    exporter: Exporter, order: tuple[int, ...]
) -> None:
    for number in order:
        exporter.send(turn(number, 3))
    assert ids(exporter) == [["1", "c", "2", "c", "3"]]
    expect_sums_right(exporter)
    for number in order:
        exporter.send(turn(number, 3))
    assert ids(exporter) == [["1", "c", "2", "c", "3"]]
    expect_sums_right(exporter)


def test_calls_of_one_request_are_joined_and_the_span_of_a_tool_takes_the_place_of_the_call(exporter: Exporter) -> None:
    tool = span(9, TOOL | {"gen_ai.tool.name": "pay", "gen_ai.tool.call.id": call_id(1)}, traceId="9" * 32)
    exporter.send(turn(1, 2), turn(2, 2), tool)
    assert ids(exporter) == [["1", "2", "9"]]
    expect_sums_right(exporter)


def test_a_child_that_comes_before_its_lone_call_moves_with_it(exporter: Exporter) -> None:
    exporter.send(lone(1, SESSION))
    exporter.send(span(5, {}, traceId=f"{2:032x}", parentSpanId=f"{2:016x}"))
    assert len(ids(exporter)) == 2
    exporter.send(lone(2, SESSION))
    assert ids(exporter) == [["1", "2", "5"]]
    expect_sums_right(exporter)
    exporter.send(span(6, {}, traceId=f"{2:032x}", parentSpanId=f"{2:016x}"))
    assert ids(exporter) == [["1", "2", "5", "6"]]


def test_what_does_not_belong_together_stays_apart(exporter: Exporter) -> None:
    exporter.send(lone(1, SESSION), lone(2, {"gen_ai.conversation.id": "c-2"}), lone(3), lone(4))
    exporter.send(span(5, AGENT | SESSION, traceId="5" * 32))  # a run of the same session, with a span around it
    other = Exporter(make_project())
    other.send(lone(6, SESSION))
    assert ids(exporter) == [["1"], ["2"], ["3"], ["4"], ["5"]]
    assert ids(other) == [["6"]]
    assert Part.objects.of(exporter.project).count() == 2


def test_a_tool_that_lost_its_run_comes_back_to_it(exporter: Exporter) -> None:
    asks = json.dumps([{"role": "assistant", "parts": [{"type": "tool_call", "id": call_id(1), "name": "pay"}]}])
    exporter.send(
        span(1, AGENT, name="invoke"), span(2, CHAT | {"gen_ai.output.messages": asks}, parentSpanId=f"{1:016x}")
    )
    exporter.send(span(3, TOOL | {"gen_ai.tool.name": "pay", "gen_ai.tool.call.id": call_id(1)}, traceId="3" * 32))
    assert ids(exporter) == [["1", "2", "3"]]
    assert exporter.trace().name == "invoke"


def test_a_session_goes_on_in_a_new_thread_days_later(exporter: Exporter) -> None:
    exporter.send(lone(1, SESSION))
    Trace.objects.of(exporter.project).update(trace_day=F("trace_day") - timedelta(days=2))
    exporter.send(lone(2, SESSION))
    exporter.send(lone(3, SESSION))
    days = Trace.objects.of(exporter.project).order_by("id").values_list("steps", flat=True)
    assert list(days) == [1, 2]


def test_a_loop_over_several_traces_is_found(exporter: Exporter, api: Api) -> None:
    for number in range(1, 7):
        exporter.send(turn(number, 6))
        detect_trace(exporter.trace())
    finding = Finding.objects.get()
    assert (finding.pattern, finding.tool_name, len(finding.evidence)) == ("tool_loop", "pay", 5)
    for number in (1, 5):
        found = api.get("findings", trace=f"{number:032x}").json()["results"]
        assert [one["trace_id"] for one in found] == [f"{1:032x}"]
    assert api.get("traces", pattern="tool_loop").json()["results"][0]["steps"] == 11


def test_every_id_leads_to_the_run_on_pages_and_in_the_api(exporter: Exporter, api: Api, member: Membership) -> None:
    exporter.send(lone(1, SESSION))
    exporter.send(lone(2, SESSION))
    (listed,) = api.get("traces").json()["results"]
    assert listed["trace_id"] == f"{1:032x}"
    for number in (1, 2):
        assert api.get(f"traces/{number:032x}").json() == listed
        steps = api.get(f"traces/{number:032x}/steps").json()["results"]
        assert [step["trace_id"] for step in steps] == [listed["trace_id"]] * 2
        assert [step["metadata"].get("agentops.trace_id") for step in steps] == [None, f"{2:032x}"]
        assert api.get(f"traces/{number:032x}/steps/{2:016x}").json() == steps[1]
    client = signed_in(member)
    moved = client.get(f"/traces/{2:032x}", {"step": f"{2:016x}"})
    assert moved["Location"] == f"/traces/{1:032x}?step={2:016x}"
    assert "of 2 traces" in client.get(moved["Location"]).content.decode()
    assert client.get("/traces", {"q": f"{2:032x}"})["Location"] == f"/traces/{1:032x}"
    assert api.get(f"traces/{3:032x}").status_code == 404


def test_an_exported_thread_is_imported_as_the_same_run(exporter: Exporter, api: Api) -> None:
    for number in (1, 2):
        exporter.send(turn(number, 2))
    lines = b"".join(api.get(f"traces/{2:032x}/export").streaming_content)
    again = Api(make_project())
    assert again.post(lines, "application/x-ndjson").json()["rejected"] == []
    before, after = (one.get(f"traces/{1:032x}/steps").json()["results"] for one in (api, again))
    own = {"received_at", "step_number"}
    assert [{k: v for k, v in step.items() if k not in own} for step in after] == [
        {k: v for k, v in step.items() if k not in own} for step in before
    ]


def test_a_thread_that_was_stopped_is_stopped_for_each_of_its_ids(exporter: Exporter) -> None:
    exporter.send(lone(1, SESSION))
    exporter.send(lone(2, SESSION))
    Trace.objects.of(exporter.project).update(stopped_at=F("received_at"))
    assert [propose(exporter.project, trace_id=UUID(int=n)).status for n in (1, 2)] == ["denied", "denied"]


def test_traces_with_a_span_around_their_calls_cost_one_statement_more(
    exporter: Exporter,
) -> None:
    exporter.send(span(1, AGENT), span(2, CHAT, parentSpanId=f"{1:016x}"))
    with CaptureQueriesContext(connection) as queries:
        exporter.send(span(3, CHAT, parentSpanId=f"{1:016x}"))
    assert sum("threads_part" in one["sql"] for one in queries) == 1
    assert not any("advisory" in one["sql"] for one in queries)


@pytest.mark.django_db(transaction=True)
def test_calls_of_a_session_that_come_at_the_same_moment_are_one_run(exporter: Exporter) -> None:
    start = threading.Barrier(4)
    answers: list[dict[str, Any]] = []

    def run(number: int) -> None:
        sender = Exporter.__new__(Exporter)
        sender.project, sender.token, sender.client = exporter.project, exporter.token, type(exporter.client)()
        start.wait()
        answers.extend(sender.send(lone(each, SESSION)) for each in (number, number + 4))
        connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert ids(exporter) == [[str(number) for number in range(1, 9)]]
    expect_sums_right(exporter)


@pytest.mark.data
def test_a_capture_of_lone_calls_gives_a_list_of_runs(exporter: Exporter, lent_data: Path, api: Api) -> None:
    path = lent_data / "otlp" / "openllmetry-anthropic.013.traces.pb"
    if not path.is_file():
        pytest.skip("the capture is absent")
    exporter.post(path.read_bytes())
    runs = api.get("traces").json()["results"]
    assert [(run["steps"], run["tool_names"]) for run in runs] == [(3, ["get_weather"])] * 2
