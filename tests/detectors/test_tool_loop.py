"""tool_loop: what is a loop, and what only looks like one."""

from typing import Any

import pytest

from tests.detectors.steps import hits, kinds, make_step
from traces.detectors.base import Step
from traces.detectors.tool_loop import ToolLoop


def calls(*answers: object, **fields: object) -> list[Step]:
    return [make_step(i, result=answer, **fields) for i, answer in enumerate(answers, 1)]


def tools(names: str, **fields: object) -> list[Step]:
    """One call a letter, each tool with an answer of its own; of a capital one the answer is new each time."""
    return [
        make_step(i, tool_name=name, result=f"{name} {i}" if name.isupper() else name, **fields)
        for i, name in enumerate(names, 1)
    ]


def failed(number: int, **fields: Any) -> Step:
    return make_step(number, **{"is_error": True, "error": "timeout", "result": "timeout"} | fields)


def test_five_equal_calls_with_equal_results_are_a_loop() -> None:
    assert kinds(ToolLoop(), calls(*["none"] * 4)) == set()
    ((kind, onset), hit) = next(iter(hits(ToolLoop(), calls(*["none"] * 5)).items()))
    assert (kind, onset, hit.last.span_id) == ("repeated_call", "span-1", "span-5")
    assert hit.say == "search gave the same answer 5 times in a row."
    assert hit.evidence == ("span-1", "span-2", "span-3", "span-4", "span-5")


def test_a_loop_that_goes_on_stays_one_finding_with_its_first_onset() -> None:
    found = hits(ToolLoop(), calls(*["none"] * 100))
    assert list(found) == [("repeated_call", "span-1")]
    assert "100 times" in found["repeated_call", "span-1"].say


def test_without_recorded_results_equal_calls_count_and_the_finding_says_so() -> None:
    (hit,) = hits(ToolLoop(), calls(*[None] * 5)).values()
    assert "no result was recorded" in hit.say


@pytest.mark.parametrize("risk", ["medium", "high"])
def test_two_equal_calls_that_change_something_are_a_loop(risk: str) -> None:
    assert kinds(ToolLoop(), calls("done", "done", risk=risk)) == {"repeated_change"}
    assert kinds(ToolLoop(), calls("done", "done", risk="read")) == set()
    assert kinds(ToolLoop(), calls("done", "done")) == set()


def test_a_change_that_took_effect_again_counts_whatever_was_done_in_between() -> None:
    made = [make_step(i, tool_name="book", result={"booking": 300 + i}, risk="high") for i in (1, 3, 5)]
    looks = [make_step(i, tool_name=f"look {i}", result=i) for i in (2, 4)]
    (hit,) = hits(ToolLoop(), sorted([*made, *looks], key=lambda step: step.number)).values()
    assert (hit.kind, hit.onset.number, hit.last.number) == ("repeated_change", 1, 5)
    assert hit.evidence == ("span-1", "span-3", "span-5")
    assert hit.say == "book did the same 3 times: equal arguments, and each time it succeeded."


def test_a_change_that_says_the_same_counts_if_nothing_was_learnt_in_between() -> None:
    send = {"tool_name": "send", "result": "sent", "risk": "high"}
    look, again = make_step(1), [make_step(2, **send), make_step(3), make_step(4, **send)]
    assert kinds(ToolLoop(), [look, *again]) == {"repeated_change"}
    assert kinds(ToolLoop(), again) == set(), "the look in between was the first one"


def test_a_change_that_was_taken_back_may_be_made_again() -> None:
    pay = {"tool_name": "pay", "result": "paid", "risk": "high"}
    back = make_step(2, tool_name="give_back", risk="high", undoes="span-1")
    assert kinds(ToolLoop(), [make_step(1, **pay), back, make_step(3, **pay)]) == set()
    assert kinds(ToolLoop(), [make_step(1, **pay), make_step(3, **pay)]) == {"repeated_change"}


def test_the_same_error_again_is_a_loop_whatever_the_arguments() -> None:
    steps = [failed(i, arguments={"id": i}, result=f"error {i}", error="no such #") for i in range(1, 5)]
    assert kinds(ToolLoop(), steps) == {"same_error"}
    assert kinds(ToolLoop(), steps[:3]) == set()


