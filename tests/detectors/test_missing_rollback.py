"""missing_rollback: what is left half done, and what was made good or taken back."""

from typing import Any

import msgspec
import pytest

from tests.detectors.steps import make_step
from traces.detectors.base import Hit, Moment, Severity, Step
from traces.detectors.missing_rollback import MissingRollback


def change(number: int, tool: str, order: str = "W-448812", **fields: Any) -> Step:
    arguments = fields.pop("arguments", {"order_id": order})
    return make_step(
        number, **{"tool_name": tool, "risk": "medium", "arguments": arguments, "result": "done", **fields}
    )


def failed(number: int, tool: str, order: str = "W-448812", **fields: Any) -> Step:
    return change(number, tool, order, is_error=True, result="not possible", **fields)


def person(number: int) -> Step:
    return make_step(number, event_type="human_gate", tool_name=None, gate="user_turn", text="And now?")


def answer(number: int) -> Step:
    return make_step(number, event_type="model_response", tool_name=None, text="Done.")


def at_the_end(steps: list[Step], status: str = "ok", *, after_s: float = 30.0) -> list[Hit]:
    one = MissingRollback()
    assert not [hit for step in steps for hit in one.see(step)]
    return list(one.silent(Moment(at_s=1_000 + after_s, status=status, received_s=1_000, settles_s=1_030)))


HALF = [person(1), change(2, "cancel_order"), failed(3, "book_order", "X-1", arguments={"item": "tent"}), answer(4)]


def test_a_change_that_stopped_half_way_is_found_once_nothing_more_is_waited_for() -> None:
    (hit,) = at_the_end(HALF)
    assert (hit.kind, hit.onset.span_id, hit.evidence) == ("half_done", "span-3", ("span-2", "span-3"))
    assert hit.say == (
        "cancel_order had changed something when book_order failed; that was not made good, and nothing undone."
    )
    assert (hit.tool, hit.due_s, hit.severity) == ("book_order", 1_030, None)
    assert at_the_end(HALF, after_s=29.0) == []
    assert at_the_end(HALF, "running") == []


def test_a_live_run_that_stands_still_at_a_call_is_not_waited_for_until_it_is_closed() -> None:
    one = MissingRollback()
    assert not [hit for step in HALF[:3] for hit in one.see(step)]
    moment = Moment(at_s=1_000, status="running", received_s=1_000, settles_s=1_630)
    later = msgspec.structs.replace(moment, at_s=1_120)
    assert one.look_again_s(moment) == 1_120
    assert list(one.silent(moment)) == []
    (hit,) = one.silent(later)
    assert (hit.kind, hit.due_s) == ("half_done", 1_120)
    assert one.look_again_s(later) == 1_630
    assert not [hit for step in HALF[3:] for hit in one.see(step)]
    assert list(one.silent(later)) == []  # it spoke, and may wait for an answer


@pytest.mark.parametrize(
    "steps",
    [
        [*HALF, change(5, "book_order", arguments={"item": "tent"})],
        [*HALF, change(5, "undo_cancel_order", risk="unknown", arguments={})],
        [*HALF, change(5, "reopen", "W-448812")],
        [*HALF, change(5, "give_back", "A-9", undoes="span-2")],
        [HALF[0], HALF[1], person(3), *HALF[2:]],
        [failed(1, "book_order"), change(2, "cancel_order"), answer(3)],
        [change(1, "cancel_order"), failed(2, "cancel_order"), answer(3)],
        [change(1, "cancel_order"), failed(2, "find_order", risk="read"), answer(3)],
        [change(1, "cancel_order", risk="unknown"), failed(2, "book_order"), answer(3)],
    ],
    ids=[
        "made good",
        "undone by name",
        "undone on the same thing",
        "undone, as it says",
        "in another turn",
        "failed first",
        "it was done already",
        "a lookup failed",
        "unknown risk",
    ],
)
def test_what_was_made_good_or_was_no_half_accuses_nobody(steps: list[Step]) -> None:
    assert at_the_end(steps) == []


def test_a_success_on_another_thing_makes_nothing_good() -> None:
    steps = [change(1, "ship", "A-1001"), failed(2, "ship", "A-1002"), change(3, "ship", "A-1003"), answer(4)]
    (hit,) = at_the_end(steps)
    assert hit.onset.span_id == "span-2"


def test_a_change_that_is_tried_again_and_again_is_one_finding() -> None:
    steps = [
        change(1, "cancel_order"),
        *(failed(i, "book_order", arguments={"try": i}) for i in range(2, 9)),
        answer(9),
    ]
    assert [hit.onset.span_id for hit in at_the_end(steps)] == ["span-2"]


def test_a_run_that_ended_failed_after_changes_is_cut_off() -> None:
    steps = [person(1), change(2, "cancel_order"), answer(3)]
    assert at_the_end(steps) == []
    (hit,) = at_the_end(steps, "error")
    assert (hit.kind, hit.evidence, hit.severity) == ("cut_off", ("span-2",), None)
    assert hit.say == "The run ended failed after cancel_order had changed something; nothing was undone."
    assert at_the_end([*steps, change(4, "undo_cancel_order", risk="unknown")], "error") == []


def test_a_run_that_breaks_off_at_a_call_that_leads_nowhere_is_cut_off() -> None:
    steps = [answer(1), change(2, "cancel_order"), answer(3), make_step(4, risk="read"), answer(5)]
    (hit,) = at_the_end([*steps, make_step(6, risk="read")])
    assert (hit.kind, hit.onset.span_id, hit.severity) == ("cut_off", "span-6", Severity.MEDIUM)
    assert at_the_end([*steps, make_step(6, risk="read", arguments={"q": "else"})]) == []
    silent = [step for step in steps if step.event_type != "model_response"]
    assert at_the_end([*silent, make_step(6, risk="read")]) == []


def test_its_memory_is_bounded_whatever_comes() -> None:
    one = MissingRollback()
    for i in range(600):
        ids = " ".join(f"{i}x{j}" for j in range(100))
        fields = {"span_id": f"{i:0200}", "result": ids, "arguments": {"n": i}}
        list(one.see(change(i, f"{i % 300:0200}", is_error=i % 3 == 0, **fields)))
    assert len(msgspec.json.encode(one.state)) < 64 * 1024
