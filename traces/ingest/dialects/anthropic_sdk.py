"""The Anthropic SDK's own spans: the conventions, beside which an instrumentation often tells of the same request."""

from traces.ingest.dialects.base import MODEL, TOOL, Reading
from traces.ingest.dialects.semconv import Semconv
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

TOOL_SPAN = "anthropic.tool_use "


class AnthropicSdk(Semconv):
    order = 300
    name = "anthropic_sdk"
    fixes = dict.fromkeys(("texts", "arguments", "results"), "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE=content")
    never = frozenset({"schemas"})

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return scope.name.startswith("com.anthropic.sdk.")

    def read(self, span: WireSpan) -> Reading:
        reading = super().read(span)
        if span.name.startswith(TOOL_SPAN):
            reading.event_type = TOOL
            reading.tool_name = reading.tool_name or span.name.removeprefix(TOOL_SPAN)
        reading.is_echo = reading.event_type == MODEL
        return reading
