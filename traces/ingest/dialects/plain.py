"""What no other dialect knows: a span that names a model is a model's answer, any other is a plain span."""

from traces.ingest.dialects.base import MODEL, Dialect, Reading, count, text
from traces.ingest.dialects.semconv import PROVIDERS, about
from traces.ingest.otlp_span import Attributes, Scope, WireSpan

MODEL_KEYS = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "ai.model.id", "model", "model_name")


class Plain(Dialect):
    order = 1_000
    name = "plain"

    def matches(self, scope: Scope, attributes: Attributes) -> bool:
        return True

    def read(self, span: WireSpan) -> Reading:
        reading = about(span)
        reading.model = text(span.attributes, *MODEL_KEYS)
        if reading.model:
            reading.provider = text(span.attributes, *PROVIDERS, "provider")
            reading.event_type = MODEL
            reading.input_tokens = count(span.attributes, "gen_ai.usage.input_tokens", "input_tokens", "prompt_tokens")
            reading.output_tokens = count(
                span.attributes, "gen_ai.usage.output_tokens", "output_tokens", "completion_tokens"
            )
        return reading
