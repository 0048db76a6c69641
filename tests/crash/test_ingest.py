"""Ingest under fire: what was acknowledged is there once, whatever was killed meanwhile."""

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.instance import PARTS, Instance

pytestmark = pytest.mark.crash

FIRE_S = 8.0
CLIENTS = 3
STEPS_A_BATCH = 20
WRONG_SUMS = """
SELECT t.external_trace_id FROM traces_trace t
LEFT JOIN (SELECT trace_ref_id, count(*) AS n FROM traces_span GROUP BY 1) s ON s.trace_ref_id = t.id
WHERE t.steps <> coalesce(s.n, 0) AND t.external_trace_id LIKE %s
"""


class Sender(threading.Thread):
    """A client that sends batches one after the other, each until it is acknowledged, as exporters do."""

    def __init__(self, instance: Instance, name: str, until: float) -> None:
        super().__init__(daemon=True)
        self.instance, self.label, self.until = instance, name, until
        self.acknowledged: set[tuple[str, int]] = set()
        self.retries = 0
        self.refused: list[str] = []

    def run(self) -> None:
        number = 0
        while time.monotonic() < self.until:
            # Every second batch goes on with the trace of the one before, so that traces grow under fire.
            trace = f"{self.label}-{number // 2}"
            first = (number % 2) * STEPS_A_BATCH
            steps = [self._step(trace, first + i) for i in range(STEPS_A_BATCH)]
            if self._send_until_acknowledged(steps):
                self.acknowledged.update((trace, step["step_number"]) for step in steps)
            number += 1

    def _step(self, trace: str, number: int) -> dict[str, Any]:
        return {
            "trace_id": trace,
            "session_id": self.label,
            "step_number": number,
            "timestamp": "2026-03-16T12:00:00Z",
            "event_type": "tool_call",
            "tool_name": "probe",
            "tool_input": {"n": number},
            "tool_output": "x" * 200,
        }

    def _send_until_acknowledged(self, steps: list[dict[str, Any]]) -> bool:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                answer = self._post(steps)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    self.refused.append(f"{error.code}: {error.read()[:300]!r}")
                    return False
            except (OSError, http.client.HTTPException):
                pass  # no answer: whether it was stored is unknown, so it is sent again
            else:
                assert answer["accepted"] + answer["duplicates"] == len(steps)
                return True
            self.retries += 1
            time.sleep(0.2)
        return False

    def _post(self, steps: list[dict[str, Any]]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.instance.api_key}", "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self.instance.url}/api/v1/traces", json.dumps(steps).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            body: dict[str, Any] = json.load(answer)
            return body


def kill_all(instance: Instance, rng: random.Random) -> None:
    """Kill each part once, at some moment, in some order; the broker loses its data."""
    started = time.monotonic()
    for part, moment in zip(
        rng.sample(list(PARTS), k=len(PARTS)), sorted(rng.uniform(0, FIRE_S) for _ in PARTS), strict=True
    ):
        time.sleep(max(0.0, started + moment - time.monotonic()))
        instance.kill(part)


def test_nothing_acknowledged_is_missing_or_doubled(instance: Instance, seed: int) -> None:
    instance.wait_until_whole()
    senders = [Sender(instance, f"{seed}-{i}", time.monotonic() + FIRE_S + 1) for i in range(CLIENTS)]
    for sender in senders:
        sender.start()
    kill_all(instance, random.Random(seed))
    for sender in senders:
        sender.join(60)
    instance.wait_until_whole(30)
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    assert [sender.refused for sender in senders if sender.refused] == []
    assert acknowledged, "the clients did not get through"
    rows = instance.query(
        "SELECT t.external_trace_id, s.step_number FROM traces_span s JOIN traces_trace t ON t.id = s.trace_ref_id"
        " WHERE t.external_trace_id LIKE %s",
        [f"{seed}-%"],
    )
    assert acknowledged - set(rows) == set()
    assert len(rows) == len(set(rows))
    assert instance.query(WRONG_SUMS, [f"{seed}-%"]) == []
    ((accepted, stored),) = instance.query(
        "SELECT (SELECT sum(accepted) FROM traces_ingestbatch b WHERE EXISTS (SELECT 1 FROM traces_trace t"
        " WHERE t.trace_id = ANY (b.traces) AND t.external_trace_id LIKE %s)),"
        " (SELECT count(*) FROM traces_span s JOIN traces_trace t ON t.id = s.trace_ref_id"
        " WHERE t.external_trace_id LIKE %s)",
        [f"{seed}-%", f"{seed}-%"],
    )
    assert accepted == stored
