"""Which function runs which kind of job, and what the clock calls how often; rooms register in their tasks.py."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.utils.module_loading import autodiscover_modules

from agentops.jobs.models import Job

J = TypeVar("J", bound=Job)
F = TypeVar("F", bound=Callable[[], None])


@dataclass(frozen=True, slots=True)
class Handler:
    run: Callable[[Any], timedelta | None]
    atomic: bool


@dataclass(frozen=True, slots=True)
class Chore:
    run: Callable[[], None]
    every_s: float


handlers: dict[str, Handler] = {}
chores: dict[str, Chore] = {}
worker_chores: dict[str, Callable[[], None]] = {}


def handles(kind: str, *, atomic: bool) -> Callable[[Callable[[J], timedelta | None]], Callable[[J], timedelta | None]]:
    """Register the function that runs jobs of this kind.

    It returns nothing when the job is done, or how long to wait until it wants to run again. With `atomic`, its
    effects in the database and the end of the job are one transaction: they happen exactly once. Without, it works
    outside any transaction, for as long as `Job.time_limit_s`, and happens at least once.
    """

    def register(function: Callable[[J], timedelta | None]) -> Callable[[J], timedelta | None]:
        known = handlers.setdefault(kind, Handler(function, atomic))
        if known.run is not function:
            raise ValueError(f"Jobs of kind {kind!r} are handled by {known.run.__qualname__} already.")
        return function

    return register


def every(*, seconds: float) -> Callable[[F], F]:
    """Register a function that the clock of the leading sweeper calls about this often.

    Cheap SQL only, safe to run twice, and by two at a time: a clock that lost its connection may not know yet.
    """

    def register(function: F) -> F:
        chores[f"{function.__module__}.{function.__qualname__}"] = Chore(function, seconds)
        return function

    return register


def beside_work(function: F) -> F:
    """Register a function that every worker calls every few seconds: for what no sweeper can see. Cheap SQL only."""
    worker_chores[f"{function.__module__}.{function.__qualname__}"] = function
    return function


def handled() -> dict[str, type[Job]]:
    """The job models that this installation has a handler for, by kind; rows of other kinds are left alone."""
    return {kind: model for kind, model in Job.kinds().items() if kind in handlers}


def discover() -> None:
    """Import every room's tasks.py, so that all handlers and chores of this installation are registered."""
    autodiscover_modules("tasks")
