"""Realistic steps in batches, and the client that posts them; `python -m bench.load` is one such client.

It prints a line when it is ready, starts on a line of input, and answers with one line of JSON.
"""

import argparse
import gzip
import http.client
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

TRACES, STEPS = 16, 32  # a batch: 512 steps
BATCH = TRACES * STEPS
PLACE = "trace-in-batch-{:02d}-of-the-template"  # as long as the id that replaces it
PREPARED = 64  # gzip bodies made before the clock starts
SYLLABLES = re.findall("..", "anbecodielfigahoinjokalominoorpequirasotiumvewoxiyazo")
PARAMETERS = {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}
TOOLS = [
    {"name": name, "schema": PARAMETERS, "risk": risk}
    for name, risk in (("search_orders", "low"), ("get_customer", "low"), ("update_ticket", "medium"))
]


def template(seed: int = 1) -> bytes:
    """Return the body of one batch, with PLACE where the ids of its traces go."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(4_000)]
    began = datetime.now(UTC) - timedelta(seconds=STEPS)
    steps = [step(rng, words, trace, number, began) for trace in range(TRACES) for number in range(1, STEPS + 1)]
    return json.dumps({"steps": steps}).encode()


def step(rng: random.Random, words: list[str], trace: int, number: int, began: datetime) -> dict[str, Any]:
    """Return one step: model answers of about 2 kB, tool calls with arguments and a result, in turn."""
    sent: dict[str, Any] = {
        "trace_id": PLACE.format(trace),
        "session_id": f"session-{trace}",
        "step_number": number,
        "timestamp": (began + timedelta(seconds=number)).isoformat(),
        "agent": "support-desk",
        "duration_ms": rng.randint(20, 4_000),
        "metadata": {"attempt": 1, "region": "eu"},
    }
    if number % 2:
        sent |= {"event_type": "model_response", "model": "a-model-1", "text": prose(rng, words, 2_000)}
        sent |= {"input_tokens": rng.randint(500, 9_000), "output_tokens": rng.randint(50, 700), "cost_usd": 0.0123}
    else:
        rows = [{"id": rng.randint(1, 10**6), "note": prose(rng, words, 150)} for _ in range(8)]
        query = {"query": prose(rng, words, 60), "limit": rng.randint(1, 50)}
        sent |= {"event_type": "tool_call", "tool_name": "search_orders", "tool_input": query, "tool_output": rows}
    if number == 1:
        sent |= {"tools": TOOLS, "trace_name": prose(rng, words, 40)}
    return sent


def prose(rng: random.Random, words: list[str], length: int) -> str:
    return " ".join(rng.choices(words, k=length // 7))[:length]


def fresh(body: bytes) -> bytes:
    """Return the batch with ids that nobody has seen."""
    for trace in range(TRACES):
        old = PLACE.format(trace).encode()
        body = body.replace(old, uuid4().hex.ljust(len(old), "0").encode())
    return body


class Client:
    """One connection that is kept alive."""

    def __init__(self, url: str, key: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Return the answer's JSON. Raises RuntimeError for anything but 200."""
        self.connection.request(method, path, body, {**self.headers, **headers})
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
        return json.loads(said)

    def post(self, body: bytes, *, packed: bool = False) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {})
        return self.ask("POST", "/api/v1/traces", body, **headers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--gzip", action="store_true")
    options = parser.parse_args()
    body = template()
    client = Client(options.url, options.key)
    bodies = packed(body) if options.gzip else plain(body)
    print("ready", flush=True)
    sys.stdin.readline()
    took, end = [], time.monotonic() + options.seconds
    while time.monotonic() < end and (sent := next(bodies, None)):
        began = time.monotonic()
        receipt = client.post(sent, packed=options.gzip)
        took.append(time.monotonic() - began)
        assert receipt["accepted"] == BATCH, receipt
    print(json.dumps({"spans": BATCH * len(took), "took_s": took, "bytes_a_span": len(body) / BATCH}))


def plain(body: bytes) -> Iterator[bytes]:
    while True:
        yield fresh(body)


def packed(body: bytes) -> Iterator[bytes]:
    return iter([gzip.compress(fresh(body), compresslevel=1) for _ in range(PREPARED)])


if __name__ == "__main__":
    main()
