"""What a sender is warned of in a success: what detection misses, what is not kept. Said seldom, for SDKs log it."""

import threading
import time
from collections import Counter
from itertools import islice
from uuid import UUID

from django.urls import reverse

from agentops.accounts.models import Project
from agentops.accounts.project_view import CONTEXT
from traces.ingest.dialects.base import MODEL, TOOL, all_dialects
from traces.ingest.needs import NEEDS, Need, State, Tally, fix, judge
from traces.ingest.otlp_record import ECHO
from traces.ingest.otlp_span import LOGS, METRICS, TRACES
from traces.ingest.record import Batch, SpanRecord

LOOKED_AT = 64  # spans of a batch: what is left out is left out everywhere
AGAIN_AFTER_S = 3_600.0  # the same is not said again sooner, of one project and dialect by one process
REMEMBERED = 10_000

NOT_KEPT = {
    LOGS: "Log records that name no trace, and are no step of a run, are counted and not kept.",
    METRICS: "Metrics are counted and not kept; traces and logs tell the same, step by step.",
}

_said: dict[tuple[UUID, str, str], float] = {}
_lock = threading.Lock()


def warning(project: Project, batch: Batch, signal: str) -> str:
    """Return what a batch's sender should know; empty where nothing is missing, or where it was said already."""
    if signal == TRACES:
        return _missing(project, batch)
    return NOT_KEPT[signal] if batch.ignored and _is_news(project.pk, signal, "ignored") else ""


def _missing(project: Project, batch: Batch) -> str:
    spans = [span for span in islice(batch.spans, LOOKED_AT) if span.event_type is not None]
    dialects = Counter(str((span.attributes or {}).get("agentops.dialect", "")) for span in spans if not span.is_told)
    if not dialects:
        return ""
    name = dialects.most_common(1)[0][0]
    dialect = next((one for one in all_dialects() if one.name == name), None)
    never, fixes = (dialect.never | dialect.beside, dialect.fixes) if dialect else ((), {})
    tally = _tally(spans, batch)
    missing = [need for need in NEEDS if judge(need, tally, never) is State.MISSING]
    news = [need for need in missing if _is_news(project.pk, name, need.name)]
    return _words(name, [(need, fix(need, fixes)) for need in news]) if news else ""


def _tally(spans: list[SpanRecord], batch: Batch) -> Tally:
    """Count what a batch brought. What a root says of its trace is missed only where the root has come.

    A client library's own record of a request is left out: another span may tell more of it, in another batch.
    """
    models = [span for span in spans if span.event_type == MODEL and not (span.call_id or "").startswith(ECHO)]
    tools = [span for span in spans if span.event_type == TOOL]
    own = [span for span in tools if not span.is_told]
    whole = [about for about in batch.traces.values() if about.root_ended_at is not None]
    calling = {span.trace for span in own} | {told.span.trace for told in batch.told}
    apart = [about for about in whole if about.is_lone and (about.session_id or about.trace in calling)]
    told = len(tools) - len(own)
    return Tally(
        models=len(models),
        tools=len(tools),
        traces=len(whole),
        have={
            "arguments": sum(span.input is not None for span in tools),
            # The result of a call that is told of comes with the next request.
            "results": sum(span.output is not None for span in own) + told,
            "schemas": sum(span.toolset is not None for span in models),
            "tokens": sum(span.input_tokens is not None for span in models),
            "texts": sum(span.text is not None or span.thinking is not None for span in models) + told,
            "session": sum(bool(about.session_id) for about in whole),
            "agent": sum(bool(about.agent or about.service) for about in whole),
            "parents": len(whole) - len(apart),
        },
    )


def _is_news(project: UUID, dialect: str, need: str) -> bool:
    now = time.monotonic()
    with _lock:
        last = _said.get((project, dialect, need))
        if last is not None and now - last < AGAIN_AFTER_S:
            return False
        if len(_said) >= REMEMBERED:
            _said.clear()
        _said[project, dialect, need] = now
        return True


def _words(dialect: str, news: list[tuple[Need, str]]) -> str:
    by_fix: dict[str, list[Need]] = {}
    for need, how in news:
        by_fix.setdefault(" ".join(line.strip() for line in how.splitlines()), []).append(need)
    said = [f"{_named(needs)}: {how}" for how, needs in by_fix.items()]
    page = f"{CONTEXT['base_url']}{reverse('traces:ingest')}"
    return f"All spans are stored, read as {dialect}. Missing: {'; '.join(said)}. More: {page}"


def _named(needs: list[Need]) -> str:
    """Return what is missing, and the detectors that miss it."""
    patterns = list(dict.fromkeys(pattern for need in needs for pattern in need.matters_to))
    return ", ".join(need.what for need in needs) + (f" (for {', '.join(patterns)})" if patterns else "")
