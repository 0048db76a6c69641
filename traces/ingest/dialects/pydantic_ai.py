"""Pydantic AI and Logfire: the conventions; older versions keep messages as events and have tools elsewhere."""

from typing import Any

from traces.ingest.dialects.base import MODEL, Reading, parsed, schemas
from traces.ingest.dialects.messages import Conversation, note_answer, note_request
from traces.ingest.dialects.semconv import Semconv
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

SCOPES = ("pydantic-ai", "logfire")


class PydanticAi(Semconv):
    """The root's `gen_ai.aggregated_usage.*` is a sum, and not counted again."""

    order = 600
    name = "pydantic_ai"
    fixes = dict.fromkeys(
        ("arguments", "results", "texts"), "Agent.instrument_all(InstrumentationSettings(include_content=True))"
    )

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return scope.name.startswith(SCOPES) and super().matches(scope, attributes)

    def read(self, span: WireSpan) -> Reading:
        reading = super().read(span)
        if reading.event_type == MODEL:
            if "events" in span.attributes:
                _note_events(reading, parsed(span.attributes["events"]))
            offered = parsed(span.attributes.get("model_request_parameters"))
            if reading.tools is None and isinstance(offered, dict):
                reading.tools = schemas(offered.get("function_tools"))
        return reading


def _note_events(reading: Reading, events: Any) -> None:
    """Take the messages from the list of events that was an attribute before there were message attributes."""
    sent = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    answers = [event["message"] for event in sent if "message" in event]
    note_answer(reading, Conversation(answers))
    note_request(reading, Conversation([event for event in sent if "message" not in event]))
