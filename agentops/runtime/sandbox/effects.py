"""A payment provider that honours idempotency keys, and a mail server that knows none. Both count what they did.

A fault (`PUT /payments/faults`, `PUT /mail/faults`) is
`{"kind": "slow|reset|error", "when": "before|after", "delay_s": 0, "times": 1, "key": …}`: it happens before the
effect, or after the effect and before the answer.
"""

import secrets
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from agentops.runtime.sandbox.server import Handler, RefusedError, Route, put_faults
from agentops.runtime.sandbox.state import KeyReusedError

KINDS = frozenset({"slow", "reset", "error"})
AMOUNT_MAX = Decimal(100_000)


def refund(handler: Handler) -> None:
    """Pay money back, once for each key."""
    body, key = handler.json(), handler.headers.get("Idempotency-Key", "")
    if not key:
        raise RefusedError(400, "invalid_request_error", "Idempotency-Key is missing")
    _check_amount(body)
    handler.state.note_asked("payments", key)
    answer = {"refund_id": f"re_{secrets.token_hex(8)}"}

    def make() -> tuple[dict[str, Any], bool]:
        try:
            return handler.state.effect("payments", key, body, answer)
        except KeyReusedError:
            raise RefusedError(422, "key_reused", "this Idempotency-Key came with another request before") from None

    _happen(handler, "payments", key, make)


def _check_amount(body: dict[str, Any]) -> None:
    try:
        amount = Decimal(str(body.get("amount_usd")))
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and 0 < amount <= AMOUNT_MAX and amount == amount.quantize(Decimal("0.01"))):
        raise RefusedError(402, "amount_refused", f"{body.get('amount_usd')} US dollars cannot be paid back")


def mail(handler: Handler) -> None:
    """Take a message. There is no key: a second request is a second message."""
    body = handler.json()
    if "@" not in str(body.get("to", "")):
        raise RefusedError(400, "invalid_request_error", "`to` is no address")
    answer = {"message_id": f"<{secrets.token_hex(8)}@sandbox.invalid>"}
    handler.state.note_asked("mail", "")
    _happen(handler, "mail", None, lambda: handler.state.effect("mail", None, body, answer))


def _happen(handler: Handler, place: str, key: str | None, make: Callable[[], tuple[dict[str, Any], bool]]) -> None:
    fault = handler.state.take_fault(place, key)
    if fault.get("when", "before") == "before":
        _suffer(handler, fault)
    answer, is_repeated = make()
    if fault.get("when") == "after":
        _suffer(handler, fault)
    handler.answer(200 if is_repeated else 201, answer, {"Idempotent-Replayed": "true"} if is_repeated else None)


def _suffer(handler: Handler, fault: dict[str, Any]) -> None:
    time.sleep(float(fault.get("delay_s", 0)))
    if fault.get("kind") == "reset":
        handler.reset()
    if fault.get("kind") == "error":
        raise RefusedError(500, "api_error", "something went wrong here")


def _effects(place: str) -> Route:
    return lambda handler: handler.answer(200, handler.state.effects(place, handler.query.get("key")))


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "/payments/refunds"): refund,
    ("GET", "/payments/effects"): _effects("payments"),
    ("PUT", "/payments/faults"): put_faults("payments", KINDS),
    ("POST", "/mail"): mail,
    ("GET", "/mail/effects"): _effects("mail"),
    ("PUT", "/mail/faults"): put_faults("mail", KINDS),
}
