"""Attributes are stored without what their row holds elsewhere, and are read as they were sent."""

import json
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import make_project
from tests.traces.builders import send, step
from tests.traces.otlp import CHAT, TOOL, Exporter, child, span
from traces.attributes import ASKED, FORMS, PARTS, SHORTEST, abridged, restored
from traces.models import IngestBatch, Span

pytestmark = pytest.mark.django_db

SAID = 'Rain in Oslo, "they" say; Bjørn has\n' * 8
RESULT = [{"city": "Tromsø", "degrees": 1.5, "rain": True, "note": None}] * 9
DEFINITIONS = json.dumps(
    [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("get_weather", "get_tides")]
)


@pytest.fixture
def exporter() -> Exporter:
    return Exporter(make_project())


def answer(said: str = SAID, **parts: Any) -> dict[str, Any]:
    """Return the attributes of a model's answer."""
    told = [{"role": "assistant", "parts": [{"type": "text", "content": said}], **parts}]
    asked = [{"role": "user", "parts": [{"type": "text", "content": SAID[::-1]}]}]
    return CHAT | {
        "gen_ai.output.messages": json.dumps(told),
        "gen_ai.input.messages": json.dumps(asked, ensure_ascii=False, separators=(",", ":")),
        "gen_ai.tool.definitions": DEFINITIONS,
    }


