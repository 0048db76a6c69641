"""Failures of all six patterns, a client that sends them, a moody receiver, and the killing of every process."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from agentops.console.drill_runs import RUNS, native
from tests.crash.test_ingest import Sender
from tests.instance import PARTS, Instance
from tests.receivers import OK, Receiver, Request, answer

PATTERNS = tuple(sorted(RUNS.keys() - {"budget"}))
FAILURES_AN_AGENT = 7  # the seventh fails like the first: one fingerprint, two findings
QUIET_EVERY = 10  # an agent in so many is silenced
QUIET, OLD = "quiet", "old"
# What is killed: each part, one of the processes that a part started, or all there is at once.
CHILDREN = {"child of worker": "worker", "child of postgres": "postgres"}
EVERYTHING = "everything"
TARGETS = (*PARTS, *CHILDREN, EVERYTHING)
OUR_ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+")
# Without these nothing that was sent has to be sent again.
SEND_OR_NOTE = frozenset(TARGETS) - {"web", "broker", "sandbox"}


@dataclass(frozen=True)
class Failure:
    """One run that fails, by an agent that may fail elsewhere too."""

    pattern: str
    agent: str
    trace: str

    def steps(self) -> list[dict[str, Any]]:
        """Return what an agent sends of it; the run is over in the end, so that it is judged within 30 s."""
        made = native(self.pattern, trace_id=self.trace, now=datetime.now(UTC))
        about = {"agent": self.agent, "trace_name": "A run", "environment": "crash"}
        steps = [step | about if "event_type" in step else step for step in made]
        return steps if "trace_status" in steps[-1] else [*steps, {"trace_id": self.trace, "trace_status": "ok"}]


def failures(label: str, count: int, *, kind: str = "") -> list[Failure]:
    """Return so many, all six patterns in turn, by agents that each fail in all of them and once more."""
    made = []
    for number in range(count):
        agent = number // FAILURES_AN_AGENT
        sort = kind or (QUIET if agent % QUIET_EVERY == 1 else "agent")
        trace = uuid5(NAMESPACE_OID, f"{label}-{kind}-{number}")
        pattern = PATTERNS[number % FAILURES_AN_AGENT % len(PATTERNS)]
        made.append(Failure(pattern, f"{label}-{sort}-{agent}", str(trace)))
    return made


class FailureSender(Sender):
    """Sends failures, each in one to three requests, some of them again though they were acknowledged."""

    patience_s = 300.0  # all may be down, and come up slowly on a machine that has much to do

    def __init__(self, instance: Instance, some: list[Failure], rng: random.Random, pause_s: float) -> None:
        super().__init__(instance, "failures", time.monotonic() + 3_600)
        self.some, self.rng, self.pause_s = some, rng, pause_s
        self.given_up: list[Failure] = []

    def run(self) -> None:
        for failure in self.some:
            steps = failure.steps()
            cuts = sorted(self.rng.sample(range(1, len(steps)), k=min(self.rng.randrange(3), len(steps) - 1)))
            parts = [steps[first:end] for first, end in zip([0, *cuts], [*cuts, len(steps)], strict=True)]
            again = [part for part in parts if self.rng.random() < 0.05]
            if not all(self._send_until_acknowledged(part) for part in [*parts, *again]):
                self.given_up.append(failure)
            time.sleep(self.rng.uniform(0, 2 * self.pause_s))

    def send(self, steps: list[dict[str, Any]]) -> None:
        said = json.loads(self.post("/api/v1/traces", json.dumps(steps).encode(), "application/json"))
        assert said["rejected"] == []


class Importer(threading.Thread):
    """Imports a file of old failures, again until it comes to the end: whoever does so may be killed too."""

    def __init__(self, instance: Instance, file: Path, some: list[Failure]) -> None:
        super().__init__(daemon=True)
        self.instance, self.file, self.codes = instance, file, []  # type: ignore[var-annotated]
        self.file.write_text("".join(f"{json.dumps(step)}\n" for failure in some for step in failure.steps()))

    def run(self) -> None:
        while 0 not in self.codes and len(self.codes) < 50:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self.codes.append(self.instance.command("import", str(self.file), **quiet).wait())


@dataclass(frozen=True)
class Receipt:
    """One request of one message, and whether it was answered well."""

    at: float
    wire_id: str
    body: bytes
    is_taken: bool


@dataclass
class Moody:
    """How a receiver behaves: mostly well; else it is in trouble, hangs up, or takes its time."""

    rng: random.Random
    bad: float
    receipts: list[Receipt] = field(default_factory=list)

    def __call__(self, line: socket.socket, request: Request) -> None:
        mood = self.rng.random() / self.bad if self.bad else 1.0
        is_taken = mood >= 0.8
        if 0.6 <= mood < 1.0:
            time.sleep(2.5)
        self.receipts.append(Receipt(time.monotonic(), request.headers["webhook-id"], request.body, is_taken))
        if is_taken:
            line.sendall(OK)
        elif mood < 0.6:
            line.sendall(answer(500 if mood < 0.4 else 503))

    def repeated(self) -> list[tuple[Receipt, Receipt]]:
        """Return what came once more though it had been taken, with what came before it."""
        last: dict[str, Receipt] = {}
        pairs = []
        for receipt in self.receipts:
            before = last.get(receipt.wire_id)
            if before is not None and before.is_taken:
                pairs.append((before, receipt))
            last[receipt.wire_id] = receipt
        return pairs

    def taken(self) -> dict[str, str]:
        return {receipt.wire_id: receipt.body.decode() for receipt in self.receipts if receipt.is_taken}

    def bodies(self) -> Counter[str]:
        """Return how many contents came with each id; an `up` that starts again may have another address."""
        contents = {(one.wire_id, OUR_ADDRESS.sub(b"", one.body)) for one in self.receipts}
        return Counter(wire_id for wire_id, _ in contents)


def moody(seed: int, bad: float) -> tuple[Receiver, Moody]:
    mood = Moody(random.Random(f"{seed}-{bad}"), bad)
    return Receiver(mood), mood


class Killer:
    """Kills what there is, each target once before any a second time, until nobody sends any more."""

    def __init__(self, instance: Instance, rng: random.Random, pause_s: tuple[float, float]) -> None:
        self.instance, self.rng, self.pause_s = instance, rng, pause_s
        self.kills: list[tuple[float, str]] = []

    def kill_while(self, senders: list[FailureSender]) -> None:
        while True:
            for target in self.rng.sample(TARGETS, k=len(TARGETS)):
                time.sleep(self.rng.uniform(*self.pause_s))
                if len(self.kills) >= len(TARGETS) and not any(sender.is_alive() for sender in senders):
                    return
                self.kill(target)

    def kill(self, target: str) -> None:
        if target == EVERYTHING:
            self._kill_everything()
        elif target in CHILDREN:
            children = self.instance.children(CHILDREN[target])
            if children:
                _kill(self.rng.choice(children))
        else:
            self.instance.kill(target)
        self.kills.append((time.monotonic(), target))

    def _kill_everything(self) -> None:
        pids = list(self.instance.processes())
        self.rng.shuffle(pids)
        for pid in pids:
            _kill(pid)
        self.instance.kill("up")
        self.instance.start()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        os.kill(pid, signal.SIGKILL)
