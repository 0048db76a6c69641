"""Messages in the shape of the conventions say the same whether they are decoded as that or as any JSON."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.ingest.dialects.base import MAX_NESTING, decoded
from traces.ingest.dialects.messages import Conversation, Said, said_by_parts, said_of

LETTERS = st.text(st.sampled_from('a\x00\\"[{é'), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | LETTERS
    | st.sampled_from(['{"a": 1}', "[1", '{"a": "\\u0000"}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["text", "reasoning", "tool_call", "tool_call_response", "file", "tool_use"])
NAMED = {
    "content": LETTERS | VALUES,
    "id": st.sampled_from(["call-1", "call-2", "", "call-\x00"]) | VALUES,
    "name": LETTERS | VALUES,
    "arguments": VALUES,
    "response": VALUES,
    "result": VALUES,
    "text": LETTERS,
}


def part_of(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return parts of a type, most of which have what the conventions give it."""
    own = {"tool_call": ("id", "name"), "tool_call_response": ("id",)}.get(kind, ("content",))
    more = {"tool_call": ("arguments",), "tool_call_response": ("response", "result")}.get(kind, ("text",))
    required = {key: NAMED[key] for key in own}
    return st.fixed_dictionaries({"type": st.just(kind), **required}, optional={key: NAMED[key] for key in more})


MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "human", "tool", "", "ai"]),
        "parts": st.lists(TYPES.flatmap(part_of)),
    },
    optional={"finish_reason": st.none() | LETTERS, "content": LETTERS, "tool_call_id": LETTERS, "name": LETTERS},
)


@given(MESSAGES)
def test_a_message_says_the_same_in_both_ways(message: dict[str, Any]) -> None:
    sent = json.dumps(message).encode()
    try:
        by_parts = said_by_parts(sent)
    except (msgspec.DecodeError, RecursionError):
        return
    assert by_parts == said_of(decoded(sent))


def test_most_messages_are_decoded_as_what_they_are() -> None:
    parts = [
        {"type": "reasoning", "content": "They want\x00 one."},
        {"type": "text", "content": "I look it up."},
        {"type": "tool_call", "id": "call-1", "name": "look_up", "arguments": {"order": 7}},
        {"type": "tool_call", "id": "call-1", "name": "again", "arguments": None},
        {"type": "tool_call_response", "id": "call-0", "response": "[1]"},
    ]
    said = said_by_parts(json.dumps({"role": "ai", "parts": parts, "finish_reason": "stop"}).encode())
    assert (said.role, said.texts, said.thoughts) == ("assistant", ["I look it up."], ["They want\ufffd one."])
    assert [(call.id, call.name, call.arguments) for call in said.calls] == [("call-1", "look_up", {"order": 7})]
    assert [(result.id, result.value) for result in said.results] == [("call-0", "[1]")]


@pytest.mark.parametrize("arguments", ["1e999", "[" * 250 + "]" * 250])
def test_what_cannot_be_read_is_no_message_in_either_way(arguments: str) -> None:
    call = '{"type": "tool_call", "id": "1", "name": "a", "arguments": %s}'
    sent = f'[{{"role": "assistant", "parts": [{call % "{}"}, {call % arguments}]}}]'
    assert list(Conversation(sent)) == []


def test_a_value_may_be_nested_as_deeply_in_both_ways() -> None:
    def says(depth: int) -> list[Said]:
        arguments = "[" * depth + "]" * depth
        call = f'{{"type": "tool_call", "id": "1", "name": "a", "arguments": {arguments}}}'
        messages = f'[{{"role": "assistant", "parts": [{call}]}}]'
        plain = msgspec.json.decode(messages)
        assert list(Conversation(messages)) == list(Conversation([decoded(json.dumps(plain[0]))]))
        return list(Conversation(messages))

    assert len(says(MAX_NESTING - 3)) == 1
    assert says(MAX_NESTING - 2) == []
