"""What ingest stores: sessions, traces, spans, toolsets, the ledger of batches; and what the gate tells detectors."""

from traces.models.gate import GateFact, ToolRisk
from traces.models.ledger import DetectJob, IngestBatch
from traces.models.span import EventType, Span, Toolset
from traces.models.trace import Session, Trace, TraceQuerySet, TraceStatus

__all__ = [
    "DetectJob",
    "EventType",
    "GateFact",
    "IngestBatch",
    "Session",
    "Span",
    "ToolRisk",
    "Toolset",
    "Trace",
    "TraceQuerySet",
    "TraceStatus",
]
