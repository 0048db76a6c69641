"""tool_loop: what is a loop, and what only looks like one."""

import pytest

from tests.detectors.steps import hits, kinds, make_step
from traces.detectors.base import Step
from traces.detectors.tool_loop import ToolLoop


def calls(*answers: object, **fields: object) -> list[Step]:
    return [make_step(i, result=answer, **fields) for i, answer in enumerate(answers, 1)]


def test_three_equal_calls_with_equal_results_are_a_loop() -> None:
    assert kinds(ToolLoop(), calls("none", "none")) == set()
    ((kind, onset), hit) = next(iter(hits(ToolLoop(), calls("none", "none", "none")).items()))
    assert (kind, onset, hit.last.span_id) == ("repeated_call", "span-1", "span-3")
    assert hit.say == "search gave the same answer 3 times in a row."
    assert hit.evidence == ("span-1", "span-2", "span-3")


def test_a_loop_that_goes_on_stays_one_finding_with_its_first_onset() -> None:
    found = hits(ToolLoop(), calls(*["none"] * 100))
    assert list(found) == [("repeated_call", "span-1")]
    assert "100 times" in found["repeated_call", "span-1"].say


def test_two_equal_calls_that_change_something_are_a_loop() -> None:
    assert kinds(ToolLoop(), calls("done", "done", risk="high")) == {"repeated_call"}
    assert kinds(ToolLoop(), calls("done", "done", risk="read")) == set()


def test_without_recorded_results_equal_calls_count_and_the_finding_says_so() -> None:
    (hit,) = hits(ToolLoop(), calls(None, None, None)).values()
    assert "no result was recorded" in hit.say


def test_the_same_error_again_is_a_loop_whatever_the_arguments() -> None:
    steps = [
        make_step(i, arguments={"id": i}, result=f"error {i}", is_error=True, error="no such #") for i in range(1, 5)
    ]
    assert kinds(ToolLoop(), steps) == {"same_error"}
    assert kinds(ToolLoop(), steps[:3]) == set()


def test_a_cycle_over_two_tools_is_a_loop() -> None:
    steps = [make_step(i, tool_name=f"tool {i % 2}", result=i % 2) for i in range(1, 9)]
    assert kinds(ToolLoop(), steps[:5]) == set()
    found = hits(ToolLoop(), steps)
    assert [kind for kind, _ in found] == ["cycle"]
    assert "tool 1, tool 0" in next(iter(found.values())).say


def test_slightly_different_arguments_with_one_answer_are_a_loop() -> None:
    steps = [make_step(i, arguments={"q": f"refund for order 10428 {'please ' * i}"}, result=[]) for i in range(1, 6)]
    assert "unchanged" in kinds(ToolLoop(), steps)


@pytest.mark.parametrize(
    "steps",
    [
        calls("queued", "running 10 %", "running 60 %", "done"),
        [make_step(i, arguments={"page": i}, result=f"page {i}") for i in range(1, 9)],
        [make_step(i, arguments={"id": i * 7919}, result="updated", risk="medium") for i in range(1, 9)],
        [make_step(i, arguments={"id": i}, result="ok") for i in range(100, 140)],
        [
            *(make_step(i, is_error=True, error="timeout", result="timeout") for i in range(1, 3)),
            make_step(3, result="ok"),
        ],
        [make_step(i, tool_name=f"read {i % 5}", result=i % 5) for i in range(1, 11)],
    ],
    ids=[
        "polling that changes",
        "pagination",
        "one tool over many items",
        "one tool over items whose numbers are alike",
        "retry, then success",
        "reading five things twice",
    ],
)
def test_work_that_only_looks_like_a_loop_is_none(steps: list[Step]) -> None:
    assert kinds(ToolLoop(), steps) == set()


def test_a_long_loop_of_slightly_different_calls_stays_one_finding() -> None:
    steps = [make_step(i, arguments={"q": "shipping policy " * 12 + "!" * (i % 7)}, result=[]) for i in range(1, 1_500)]
    one = ToolLoop()
    found = [hit for step in steps for hit in one.see(step)]
    assert len({(hit.kind, hit.onset) for hit in found}) == 1
    assert found[-1].last == steps[-1].ref


def test_a_message_from_a_person_starts_anew() -> None:
    steps = calls("none", "none")
    turn = make_step(3, event_type="human_gate", tool_name=None, gate="user_turn", text="Try again")
    assert kinds(ToolLoop(), [*steps, turn, make_step(4, result="none"), make_step(5, result="none")]) == set()


def test_model_steps_between_calls_change_nothing() -> None:
    steps = [
        step
        for i in range(1, 7, 2)
        for step in (make_step(i, result="none"), make_step(i + 1, event_type="model_response", tool_name=None))
    ]
    assert kinds(ToolLoop(), steps) == {"repeated_call"}


def test_tool_names_with_braces_are_said_as_they_are() -> None:
    (hit,) = hits(ToolLoop(), calls("none", "none", "none", tool_name="{0}{x}")).values()
    assert hit.say.startswith("{0}{x} gave")