@pytest.mark.parametrize(
    ("names", "at"), [("abab abab", 7), ("abcabcabc", 8), ("abcdabcdabcd", 9), ("abcbacbabc", 8), ("abXabYabcabc", 11)]
)
def test_going_round_is_a_loop_in_whatever_order(names: str, at: int) -> None:
    steps = tools(names.replace(" ", ""))
    assert kinds(ToolLoop(), steps[: at - 1]) == set()
    assert kinds(ToolLoop(), steps[:at]) == {"cycle"}
    assert len(hits(ToolLoop(), steps)) == 1


def test_going_round_stays_one_finding_though_something_new_comes_between() -> None:
    ((kind, onset), hit) = next(iter(hits(ToolLoop(), tools("ababababXabababYabab")).items()))
    assert (kind, onset, hit.last.number) == ("cycle", "span-1", 20)
    assert hit.say == "a, b: of the last 20 calls 16 had been made before, and taught nothing new."
    assert len(hits(ToolLoop(), tools("ababababXabababYabab"))) == 1


def test_slightly_different_arguments_with_one_answer_are_a_loop() -> None:
    steps = [make_step(i, arguments={"q": f"refund for order 10428 {'please ' * i}"}, result=[]) for i in range(1, 6)]
    assert "unchanged" in kinds(ToolLoop(), steps)


@pytest.mark.parametrize(
    "steps",
    [
        calls("queued", "running 10 %", "running 60 %", "done"),
        calls(*(f"running {percent} %" for percent in range(40))),
        [make_step(i, tool_name="wait" if i % 2 else "status", result="ok" if i % 2 else i) for i in range(1, 41)],
        calls(*(f"{n // 3} of 6" for n in range(18))),
        [make_step(i, tool_name="wait" if i % 2 else "status", result="ok" if i % 2 else i // 6) for i in range(1, 41)],
        calls(*(f"{n} waiting" for n in (3, 4, 3, 5, 4, 3, 4, 5, 3, 4, 3, 5))),
        [make_step(i, arguments={"page": i}, result=f"page {i}") for i in range(1, 9)],
        [make_step(i, arguments={"cursor": f"{i:x}f"}, result=[i]) for i in range(1, 30)],
        [make_step(i, arguments={"id": i * 7919}, result="updated", risk="medium") for i in range(1, 9)],
        [make_step(i, arguments={"id": i}, result="ok") for i in range(100, 140)],
        [make_step(i, arguments={"to": name}, result="sent", risk="high") for i, name in enumerate("abcdefgh")],
        [failed(1), failed(2), make_step(3)],
        [failed(1, risk="high"), failed(2, risk="high"), make_step(3, risk="high")],
        [
            failed(i, arguments={"id": i // 3}) if i % 3 else make_step(i, arguments={"id": i // 3}, result=f"item {i}")
            for i in range(1, 60)
        ],
        [make_step(i, tool_name=f"read {i % 5}", result=i % 5) for i in range(1, 11)],
        [make_step(i, tool_name="edit" if i % 2 else "test", result=i if i % 2 else "1 failed") for i in range(1, 41)],
        [make_step(i, arguments={"on": i % 2}, tool_name="switch", result="ok", risk="medium") for i in range(1, 3)],
    ],
    ids=[
        "polling that changes",
        "long polling that changes",
        "waiting between looks that change",
        "polling that changes now and then",
        "waiting between looks that change now and then",
        "a figure that goes up and down",
        "pagination",
        "pagination by cursor",
        "one tool over many items",
        "one tool over items whose numbers are alike",
        "a message to each of many",
        "retry, then success",
        "a change that failed twice, then succeeded",
        "many items, each after two failures",
        "reading five things twice",
        "a check after each of many changes",
        "switching off and on",
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
    def turn(number: int) -> Step:
        return make_step(number, event_type="human_gate", tool_name=None, gate="user_turn", text="Try again")

    steps = [step for i in range(1, 16, 5) for step in (*(make_step(n) for n in range(i, i + 4)), turn(i + 4))]
    assert kinds(ToolLoop(), steps) == set()
    assert kinds(ToolLoop(), [make_step(1, risk="high"), turn(2), make_step(3, risk="high")]) == set()


def test_model_steps_between_calls_change_nothing() -> None:
    steps = [
        step
        for i in range(1, 11, 2)
        for step in (make_step(i, result="none"), make_step(i + 1, event_type="model_response", tool_name=None))
    ]
    assert kinds(ToolLoop(), steps) == {"repeated_call"}


def test_tool_names_with_braces_are_said_as_they_are() -> None:
    (hit,) = hits(ToolLoop(), calls(*["none"] * 5, tool_name="{0}{x}")).values()
    assert hit.say.startswith("{0}{x} gave")
