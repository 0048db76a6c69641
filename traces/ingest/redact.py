"""Secrets leave a batch here, before anything of it is written: every door comes through `store`, and `store` here."""

from typing import Any, TypeVar

import msgspec

from agentops.accounts.models import Project
from agentops.redaction.hint import may_hold_secrets
from agentops.redaction.redactor import Redactor
from agentops.redaction.services import redactor_of
from traces.ingest import preview
from traces.ingest.record import (
    Batch,
    Problem,
    Rejection,
    SpanRecord,
    ToolsetRecord,
    TraceRecord,
    content_hash,
    toolset,
)
from traces.ingest.step import arguments_hash

# Short lines that may be cut, and a secret within them. All other texts are whole, or a million characters long.
LINES = {"name", "tool_name", "agent", "model", "provider", "decision", "input_preview", "output_preview",
         "user", "environment", "release", "service", "preview"}  # fmt: skip
IDS = {"span_id", "parent_span_id", "session_id", "external_id", "approval_id", "call_id", "event_type", "status",
       "original_timestamp"}  # fmt: skip
OUTPUTS = {"output", "text", "error"}  # what the line that previews an output is made of
Record = TypeVar("Record", SpanRecord, TraceRecord)


def redact(project: Project, batch: Batch) -> Batch:
    """Return the batch without secrets and with their number by kind. One that is innocent comes back as it is.

    Equal input gives equal output, so what is sent again is a duplicate still. Hashes, sizes and previews are made
    anew of what is left.
    """
    redactor = redactor_of(project.pk)
    return batch if batch.is_innocent and not redactor.has_rules else redacted(batch, redactor)


def redacted(batch: Batch, redactor: Redactor) -> Batch:
    """Return the batch as `redact` does, after a look at each of its spans."""
    toolsets: dict[bytes, ToolsetRecord] = {}
    return msgspec.structs.replace(
        batch,
        spans=[_span(redactor, span, toolsets) for span in batch.spans],
        traces={key: _fields(redactor, about) for key, about in batch.traces.items()},
        rejected=[_rejection(redactor, one) for one in batch.rejected],
        redacted=redactor.found,
    )


def _span(redactor: Redactor, span: SpanRecord, toolsets: dict[bytes, ToolsetRecord]) -> SpanRecord:
    tools = _toolset(redactor, span.toolset, toolsets) if span.toolset else None
    if redactor.has_rules or may_hold_secrets(_bytes_of(span)):
        span = _derived(_fields(redactor, span), span)
    return span if tools is span.toolset else msgspec.structs.replace(span, toolset=tools)


def _bytes_of(span: SpanRecord) -> bytes:
    """Return all texts of a span, for one look at them."""
    texts = [value.encode(errors="surrogatepass") for value in msgspec.structs.astuple(span) if isinstance(value, str)]
    return b"\n".join([*texts, msgspec.json.encode(span.attributes)])


def _fields(redactor: Redactor, record: Record) -> Record:
    """Return a record whose texts and attributes hold no secret."""
    changed: dict[str, Any] = {}
    for field in record.__struct_fields__:
        value = getattr(record, field)
        if isinstance(value, str):
            clean = redactor.line if field in LINES else redactor.id if field in IDS else redactor.text
            new: Any = clean(value)
        elif isinstance(value, dict):
            new = redactor.value(value)
        else:
            continue
        if new != value:
            changed[field] = new
    return msgspec.structs.replace(record, **changed) if changed else record


def _derived(span: SpanRecord, sent: SpanRecord) -> SpanRecord:
    """Return a span whose hashes, size and previews are those of its redacted texts."""
    made: dict[str, Any] = {}
    output = None if span.output is None else msgspec.json.decode(span.output)
    if span.input is not None and span.input != sent.input:
        arguments = msgspec.json.decode(span.input)
        made |= {"input_hash": arguments_hash(arguments), "input_preview": preview.of_arguments(arguments)}
    if span.output is not None and sent.output is not None and span.output != sent.output:
        made["output_hash"] = content_hash(span.output.encode())
        made["output_size"] = (sent.output_size or 0) + len(span.output) - len(sent.output)
    if any(getattr(span, field) != getattr(sent, field) for field in OUTPUTS):
        made["output_preview"] = preview.of_result(output, span.output) or preview.of_text(span.text or span.error)
    return msgspec.structs.replace(span, **made) if made else span


def _toolset(redactor: Redactor, sent: ToolsetRecord, known: dict[bytes, ToolsetRecord]) -> ToolsetRecord:
    """Return the toolset without secrets; the same one for all spans of the batch that offer it."""
    if sent.sha256 not in known:
        new = sent.tools
        if redactor.has_rules or may_hold_secrets(msgspec.json.encode(sent.tools)):
            new = redactor.value(sent.tools)
        known[sent.sha256] = sent if new == sent.tools else toolset(new)
    return known[sent.sha256]


def _rejection(redactor: Redactor, sent: Rejection) -> Rejection:
    problems = [Problem(redactor.text(one.pointer), redactor.text(one.detail)) for one in sent.errors]
    return Rejection(sent.index, problems)
