"""The payment provider and the mail server: what they count, what they survive, and how they fail on demand."""

import os
import threading
import time
from pathlib import Path

import pytest

from tests.sandbox.running import Running, running

REFUND = {"order_id": 1001, "amount_usd": "41.80"}
MAIL = {"to": "nora.lind@example.com", "subject": "Hello", "text": "Hello."}


def pay(sandbox: Running, key: str, **changes: object) -> tuple[int, dict[str, object]]:
    return sandbox.ask("POST", "/payments/refunds", {**REFUND, **changes}, Idempotency_Key=key)


def test_one_key_is_one_payment_however_often_it_is_asked_for(sandbox: Running) -> None:
    answers = [pay(sandbox, "run-1-0") for _ in range(3)]
    assert [status for status, _ in answers] == [201, 200, 200]
    assert len({str(answer["refund_id"]) for _, answer in answers}) == 1
    found = sandbox.effects("payments", "run-1-0")
    assert (found["count"], found["requests"]) == (1, 3)
    assert found["effects"][0]["amount_usd"] == "41.80"


def test_ten_requests_at_a_time_with_one_key_are_one_payment(sandbox: Running) -> None:
    threads = [threading.Thread(target=pay, args=(sandbox, "crowd")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sandbox.effects("payments", "crowd")
    assert (found["count"], found["requests"]) == (1, 10)


def test_a_key_that_comes_with_another_amount_pays_nothing(sandbox: Running) -> None:
    pay(sandbox, "changed")
    status, _ = pay(sandbox, "changed", amount_usd="99.00")
    assert status == 422
    assert sandbox.effects("payments", "changed")["effects"][0]["amount_usd"] == "41.80"


def test_without_a_key_nothing_is_paid(sandbox: Running) -> None:
    before = sandbox.effects("payments")["count"]
    assert sandbox.ask("POST", "/payments/refunds", REFUND)[0] == 400
    assert sandbox.effects("payments")["count"] == before


@pytest.mark.parametrize("amount", ["0", "-1", "1.005", "many", "1e9", "NaN", None])
def test_what_is_no_amount_is_not_paid(amount: object, sandbox: Running) -> None:
    assert pay(sandbox, f"amount {amount}", amount_usd=amount)[0] == 402
    assert sandbox.effects("payments", f"amount%20{amount}")["count"] == 0


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(("kind", "status"), [("reset", 0), ("error", 500)])
def test_a_fault_comes_before_or_after_the_effect(
    kind: str, status: int, when: str, count: int, sandbox: Running
) -> None:
    key = f"{kind}-{when}"
    sandbox.faults("payments", {"kind": kind, "when": when})
    assert pay(sandbox, key)[0] == status
    assert sandbox.effects("payments", key)["count"] == count
    assert pay(sandbox, key)[0] == (200 if count else 201)
    assert sandbox.effects("payments", key)["count"] == 1


def test_a_late_answer_is_an_answer(sandbox: Running) -> None:
    sandbox.faults("payments", {"kind": "slow", "when": "after", "delay_s": 0.4})
    begin = time.monotonic()
    assert pay(sandbox, "late")[0] == 201
    assert time.monotonic() - begin >= 0.4


def test_a_fault_may_wait_for_a_key_and_come_several_times(sandbox: Running) -> None:
    sandbox.faults("payments", {"kind": "error", "key": "that", "times": 2})
    assert [pay(sandbox, key)[0] for key in ("this", "that", "that", "that")] == [201, 500, 500, 201]


def test_an_unknown_fault_is_refused(sandbox: Running) -> None:
    status, answer = sandbox.ask("PUT", "/payments/faults", {"faults": [{"kind": "earthquake"}]})
    assert status == 400
    assert "earthquake" in answer["error"]["message"]


def test_each_mail_is_one_more(sandbox: Running) -> None:
    before = sandbox.effects("mail")["count"]
    sandbox.faults("mail", {"kind": "reset", "when": "after"})
    assert [sandbox.ask("POST", "/mail", MAIL)[0] for _ in range(2)] == [0, 201]
    assert sandbox.effects("mail")["count"] == before + 2


@pytest.mark.crash
def test_what_was_answered_survives_a_kill_and_callers_wait_meanwhile(tmp_path: Path) -> None:
    paid: list[tuple[str, dict[str, object]]] = []
    with running(tmp_path) as one:

        def pay_and_note(key: str) -> None:
            status, answer = pay(one, key)
            if status == 201:
                paid.append((key, answer))

        one.faults("payments", {"kind": "reset", "when": "after", "key": "last"})
        for number in range(int(os.environ.get("CRASH_ROUNDS", "3"))):
            threads = [threading.Thread(target=pay_and_note, args=(f"{number}-{n}",)) for n in range(20)]
            for thread in threads:
                thread.start()
            one.kill()
            one.start()
            for thread in threads:
                thread.join()
        assert paid
        for key, answer in paid:
            found = one.effects("payments", key)
            assert found["count"] == 1
            assert found["effects"][0]["refund_id"] == answer["refund_id"]
        # A fault that was asked for waits through all of it.
        assert [pay(one, "last")[0] for _ in range(2)] == [0, 200]
