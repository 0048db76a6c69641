"""StaleTask: what an earlier task was about is acted upon in a later one."""

from typing import Any

import msgspec

from tests.detectors.steps import hits, kinds, make_step
from traces.detectors.base import Step
from traces.detectors.fold import STATE_BYTES
from traces.detectors.stale_task import StaleTask

DONE = '[TASK: "refund" STATUS: "COMPLETE" RESULT: "refunded"]'


def asked(number: int, text: str) -> Step:
    return make_step(number, event_type="human_gate", gate="user_turn", tool_name=None, arguments=None, text=text)


def said(number: int, text: str) -> Step:
    return make_step(number, event_type="model_response", tool_name=None, arguments=None, text=text)


def act(number: int, risk: str = "high", **arguments: Any) -> Step:
    return make_step(number, tool_name="refund", arguments=arguments, risk=risk)


def test_the_order_of_the_last_request_in_this_one_is_stale() -> None:
    steps = [
        asked(1, "Refund order 1001."),
        act(2, order_id="1001"),
        asked(3, "Now order 1002."),
        act(4, order_id=1001),
    ]
    (hit,) = hits(StaleTask(), steps).values()
    assert (hit.kind, hit.onset.number, hit.last.number) == ("stale_entity", 2, 4)
    assert hit.say == ("refund was called for 1001, last used in step 2, though the person now asks about 1002.")


def test_a_call_for_what_the_person_asks_about_now_is_none() -> None:
    steps = [
        asked(1, "Refund order 1001."),
        act(2, order_id="1001"),
        asked(3, "Now order #1002, please."),
        act(4, order_id="1002"),
    ]
    assert not kinds(StaleTask(), steps)


def test_reads_and_other_arguments_and_other_forms_are_none() -> None:
    start = [asked(1, "Refund order 1001 of customer 2002."), act(2, order_id="1001", customer="2002")]
    assert not kinds(StaleTask(), [*start, asked(3, "Now order 1002."), act(4, order_id="1001", risk="read")])
    assert not kinds(StaleTask(), [*start, asked(3, "Now order 1002."), act(4, parent="1001")])
    assert not kinds(StaleTask(), [*start, asked(3, "Now order 55667."), act(4, order_id="1001")])
    assert not kinds(StaleTask(), [*start, asked(3, "It is urgent, do it in 2026."), act(4, order_id="1001")])


def test_a_repeated_request_is_no_new_one() -> None:
    steps = [
        asked(1, "Refund order 1001."),
        act(2, order_id="1001"),
        asked(3, "Refund order 1001."),
        act(4, order_id="1001"),
    ]
    assert not kinds(StaleTask(), steps)


def test_work_on_a_task_that_was_declared_complete() -> None:
    steps = [asked(1, "Refund order 1001, then 1002."), act(2, order_id="1001"), said(3, DONE), act(4, order_id="1002")]
    assert not kinds(StaleTask(), steps)
    (hit,) = hits(StaleTask(), [*steps, act(5, order_id="1001")]).values()
    assert (hit.kind, hit.onset.number, hit.last.number) == ("closed_task", 2, 5)
    assert "declared complete" in hit.say
    assert not kinds(StaleTask(min_calls=2), [*steps, act(5, order_id="1001")])


def test_a_person_may_open_a_closed_task_again() -> None:
    steps = [
        asked(1, "Refund order 1001."),
        act(2, order_id="1001"),
        said(3, DONE),
        asked(4, "Order 1001 again, please."),
    ]
    assert not kinds(StaleTask(), [*steps, act(5, order_id="1001")])


def test_its_state_is_bounded() -> None:
    one = StaleTask()
    for number in range(1, 300, 3):
        list(one.see(asked(number, " ".join(f"語{number}{n}" * 20 for n in range(99)))))
        call = act(number + 1, **{"\x01" * 90 + str(n): f"語{number}{n}" * 20 for n in range(99)})
        list(one.see(msgspec.structs.replace(call, span_id=f"{'s' * 190}{number}")))
        list(one.see(said(number + 2, DONE)))
    assert len(msgspec.json.encode(one.state)) <= STATE_BYTES
