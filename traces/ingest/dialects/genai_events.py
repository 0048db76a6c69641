"""Events of the conventions for generative AI, sent as log records: a whole request, or its messages one by one."""

from typing import Any

from traces.ingest.dialects.base import MODEL, SPAN, Reading, text
from traces.ingest.dialects.messages import Conversation, note_answer
from traces.ingest.dialects.semconv import DETAILS, Semconv, about
from traces.ingest.otlp_span import Attributes, Scope, WireSpan
from traces.ingest.record import Result

PREFIX = "gen_ai."


class GenAiEvents(Semconv):
    """What an event tells of a request belongs to the request's span, which it names; without that, it is the step."""

    order = 250
    name = "genai_events"

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return str(attributes.get("event.name", "")).startswith(PREFIX)

    def read_record(self, record: WireSpan) -> Reading | None:
        reading = None
        if record.name == DETAILS:
            reading = self.read(record)
            reading.is_echo = reading.event_type is not None
        elif record.name == "gen_ai.choice":
            reading = about(record)
            reading.event_type, reading.is_echo = MODEL, True
            note_answer(reading, Conversation([_message(record.body)]))
        elif record.name == "gen_ai.tool.message":
            reading = _result(record)
        elif record.name == "gen_ai.user.message":
            reading = about(record)
            reading.text = reading.preview = text(_content(record.body), "content")
        if reading is not None:
            reading.run = reading.session
            if reading.is_echo and record.parent_span_id:  # which knows no id of the response everywhere
                reading.call_id = f"{SPAN}{record.parent_span_id}"
        return reading


def _result(record: WireSpan) -> Reading:
    """Take the result of a call, which is told before the next answer."""
    reading = about(record)
    said = _content(record.body)
    call_id = text(said, "id", "tool_call_id")
    reading.results = [Result(call_id, said.get("content"))] if call_id else []
    return reading


def _message(body: Any) -> Any:
    """Return the message of a choice, which lies in it, or is it."""
    said = _content(body)
    return said.get("message", said)


def _content(body: Any) -> Attributes:
    return body if isinstance(body, dict) else {}
