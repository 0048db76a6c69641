"""bad_signature: what is a wrong call, and what only looks like one."""

from typing import Any

import msgspec
import pytest

from tests.builders import make_project
from tests.detectors.steps import hits, kinds, make_step
from tests.traces.builders import send, step
from traces.detectors.bad_signature import BadSignature
from traces.detectors.base import Severity, Step
from traces.detectors.fold import STATE_BYTES, detect_trace
from traces.detectors.models import DetectorState, Finding
from traces.models import Trace

TOOLS = [
    {
        "name": "refund",
        "schema": {
            "type": "object",
            "properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}, "note": {"type": "string"}},
            "required": ["order_id"],
        },
    },
    {"name": "orders.find"},
]
GOOD = {"order_id": "W1", "amount": 5}
BAD = {"order_id": "W1", "amount": "5"}


def call(number: int = 1, tool: str = "refund", arguments: Any = None, **fields: Any) -> Step:
    offered = fields.pop("tools", TOOLS)
    return make_step(number, tool_name=tool, arguments=arguments or GOOD, tools=offered, **fields)


def failed(number: int = 1, tool: str = "refund", arguments: Any = None, **fields: Any) -> Step:
    return call(number, tool, arguments, is_error=True, error="no", result="No", **fields)


def person(number: int, text: str) -> Step:
    return make_step(number, event_type="human_gate", tool_name=None, gate="user_turn", text=text, result=None)


def found(*steps: Step) -> set[str]:
    return kinds(BadSignature(), steps)


def test_a_tool_that_was_not_offered_is_unknown() -> None:
    ((kind, _), hit) = next(iter(hits(BadSignature(), [failed(3, "refund_all")]).items()))
    assert (kind, hit.tool, hit.severity) == ("unknown_tool", "refund_all", None)
    assert hit.say == "refund_all is none of the 2 tools that were offered."
    assert found(call(1, "refund_all")) == {"unknown_tool"}


def test_the_tools_of_the_turn_count() -> None:
    assert found(call(tools=TOOLS[1:])) == {"unknown_tool"}
    assert found(call(tools=TOOLS)) == set()


@pytest.mark.parametrize("name", ["refund<|channel|>commentary", " refund", "functions.refund", "mcp:refund"])
def test_an_odd_name_stands_for_the_tool_it_names_unless_the_call_failed(name: str) -> None:
    assert found(call(1, name)) == set()
    assert found(call(1, name, BAD)) == {"schema_tolerated"}
    assert found(failed(1, name)) == {"unknown_tool"}


def test_arguments_that_break_the_schema_are_told_by_what_became_of_the_call() -> None:
    (hit,) = hits(BadSignature(), [failed(1, arguments=BAD)]).values()
    assert (hit.kind, hit.severity) == ("schema_failed", None)
    assert 'amount is "5", not of type number' in hit.say
    (hit,) = hits(BadSignature(), [call(1, arguments=BAD)]).values()
    assert (hit.kind, hit.severity) == ("schema_tolerated", Severity.LOW)


def test_where_no_results_are_recorded_a_broken_schema_is_a_failure() -> None:
    assert found(call(1, arguments=BAD, result=None)) == {"schema_failed"}
    assert found(call(1), call(2, arguments=BAD, result=None)) == {"schema_tolerated"}


@pytest.mark.parametrize(
    "steps",
    [
        [failed(1)],
        [failed(1, arguments={**GOOD, "note": None})],
        [failed(1, "orders.find", {"anything": 1})],
        [failed(1, arguments={"_raw": "{"}, is_truncated=True)],
        [failed(1, "refund_all", tools=None)],
    ],
    ids=["another failure", "null for an optional argument", "no schema", "cut arguments", "no toolset"],
)
def test_what_only_looks_like_a_wrong_call_is_none(steps: list[Step]) -> None:
    assert found(*steps) == set()


def test_wrong_calls_of_one_tool_are_one_finding_that_accuses_each() -> None:
    one = BadSignature()
    steps = [failed(1, arguments=BAD), call(2), failed(3, arguments=BAD), failed(4, "other")]
    said = [hit for each in steps for hit in one.see(each)]
    assert [(hit.kind, hit.onset.number, hit.last.number) for hit in said] == [
        ("schema_failed", 1, 1),
        ("schema_failed", 1, 3),
        ("unknown_tool", 4, 4),
    ]
    assert said[1].say.endswith("; 2 such calls so far.")
    assert said[1].evidence == ("span-1", "span-3")


def test_an_id_that_nobody_has_shown_is_from_nowhere() -> None:
    steps = [
        person(1, "Refund order #W4967593 of ann@example.org"),
        call(2, arguments={"order_id": "w4967593"}, result="items 4168944673, 3320557165"),
        call(3, arguments={"order_id": "W4967593", "note": "ann@example.org"}),
        call(4, arguments={"order_id": "3320557165"}),
    ]
    assert found(*steps) == set()
    (hit,) = hits(BadSignature(), [*steps, call(5, arguments={"order_id": "W4967594"})]).values()
    assert (hit.kind, hit.severity, hit.onset.number) == ("provenance", Severity.LOW, 5)
    assert "W4967594" in hit.say


def test_what_was_not_recorded_whole_is_no_nowhere() -> None:
    made_up = call(9, arguments={"order_id": "W4967594"})
    assert found(person(1, "Hello"), made_up) == {"provenance"}
    assert found(made_up) == set()
    assert found(person(1, "Hello"), call(2, result=None), made_up) == set()
    one = BadSignature()
    list(one.see(made_up))
    assert any("where identifiers come from" in why for why in one.coverage())


def test_its_memory_is_bounded_whatever_is_sent() -> None:
    one = BadSignature()
    list(one.see(person(0, "Hello")))
    for i in range(1, 200):
        text = " ".join(f"W{i}0{n}" for n in range(50))
        name = "\x01" * 60 + str(i)
        list(one.see(failed(i, name, {"order_id": f"Q{i:09}"}, span_id="\x01" * 190 + str(i), result_hash=i)))
        list(one.see(call(i, result=text)))
        assert len(msgspec.json.encode(one.state)) <= STATE_BYTES


@pytest.mark.django_db
def test_a_wrong_call_is_found_in_what_is_sent() -> None:
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    send(
        make_project(),
        step(
            1, event_type="model_response", tool_name=None, agent="desk", tools=[{"name": "refund", "schema": schema}]
        ),
        step(2, agent="desk", tool_name="refund", tool_input={}, tool_output="order_id?", is_error=True),
        step(3, agent="desk", tool_name="find", tool_input={}, tool_output="no such tool", is_error=True),
    )
    detect_trace(Trace.objects.get())
    findings = Finding.objects.order_by("onset_number")
    assert [(each.kind, each.onset_number, each.severity) for each in findings] == [
        ("schema_failed", 2, "medium"),
        ("unknown_tool", 3, "medium"),
    ]


@pytest.mark.django_db
def test_without_offered_tools_the_trace_says_that_it_was_not_judged() -> None:
    send(make_project(), step(1, tool_input={"q": "x"}, tool_output="none"))
    detect_trace(Trace.objects.get())
    said = DetectorState.objects.get().coverage["BadSignature"]
    assert said[0] == "no tools were offered, as far as was recorded: 1 call not checked"