def size(span_id: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(attributes::text) FROM traces_span WHERE span_id = %s", [span_id])
        return int(cursor.fetchone()[0])


def as_sent(span: Span, attributes: dict[str, Any]) -> bool:
    assert span.attributes is not None
    return {key: span.attributes.get(key) for key in attributes} == attributes


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(letters, min_size=1, max_size=8).map(lambda some: some * SHORTEST)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(letters, max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", ASKED, PARTS, "ø"]), inner),
    max_leaves=4,
)


thorough = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


@thorough
@given(texts, texts, st.lists(values).map(lambda some: some * SHORTEST), values, st.data())
def test_whatever_is_stored_is_read_as_it_was_sent(
    said: str, thought: str, result: list[Any], loose: Any, data: st.DataObject
) -> None:
    output = msgspec.json.encode(data.draw(st.sampled_from([result, thought + said]))).decode()
    row = SimpleNamespace(text=said, thinking=thought, output=output)
    written = [said, thought, output, "x" * SHORTEST, "", '"']
    written += [FORMS[form](text) for text in (said, thought, output) for form in ("json", "ascii")]
    written += [FORMS[form](output) for form in ("spaced", "spaced ascii")] + [thought + said]
    joined = st.lists(st.sampled_from(written), max_size=4).map("".join)
    keys = st.sampled_from(["b", "c", PARTS, ASKED, "otel.body"])
    sent = data.draw(st.dictionaries(keys, joined | st.lists(joined) | values))
    sent |= {"nested": {"in": [data.draw(joined)], "out": loose}, "loose": loose, "d": data.draw(joined)}
    stored = msgspec.json.decode(msgspec.json.encode(abridged(sent, row)))
    assert restored(stored, partial(getattr, row)) == sent
    assert restored(abridged(sent), partial(getattr, None)) == sent


def test_what_columns_hold_is_stored_once_and_read_as_it_was_sent(exporter: Exporter) -> None:
    chat, tool = answer(), TOOL | {"gen_ai.tool.call.result": json.dumps(RESULT), "output.value": json.dumps(RESULT)}
    plain = TOOL | {"gen_ai.tool.call.id": "call-2", "gen_ai.tool.call.result": SAID}
    exporter.send(span(1, chat), span(2, tool), span(3, {"note": SAID}), span(4, plain))
    model, call, other, spoken = exporter.spans()
    assert as_sent(spoken, plain)
    assert size(spoken.span_id) < len(json.dumps(spoken.attributes)) - len(SAID)
    assert (model.text, json.loads(call.output or "")) == (SAID, RESULT)
    assert as_sent(model, chat)
    assert as_sent(call, tool)
    assert as_sent(other, {"note": SAID})
    assert size(model.span_id) < len(json.dumps(model.attributes)) - len(SAID)
    assert size(call.span_id) < len(json.dumps(RESULT))
    shown = exporter.client.get(
        f"/api/v1/traces/{exporter.trace().id_hex}/steps", headers={"Authorization": f"Bearer {exporter.token}"}
    ).json()["results"]
    assert chat.items() <= shown[0]["metadata"].items()
    assert tool.items() <= shown[1]["metadata"].items()


def test_a_step_whose_metadata_look_like_a_reference_is_no_reference() -> None:
    project = make_project()
    odd = {PARTS: [["text"]], ASKED: 7, "a": {PARTS: [{PARTS: []}]}, "b": [{PARTS: "x", "c": 1}]}
    send(project, step(1, text=SAID, metadata=odd), step(2, metadata={ASKED: {"x": 1}, "long": SAID}))
    assert [span.attributes for span in Span.objects.order_by("step_number")] == [odd, {ASKED: {"x": 1}, "long": SAID}]


def test_a_span_that_is_sent_again_is_a_duplicate_and_contradicts_nothing(exporter: Exporter) -> None:
    exporter.send(span(1, answer()))
    exporter.send(span(1, answer()))
    assert not exporter.spans()[0].revised
    assert IngestBatch.objects.of(exporter.project).order_by("pk").last().duplicates == 1  # type: ignore[union-attr]


def test_what_a_span_says_later_joins_what_it_said_whichever_texts_it_holds(exporter: Exporter) -> None:
    early, late = {"note": SAID}, answer(SAID) | {"note": SAID, "copy": SAID}
    exporter.send(span(1, early, endTimeUnixNano="0"))
    exporter.send(span(1, late))
    (joined,) = exporter.spans()
    assert as_sent(joined, early | late)
    assert (joined.text, joined.revised) == (SAID, False)


def test_a_contradicting_text_leaves_the_attributes_of_both_as_they_were_sent(exporter: Exporter) -> None:
    first, second = answer() | {"mine": SAID}, answer(SAID.upper()) | {"theirs": SAID.upper()}
    exporter.send(span(1, first))
    exporter.send(span(1, second))
    (kept,) = exporter.spans()
    assert as_sent(kept, second | first)
    assert (kept.text, kept.revised) == (SAID, True)


def test_attributes_stored_before_they_were_abridged_are_read_and_joined(exporter: Exporter) -> None:
    exporter.send(span(1, answer()))
    whole = exporter.spans()[0].attributes
    Span.objects.of(exporter.project).update(kept_attributes=whole)
    assert exporter.spans()[0].attributes == whole
    exporter.send(span(1, answer() | {"more": SAID}))
    assert exporter.spans()[0].attributes == (whole or {}) | {"more": SAID}


def test_arguments_that_a_join_forgets_leave_the_attributes_as_they_were_sent(exporter: Exporter) -> None:
    listed = json.dumps(["somewhere in the north of Norway"] * 9)
    tool = TOOL | {"gen_ai.tool.call.id": "call-0123456789abcdef", "gen_ai.tool.call.arguments": listed}
    exporter.send(child(2, tool))
    history = [
        {"role": "assistant", "parts": [{"type": "tool_call", "id": tool["gen_ai.tool.call.id"],
                                         "name": "get_weather", "arguments": {"city": "Oslo" * 99}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": tool["gen_ai.tool.call.id"], "response": 7}]},
    ]  # fmt: skip
    exporter.send(child(3, CHAT | {"gen_ai.input.messages": json.dumps(history)}))
    assert as_sent(next(one for one in exporter.steps() if one.event_type == "tool_call"), tool)


@thorough
@given(st.text(st.characters(exclude_categories=["Cs"])), values)
def test_the_forms_that_stored_rows_depend_on_are_those_of_the_standard_library(text: str, value: Any) -> None:
    assert FORMS["json"](text) == json.dumps(text, ensure_ascii=False)[1:-1]
    assert FORMS["ascii"](text) == json.dumps(text)[1:-1]
    compact = msgspec.json.encode([text, value]).decode()
    assert json.loads(FORMS["spaced"](compact)) == json.loads(FORMS["spaced ascii"](compact)) == json.loads(compact)
    assert FORMS["spaced"](msgspec.json.encode([text, 7, {"a": [], "b": {}}]).decode()) == json.dumps(
        [text, 7, {"a": [], "b": {}}], ensure_ascii=False
    )
