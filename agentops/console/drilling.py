"""Drilling a running instance from outside, through its public API alone: register, inject, wait for the alert."""

import http.client
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from agentops.console.drill_runs import native

WAIT_S = 120.0  # for the alert and its delivery; what needs silence is judged 30 s after its end
LOOK_EVERY_S = 0.25
TIMEOUT_S = 30.0
TRIES, BUSY_S = 10, 2.0
SECURE = "https"


class UnreachableError(Exception):
    """The instance cannot be reached, or is none; the text is for the person who drills."""


class RefusedError(Exception):
    """The instance does not take this drill; the text says why."""


@dataclass(frozen=True)
class Outcome:
    """What became of one drill. `receipt_to_delivery_s` is the server's clock alone."""

    pattern: str
    trace_id: str
    detected: bool = False
    onset_to_alert_s: float | None = None
    receipt_to_delivery_s: float | None = None


@dataclass(frozen=True)
class Injected:
    pattern: str
    trace_id: str
    onset_at: datetime


class Instance:
    """A running instance, as a program with a key sees it."""

    def __init__(self, base_url: str, api_key: str) -> None:
        url = urlsplit(base_url)
        if url.scheme not in {"http", SECURE} or not url.hostname:
            raise UnreachableError(f"{base_url} is no address: it must look like https://agentops.example.com.")
        self._base_url, self._secure = base_url, url.scheme == SECURE
        self._host, self._port, self._path = url.hostname, url.port, url.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Return the status and the answer. Raises UnreachableError."""
        make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        line = make(self._host, self._port, timeout=TIMEOUT_S)
        try:
            line.request(method, self._path + path, None if body is None else json.dumps(body), self._headers)
            answer = line.getresponse()
            said = json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(
                f"{self._base_url} gives no answer that AgentOps would give ({type(error).__name__}): is `up` running?"
            ) from None
        finally:
            line.close()
        return answer.status, said if isinstance(said, dict) else {}

    def must(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the answer of a call that went well. Raises RefusedError and UnreachableError."""
        for _ in range(TRIES):
            status, said = self.ask(method, path, body)
            if status != http.client.SERVICE_UNAVAILABLE:
                break
            time.sleep(BUSY_S)  # busy: any client is asked to come again
        if status >= http.client.BAD_REQUEST:
            errors = "; ".join(str(error.get("detail", "")) for error in said.get("errors", []))
            raise RefusedError(errors or str(said.get("detail") or f"It answered with status {status}."))
        return said


def inject(instance: Instance, pattern: str) -> Injected:
    """Register the onset, then send a failing run of its own. Raises RefusedError and UnreachableError."""
    trace_id, onset_at = uuid4().hex, datetime.now(UTC)
    about = {"pattern": pattern, "trace_id": trace_id, "onset_at": onset_at.isoformat()}
    instance.must("POST", "/api/v1/drills", about)
    steps = native(pattern, trace_id=trace_id, now=datetime.now(UTC))
    receipt = instance.must("POST", "/api/v1/traces", steps)
    if receipt.get("rejected"):
        raise RefusedError(f"It rejected steps of the drill: {json.dumps(receipt['rejected'])[:300]}")
    return Injected(pattern, trace_id, onset_at)


def wait_for(
    instance: Instance, injected: Iterable[Injected], *, wait_s: float = WAIT_S, told: Callable[[Outcome], None]
) -> list[Outcome]:
    """Wait until each was told or the time is over, and return what became of them, in their order.

    `told` is called with each as soon as it is known. Raises RefusedError and UnreachableError.
    """
    waiting = list(injected)
    order, outcomes = [one.trace_id for one in waiting], {}
    deadline = time.monotonic() + wait_s
    while waiting:
        is_over = time.monotonic() > deadline
        for one in list(waiting):
            outcome = look(instance, one)
            if outcome.receipt_to_delivery_s is not None or is_over:
                waiting.remove(one)
                outcomes[one.trace_id] = outcome
                told(outcome)
        time.sleep(LOOK_EVERY_S if waiting else 0)
    return [outcomes[trace_id] for trace_id in order]


def look(instance: Instance, one: Injected) -> Outcome:
    """Ask for the alert of a drill; it is detected once there is one, and over once that was delivered."""
    query = f"trace={quote(one.trace_id)}&pattern={quote(one.pattern)}"
    alerts = instance.must("GET", f"/api/v1/alerts?{query}").get("results", [])
    if not alerts:
        return Outcome(one.pattern, one.trace_id)
    alert = min(alerts, key=lambda alert: str(alert["alerted_at"]))
    to_alert_s = max((_time(alert["alerted_at"]) - one.onset_at).total_seconds(), 0.0)
    ours_s = None
    if alert["delivered_at"]:
        ours_s = (_time(alert["delivered_at"]) - _time(alert["received_at"])).total_seconds()
    return Outcome(one.pattern, one.trace_id, True, round(to_alert_s, 3), None if ours_s is None else round(ours_s, 3))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_json(outcomes: Iterable[Outcome]) -> str:
    return json.dumps({"drills": [asdict(outcome) for outcome in outcomes]}, indent=2)


def as_table(outcomes: Iterable[Outcome]) -> str:
    """Return one line for each drill, aligned; misses say so."""
    lines = [f"{'pattern':<18} {'detected':<9} {'onset to alert':>15} {'receipt to delivery':>20}  trace"]
    for one in outcomes:
        found = "yes" if one.receipt_to_delivery_s is not None else "untold" if one.detected else "MISSED"
        times = f"{_seconds(one.onset_to_alert_s):>15} {_seconds(one.receipt_to_delivery_s):>20}"
        lines.append(f"{one.pattern:<18} {found:<9} {times}  {one.trace_id}")
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"


def is_missed(outcome: Outcome) -> bool:
    return not outcome.detected or outcome.receipt_to_delivery_s is None
