"""What the gate had decided on the calls of a trace: its own records, not what an agent says of it."""

from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from traces.detectors.base import Gate
from traces.models import GateFact, Trace
from traces.threads.models import Part

SKEW = timedelta(minutes=15)  # by which a sender's clock may be behind ours
MOST_OTHERS = 20  # decisions on other arguments that a step carries

Fact = tuple[UUID, int, str, datetime, str, float | None]


class GateFacts:
    """The decisions on one trace, read when the first call asks for them. One query for a trace with such calls."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._by_tool: dict[str, list[Fact]] | None = None

    def on(self, tool_name: str, input_hash: int | None, at: datetime) -> tuple[Gate, ...]:
        """Return what was decided on calls of a tool until one was made, oldest first."""
        if self._by_tool is None:
            self._by_tool = self._read()
        known = [(fact, fact[1] == input_hash) for fact in self._by_tool.get(tool_name, ()) if fact[3] <= at + SKEW]
        others = [fact for fact, is_exact in known if not is_exact][-MOST_OTHERS:]
        return tuple(_gate(fact, is_exact=is_exact) for fact, is_exact in known if is_exact or fact in others)

    def _read(self) -> dict[str, list[Fact]]:
        trace = self._trace
        parts = Part.objects.of(trace.project_id).filter(thread=trace.trace_id).values("trace_id")
        rows = GateFact.objects.of(trace.project_id).filter(Q(trace_id=trace.trace_id) | Q(trace_id__in=parts))
        found: dict[str, list[Fact]] = defaultdict(list)
        columns = ("tool_name", "approval_id", "input_hash", "decision", "decided_at", "decided_by", "waited_s")
        for tool_name, *fact in rows.order_by("decided_at", "id").values_list(*columns):
            found[tool_name].append(tuple(fact))
        return found


def _gate(fact: Fact, *, is_exact: bool) -> Gate:
    approval, _, decision, _, by, waited_s = fact
    return Gate(approval_id=str(approval), decision=decision, is_exact=is_exact, by=by, waited_s=waited_s)
