"""Trajectory files: one finished run a line, without a clock (docs/contract: Trajectory file)."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw

from traces.ids import trace_key
from traces.ingest.clean import clean, may_need_cleaning
from traces.ingest.native import decode_item, decode_repaired, missing
from traces.ingest.record import Batch, Problem, Rejection
from traces.ingest.step import Identity, StepIn, ToolIn, add_step

STEP_S = 1.0  # the synthetic time between two steps of a run that has no clock at all


class TrajectoryToolIn(ToolIn, omit_defaults=True):
    available_from_step: int | None = None


class TrajectoryStepIn(StepIn, kw_only=True):
    """A step within a run: the run's id and the time are added here."""

    trace_id: str = ""
    t_rel_s: float | None = None
    tokens: dict[str, int] | None = None
    gate: str | None = None
    handoff_to: str | None = None
    truncated: bool | None = None


class TrajectoryIn(msgspec.Struct):
    """A run. What a file holds beside this, the truth above all, is never read."""

    trajectory_id: Identity
    steps: list[Raw]
    tools: list[TrajectoryToolIn] | None = None


_runs = msgspec.json.Decoder(TrajectoryIn)
_steps = msgspec.json.Decoder(TrajectoryStepIn)


def add_trajectory(batch: Batch, raw: bytes, *, now: datetime) -> None:
    """Add a run to the batch; it counts as many items as it has steps. A wrong step is rejected alone."""
    try:
        run = _read(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        batch.rejected.append(Rejection(batch.received, [Problem("", str(error))]))
        batch.received += 1
        return
    read = [_read_step(batch, item, place) for place, item in enumerate(run.steps, 1)]
    steps = [item for item in read if item is not None]
    begin = now - timedelta(seconds=STEP_S * len(steps))
    offered: list[TrajectoryToolIn] = []
    for place, (step, repaired) in enumerate(steps):
        offer = _offered(run.tools or [], step.step_number or 0)
        news = offer if offer != offered else None
        offered = offer
        add_step(batch, _native(step, run, begin, place, news), now=now, repaired=repaired, synthetic=True)
    about = batch.trace(*trace_key(run.trajectory_id))
    about.status = "error" if steps and steps[-1][0].event_type == "error" else "ok"


def _read(raw: bytes) -> TrajectoryIn:
    run, raw = decode_repaired(raw, _runs)
    if may_need_cleaning(raw):  # its steps are cleaned one by one
        run.trajectory_id = clean(run.trajectory_id)
        run.tools = msgspec.convert(clean(msgspec.to_builtins(run.tools)), list[TrajectoryToolIn] | None)
    return run


def _read_step(batch: Batch, raw: Raw, place: int) -> tuple[TrajectoryStepIn, bool] | None:
    """Return a step, and whether it had to be repaired. Without a number of its own it has that of its place."""
    index, batch.received = batch.received, batch.received + 1
    try:
        step, repaired = decode_item(bytes(raw), _steps)
        step.step_number = place if step.step_number is None else step.step_number
        problems = [problem for problem in missing(step) if problem.pointer != "/timestamp"]
    except (msgspec.MsgspecError, RecursionError) as error:
        problems = [Problem("", str(error))]
    if problems:
        batch.rejected.append(Rejection(index, problems))
        return None
    return step, repaired


def _native(
    step: TrajectoryStepIn, run: TrajectoryIn, begin: datetime, place: int, tools: list[TrajectoryToolIn] | None
) -> StepIn:
    """Return the step as the native door would have read it."""
    step.trace_id = run.trajectory_id
    seconds = STEP_S * place if step.t_rel_s is None else max(step.t_rel_s, 0.0)
    step.timestamp = begin + timedelta(seconds=min(seconds, 86_400.0))
    if step.tokens:
        step.input_tokens, step.output_tokens = step.tokens.get("in"), step.tokens.get("out")
    step.tools = [ToolIn(tool.name, tool.schema, tool.risk) for tool in tools] if tools else None
    said: dict[str, Any] = {"gate": step.gate, "handoff_to": step.handoff_to, "truncated": step.truncated}
    step.metadata = {**(step.metadata or {}), **{name: value for name, value in said.items() if value is not None}}
    return step


def _offered(tools: list[TrajectoryToolIn], step_number: int) -> list[TrajectoryToolIn]:
    return [tool for tool in tools if (tool.available_from_step or 0) <= max(step_number, 1)]
