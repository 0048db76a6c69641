"""Told: from a looping run's receipt to the message about it at a webhook, over 50 runs, the product otherwise idle."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bench.figures import Figure, median, quantile
from bench.load import Client
from tests.instance import Instance, fresh_instance, wait_until
from tests.receivers import OK, Receiver, Request

RUNS, CALLS, PAUSE_S = 50, 6, 0.6
PROMISED_P95_S = 3.0
DELIVERED = """
SELECT a.agent, extract(epoch FROM d.delivered_at - a.received_at)::float8
FROM alerts_alert a JOIN notify_delivery d ON d.key = a.told_key JOIN notify_channel c ON c.id = d.channel_id
WHERE c.config->>'url' = %s AND d.delivered_at IS NOT NULL
"""


class Listener(Receiver):
    """A webhook that notes when the message about each agent came first."""

    def __init__(self) -> None:
        super().__init__(behave=self._note)
        self.came_at: dict[str, float] = {}

    def _note(self, line: socket.socket, request: Request) -> None:
        now, said = time.monotonic(), request.body.decode()
        for agent in agents():
            if f"{agent}:" in said:
                self.came_at.setdefault(agent, now)
        line.sendall(OK)


def agents() -> list[str]:
    return [f"looping-{number:02}" for number in range(RUNS)]


def run() -> Iterator[Figure]:
    with Listener() as listener, fresh_instance(AGENTOPS_OUTBOUND_ALLOW=f"127.0.0.1/32:{listener.port}") as instance:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        instance.run_module("tests.notify.telling", "0", "0", listener.url, **pipes).communicate("\n", timeout=60)
        sent_at = loop(instance)
        wait_until(lambda: len(listener.came_at) == RUNS, 60)
        wait_until(lambda: len(instance.query(DELIVERED, [listener.url])) == RUNS, 10)
        rows = instance.query(DELIVERED, [listener.url])
    seen = [came - sent_at[agent] for agent, came in listener.came_at.items()]
    yield Figure("runs that were told of", len(seen), "runs", RUNS)
    yield from spread("POST to the message at the webhook", seen)
    yield from spread("receipt to delivery, the product's clock", [took for _, took in rows])


def loop(instance: Instance) -> dict[str, float]:
    """Send one looping run after another, each by an agent of its own; return when each was sent."""
    client, sent_at = Client(instance.url, instance.api_key), {}
    for agent in agents():
        call = {"trace_id": agent, "agent": agent, "event_type": "tool_call", "tool_name": "search", "tool_input": {}}
        now = datetime.now(UTC).isoformat()
        steps = [{**call, "step_number": n, "timestamp": now, "tool_output": []} for n in range(1, CALLS + 1)]
        sent_at[agent] = time.monotonic()
        client.post(json.dumps(steps).encode())
        time.sleep(PAUSE_S)
    return sent_at


def spread(what: str, seconds: list[float]) -> Iterator[Figure]:
    yield Figure(f"{what}, p50", median(seconds), "s")
    yield Figure(f"{what}, p95", quantile(seconds, 0.95), "s", PROMISED_P95_S)
    yield Figure(f"{what}, max", max(seconds), "s")
