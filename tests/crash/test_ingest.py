"""Ingest under fire: what was acknowledged is there once, whatever was killed meanwhile."""

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.instance import PARTS, Instance
from tests.traces.otlp import JSON, PROTOBUF, TOOL, protobuf, request, span

pytestmark = pytest.mark.crash

FIRE_S = 8.0
STEPS_A_BATCH = 20
AGAIN_S = 0.2
AGENT_SPAN = "a" * 16  # never sent: calls without a span around them would be put together by their session
# Each of the statements below reads `t`, the traces of one round.
OF_ROUND = """
WITH t AS (SELECT t.* FROM traces_trace t JOIN traces_session s ON s.id = t.session_id WHERE s.session_id LIKE %s)
"""
STORED = """
SELECT coalesce(t.external_trace_id, t.trace_id::text), coalesce(s.step_number::text, s.span_id)
FROM traces_span s JOIN t ON t.id = s.trace_ref_id
"""
WRONG_SUMS = """
SELECT t.id FROM t LEFT JOIN (SELECT trace_ref_id, count(*) AS n FROM traces_span GROUP BY 1) s ON s.trace_ref_id = t.id
WHERE t.steps <> coalesce(s.n, 0)
"""
LEDGER = """
SELECT (SELECT sum(accepted) FROM traces_ingestbatch b WHERE EXISTS (SELECT 1 FROM t WHERE trace_id = ANY (b.traces))),
       (SELECT count(*) FROM traces_span s JOIN t ON t.id = s.trace_ref_id)
"""


class Sender(threading.Thread):
    """A client that sends batches one after the other, each until it is acknowledged, as exporters do."""

    patience_s = 30.0

    def __init__(self, instance: Instance, name: str, until: float) -> None:
        super().__init__(daemon=True)
        self.instance, self.label, self.until = instance, name, until
        self.acknowledged: set[tuple[str, str]] = set()
        self.retries = 0
        self.refused: list[str] = []

    def run(self) -> None:
        number = 0
        while time.monotonic() < self.until:
            # Every second batch goes on with the trace of the one before, so that traces grow under fire.
            trace = self.trace_id(number // 2)
            first = (number % 2) * STEPS_A_BATCH
            steps = range(first, first + STEPS_A_BATCH)
            if self._send_until_acknowledged([self.step(trace, n) for n in steps]):
                self.acknowledged.update((trace, self.step_id(n)) for n in steps)
            number += 1

    def trace_id(self, number: int) -> str:
        return f"{self.label}-{number}"

    def step_id(self, number: int) -> str:
        return str(number)

    def step(self, trace: str, number: int) -> dict[str, Any]:
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
        end = time.monotonic() + self.patience_s
        while time.monotonic() < end:
            try:
                self.send(steps)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    self.refused.append(f"{error.code}: {error.read()[:300]!r}")
                    return False
                self.wait(int(error.headers["Retry-After"]))
            except (OSError, http.client.HTTPException):
                self.wait(0)  # no answer: whether it was stored is unknown, so it is sent again
            else:
                return True
            self.retries += 1
        return False

    def send(self, steps: list[dict[str, Any]]) -> None:
        answer = json.loads(self.post("/api/v1/traces", json.dumps(steps).encode(), JSON))
        assert answer["accepted"] + answer["duplicates"] == len(steps)

    def wait(self, seconds: int) -> None:
        """Come back before one is asked to: the more is sent, the more is found."""
        time.sleep(AGAIN_S)

    def post(self, path: str, body: bytes, kind: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.instance.api_key}", "Content-Type": kind}
        asked = urllib.request.Request(f"{self.instance.url}{path}", body, headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            said: bytes = answer.read()
            return said


class Exporter(Sender):
    """One that sends spans in protobuf, and comes back when OTLP/HTTP says that it should.

    That is: after 429, 502, 503, 504 or no answer, as late as Retry-After asks, else after a growing pause; never
    after any other answer, and never what a partial success rejected.
    """

    pause_s = AGAIN_S

    def trace_id(self, number: int) -> str:
        return str(uuid5(NAMESPACE_OID, f"{self.label}-{number}"))

    def step_id(self, number: int) -> str:
        return f"{number + 1:016x}"

    def step(self, trace: str, number: int) -> dict[str, Any]:
        said = TOOL | {"gen_ai.tool.call.id": f"{trace}-{number}", "gen_ai.conversation.id": self.label}
        return span(number + 1, said, traceId=UUID(trace).hex, parentSpanId=AGENT_SPAN)

    def send(self, steps: list[dict[str, Any]]) -> None:
        answer = self.post("/v1/traces", protobuf(request(*steps)), PROTOBUF)
        assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 0
        self.pause_s = AGAIN_S

    def wait(self, seconds: int) -> None:
        assert 0 <= seconds <= 3
        time.sleep(seconds or self.pause_s)
        self.pause_s = min(2 * self.pause_s, 5.0)


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
    until = time.monotonic() + FIRE_S + 1
    senders = [kind(instance, f"{seed}-{i}", until) for i, kind in enumerate((Sender, Sender, Exporter, Exporter))]
    for sender in senders:
        sender.start()
    kill_all(instance, random.Random(seed))
    for sender in senders:
        sender.join(60)
    instance.wait_until_whole(30)
    acknowledged = set().union(*(sender.acknowledged for sender in senders))
    assert [sender.refused for sender in senders if sender.refused] == []
    assert all(sender.acknowledged for sender in senders), "a client did not get through"
    rows = instance.query(OF_ROUND + STORED, [f"{seed}-%"])
    assert acknowledged - set(rows) == set()
    assert len(rows) == len(set(rows))
    assert instance.query(OF_ROUND + WRONG_SUMS, [f"{seed}-%"]) == []
    ((accepted, stored),) = instance.query(OF_ROUND + LEDGER, [f"{seed}-%"])
    assert accepted == stored
