"""What the read API answers, field by field; the OpenAPI document is made from these."""

from typing import Any

from rest_framework import serializers

from traces.models import EventType, IngestBatch, Session, Trace, TraceStatus
from traces.queries import SessionSums, TraceFilters
from traces.search.snippet import Match
from traces.search.words import QueryError, read_query


class StepIn(serializers.Serializer[Any]):
    """The documentation of a step; the door itself reads it by ingest/native.py."""

    trace_id = serializers.CharField(max_length=200)
    step_number = serializers.IntegerField(min_value=0)
    timestamp = serializers.DateTimeField()
    event_type = serializers.ChoiceField(choices=EventType.values)
    span_id = serializers.CharField(required=False, max_length=200)
    parent_span_id = serializers.CharField(required=False, max_length=200)
    session_id = serializers.CharField(required=False, max_length=200)
    agent = serializers.CharField(required=False)
    user = serializers.CharField(required=False)
    name = serializers.CharField(required=False)
    tool_name = serializers.CharField(required=False, allow_null=True)
    tool_input = serializers.JSONField(required=False, allow_null=True)
    tool_output = serializers.JSONField(required=False, allow_null=True)
    text = serializers.CharField(required=False, allow_null=True)
    model_thinking = serializers.CharField(required=False, allow_null=True)
    is_error = serializers.BooleanField(required=False, allow_null=True)
    error = serializers.CharField(required=False, allow_null=True)
    model = serializers.CharField(required=False)
    provider = serializers.CharField(required=False, help_text="who sells the model, for its price")
    context_token_count = serializers.IntegerField(required=False, min_value=0)
    input_tokens = serializers.IntegerField(required=False, min_value=0)
    output_tokens = serializers.IntegerField(required=False, min_value=0)
    cached_tokens = serializers.IntegerField(required=False, min_value=0)
    cache_written_tokens = serializers.IntegerField(required=False, min_value=0)
    cost_usd = serializers.FloatField(required=False, min_value=0, allow_null=True)
    duration_ms = serializers.FloatField(required=False, min_value=0, allow_null=True)
    tools = serializers.ListField(child=serializers.DictField(), required=False, help_text="offered from here on")
    approval_id = serializers.CharField(required=False)
    decision = serializers.CharField(required=False)
    trace_name = serializers.CharField(required=False)
    trace_status = serializers.ChoiceField(choices=TraceStatus.values, required=False)
    environment = serializers.CharField(required=False)
    release = serializers.CharField(required=False)
    metadata = serializers.DictField(required=False)


class StepsIn(serializers.Serializer[Any]):
    steps = StepIn(many=True)


class StepOut(StepIn):
    """A step as it was sent, with the ids, the number and the time of receipt it was given."""

    received_at = serializers.DateTimeField()
    original_timestamp = serializers.CharField(required=False, help_text="what was sent, where it was absurd")


class ReceiptOut(serializers.Serializer[Any]):
    batch_id = serializers.CharField()
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    repaired = serializers.IntegerField()
    rejected = serializers.ListField(child=serializers.DictField(), help_text="{index, errors: [{pointer, detail}]}")
    traces = serializers.ListField(child=serializers.CharField())


class TraceQuery(serializers.Serializer[TraceFilters]):
    """The filters of a list of traces."""

    session = serializers.CharField(required=False, default="")
    agent = serializers.CharField(required=False, default="")
    status = serializers.ChoiceField(choices=TraceStatus.values, required=False, default="")
    tool = serializers.CharField(required=False, default="")
    pattern = serializers.CharField(required=False, default="", help_text="found in it")
    q = serializers.CharField(
        required=False,
        default="",
        max_length=200,
        source="words",
        help_text='words that its steps have, all of them; `refun*` is a beginning, `"two words"` a phrase',
    )
    since = serializers.DateTimeField(required=False, default=None, help_text="received at or after")
    until = serializers.DateTimeField(required=False, default=None, help_text="received before")

    def validate_q(self, text: str) -> str:
        try:
            if text:
                read_query(text)
        except QueryError as error:
            raise serializers.ValidationError(str(error)) from None
        return text

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["since"] and given["until"] and given["until"] <= given["since"]:
            raise serializers.ValidationError({"until": "must be after `since`"})
        return given


class TraceOut(serializers.ModelSerializer[Trace]):
    """A trace, with the failure patterns that were found in it."""

    # For the document alone: wire.trace_as_shown makes what is sent.

    trace_id = serializers.CharField(source="id_hex", help_text="32 lower-case hex digits")
    session_id = serializers.CharField(source="session.session_id", allow_null=True, default=None)
    name = serializers.CharField(source="title")
    cost_usd = serializers.FloatField(allow_null=True, help_text="with what is estimated of it; null: not known")
    estimated_usd = serializers.FloatField(help_text="the part of `cost_usd` that no sender gave")
    unpriced = serializers.IntegerField(help_text="model calls of unknown cost, which `cost_usd` leaves out")
    patterns = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="the failure patterns found in it"
    )
    url = serializers.CharField(read_only=True)

    class Meta:
        model = Trace
        fields = [
            "trace_id", "external_trace_id", "session_id", "name", "agent", "user", "environment", "release", "model",
            "status", "started_at", "ended_at", "received_at", "steps", "errors", "input_tokens", "output_tokens",
            "cached_tokens", "cost_usd", "estimated_usd", "unpriced", "tool_names", "patterns", "stopped_at",
            "backfill", "url",
        ]  # fmt: skip


class MatchOut(serializers.Serializer[Match]):
    """The first step that has what was looked for, and some words around it."""

    span_id = serializers.CharField()
    field = serializers.CharField(help_text="by its name in the step")
    snippet = serializers.CharField()
    highlights = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField()),
        help_text="[from, to) of what was looked for, in characters of the snippet",
    )


class TraceFound(TraceOut):
    """A trace of a list; with `q`, where it has the words."""

    match = MatchOut(
        read_only=True, allow_null=True, help_text="only with `q`; null where only the trace's names have them"
    )

    class Meta(TraceOut.Meta):
        fields = [*TraceOut.Meta.fields, "match"]


class SessionOut(serializers.Serializer[Session]):
    """A session with the sums of its traces, `context["sums"]`."""

    session_id = serializers.CharField()
    user = serializers.CharField()
    received_at = serializers.DateTimeField()
    url = serializers.SerializerMethodField()

    def get_url(self, session: Session) -> str:
        return str(self.context["base_url"] + session.get_absolute_url())

    def to_representation(self, session: Session) -> dict[str, Any]:
        sums = self.context["sums"].get(session.pk, SessionSums())
        return {**super().to_representation(session), **SessionSumsOut(sums).data}


class SessionSumsOut(serializers.Serializer[SessionSums]):
    traces = serializers.IntegerField()
    running = serializers.IntegerField()
    steps = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # the metaclass takes it away
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(allow_null=True)
    estimated_usd = serializers.FloatField()
    unpriced = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    last_received_at = serializers.DateTimeField(allow_null=True)
    agent = serializers.CharField()


class BatchOut(serializers.ModelSerializer[IngestBatch]):
    batch_id = serializers.CharField(source="id.hex")
    traces = serializers.SerializerMethodField()

    class Meta:
        model = IngestBatch
        fields = [
            "batch_id", "source", "key_name", "received_at", "received", "accepted", "duplicates", "repaired",
            "ignored", "rejected_count", "rejected", "redacted", "traces",
        ]  # fmt: skip

    def get_traces(self, batch: IngestBatch) -> list[str]:
        return [trace.hex for trace in batch.traces]
