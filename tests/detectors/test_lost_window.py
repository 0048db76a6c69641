"""LostWindow: the context shrinks, and what was known is asked for again."""

import msgspec

from tests.detectors.steps import hits, kinds, make_step
from traces.detectors.base import Step
from traces.detectors.fold import STATE_BYTES
from traces.detectors.lost_window import LostWindow


def model(number: int, tokens: int) -> Step:
    return make_step(number, event_type="model_response", tool_name=None, context_tokens=tokens)


def calls(first: int, count: int = 4) -> list[Step]:
    return [make_step(first + n, arguments={"page": n}, result=f"page {n}") for n in range(count)]


def test_a_context_that_shrinks_before_the_same_calls_is_lost() -> None:
    steps = [model(1, 30_000), *calls(2), model(6, 9_000), *calls(7)]
    (hit,) = hits(LostWindow(), steps).values()
    assert (hit.kind, hit.onset.number, hit.last.number) == ("window", 6, 10)
    assert hit.say.startswith("The context fell from 30,000 to 9,000 tokens, and 4 calls were made again")


def test_a_smaller_loss_new_calls_and_a_new_request_are_none() -> None:
    person = make_step(6, event_type="human_gate", gate="user_turn", tool_name=None)
    assert not kinds(LostWindow(), [model(1, 30_000), *calls(2), model(6, 20_000), *calls(7)])
    assert not kinds(LostWindow(), [model(1, 3_000), *calls(2), model(6, 900), *calls(7)])
    assert not kinds(LostWindow(), [model(1, 30_000), *calls(2), model(6, 9_000), *calls(7, 2)])
    assert not kinds(LostWindow(), [model(1, 30_000), *calls(2), person, model(7, 9_000), *calls(8)])
    assert kinds(LostWindow(min_repeats=2), [model(1, 30_000), *calls(2), model(6, 9_000), *calls(7, 2)])


def test_each_agent_has_a_context_of_its_own() -> None:
    other = msgspec.structs.replace(model(6, 9_000), agent="helper")
    assert not kinds(LostWindow(), [model(1, 30_000), *calls(2), other, *calls(7)])


def test_its_state_is_bounded() -> None:
    one = LostWindow(within_calls=10_000)
    for number in range(1, 3_000):
        some = model(number, 50_000 if number % 400 < 300 else 5_000) if number % 5 == 0 else calls(number, 1)[0]
        some = msgspec.structs.replace(some, agent=f"agent-{number % 9}", arguments_hash=2**62 + number % 700)
        list(one.see(msgspec.structs.replace(some, span_id=f"{'s' * 190}{number}")))
    assert len(msgspec.json.encode(one.state)) <= STATE_BYTES
