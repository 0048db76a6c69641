"""Invented runs of a shop's agents, the same each time: what pictures and measurements are made of."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Step = dict[str, Any]

JOBS = (
    ("support-desk", "Order {n} arrived broken, wants money back", "Hi, order {n} arrived broken. My money back?"),
    ("support-desk", "Change of address for order {n}", "Please change the delivery address of order {n}."),
    ("refund-bot", "Refund for order {n}, cracked tent poles", "Two of the tent poles are cracked, order {n}."),
    ("invoice-writer", "Invoice {n} for Fjell Sport", "Write the invoice {n} for Fjell Sport."),
    ("order-triage", "Batch 2026-03-16/{n}, 212 orders", "Sort the 212 orders of this morning."),
    ("support-desk", "Where is parcel {n}?", "Where is my parcel? The number is {n}."),
)  # fmt: skip
CALLS = (
    ("get_order", {"order_id": 10428}, {"status": "delivered", "total": "189.00 USD", "customer_id": 20931}),
    ("get_customer", {"customer_id": 20931}, {"name": "Marta Kowalczyk", "since": 2019}),
    ("search_docs", {"q": "damaged goods refund"}, {"passages": 3}),
    ("search_database", {"q": "refund 10428"}, {"rows": []}),
)
WORDS = (
    "Let me look that up.",
    "I found it. Checking which rule applies here before I change anything.",
    "The rule allows it within 30 days, so I am preparing the change now.",
    "Done. You will get a mail within the hour; is there anything else?",
)
THOUGHT = "First the order, then the policy. Anything over 100 USD needs a person, so I must not decide that alone."


def runs(count: int, *, now: datetime | None = None, seed: int = 7) -> Iterator[list[Step]]:
    """Yield the steps of each run, oldest first, spread over the last twenty hours; the last two still go on."""
    rng = random.Random(seed)
    now = now or datetime.now(UTC)
    for i in range(count):
        start = now - timedelta(hours=20) * (1 - i / count) if i < count - 2 else now - timedelta(seconds=74)
        yield run(rng, f"run-{i}", start, is_over=i < count - 2, fails=i % 9 == 4 and i < count - 2, waits=i % 7 == 2)


def run(rng: random.Random, trace: str, start: datetime, *, is_over: bool, fails: bool, waits: bool) -> list[Step]:
    agent, name, asked = rng.choice(JOBS)
    order = rng.randint(10_300, 10_499)
    about = {"trace_id": trace, "session_id": f"s-{20_900 + order % 40}", "agent": agent, "environment": "production"}
    named = {"trace_name": name.format(n=order), "user": "Marta Kowalczyk", "release": "desk-2026.03.2"}
    steps = [{**about, **named, "event_type": "human_gate", "text": asked.format(n=order)}]
    for turn in range(rng.choice((2, 3, 3, 4, 6, 9))):
        steps.append({**about, **answer(rng, turn)})
        steps += [{**about, **call(rng)} for _ in range(rng.choice((1, 1, 2, 3)))]
    if waits:
        steps.append({**about, "event_type": "human_gate", "tool_name": "issue_voucher", "tool_input": {"amount": 15},
                      "decision": "approved", "approval_id": "7q2m4k", "duration_ms": 19_400})  # fmt: skip
    if fails:
        steps.append({**about, "event_type": "tool_call", "tool_name": "create_shipment", "is_error": True,
                      "tool_input": {"order_id": order}, "error": "HTTP 502 from the carrier"})  # fmt: skip
    else:
        steps.append({**about, **answer(rng, len(WORDS) - 1)})
    if is_over:
        steps[-1]["trace_status"] = "error" if fails else "ok"
    at = start
    for number, step in enumerate(steps, 1):
        step |= {"step_number": number, "timestamp": at.isoformat()}
        at += timedelta(milliseconds=step.get("duration_ms", 0) + rng.randint(200, 1_900))
    return steps


def answer(rng: random.Random, turn: int) -> Step:
    tokens = rng.randint(1_200, 9_000)
    return {"event_type": "model_response", "text": WORDS[turn % len(WORDS)], "model_thinking": THOUGHT,
            "model": "claude-sonnet-4-5", "input_tokens": tokens, "output_tokens": rng.randint(60, 700),
            "cost_usd": round(tokens * 3.3e-6, 4), "duration_ms": rng.randint(900, 3_200)}  # fmt: skip


def call(rng: random.Random) -> Step:
    tool, arguments, result = rng.choice(CALLS)
    return {"event_type": "tool_call", "tool_name": tool, "tool_input": arguments, "tool_output": result,
            "duration_ms": rng.randint(180, 1_400)}  # fmt: skip
