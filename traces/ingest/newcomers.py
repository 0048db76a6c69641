"""How many new traces a project may open in a minute: an id made anew for each step would drown its lists.

What is beyond is not stored and not lost either: the sender is asked to come again, as when the server is busy.
"""

import time
from collections.abc import Collection
from uuid import UUID

import msgspec

from traces.models import Trace

A_MINUTE = 60_000  # new traces of a project; each web process counts for itself
PERIOD_S = 60.0
PROJECTS = 1_000


class TooManyNewError(Exception):
    """Raised for a batch that would open a trace beyond the limit; nothing of it was stored."""

    def __init__(self) -> None:
        super().__init__(
            f"This project opened {A_MINUTE:,} new traces within a minute; nothing was stored; "
            "give all steps of a run one trace id, and send this again in a minute."
        )


class Opened(msgspec.Struct):
    """How many traces a project opened in the running minute."""

    until: float
    traces: int = 0


_opened: dict[UUID, Opened] = {}


def check(project_id: UUID, traces: Collection[UUID]) -> None:
    """Raise TooManyNewError where one of them is new and the minute has no room for it. One query, none below that."""
    if _of(project_id).traces < A_MINUTE:
        return
    if Trace.objects.of(project_id).filter(trace_id__in=list(traces)).count() < len(traces):
        raise TooManyNewError


def note(project_id: UUID, opened: int) -> None:
    """Count the traces that a batch has opened."""
    _of(project_id).traces += opened


def _of(project_id: UUID) -> Opened:
    if len(_opened) >= PROJECTS:
        _opened.clear()
    opened = _opened.get(project_id)
    if opened is None or opened.until <= time.monotonic():
        opened = _opened[project_id] = Opened(time.monotonic() + PERIOD_S)
    return opened
