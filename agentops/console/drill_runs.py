"""The failing runs that drills inject, one function for each pattern: steps without ids and agent.

Each fails in the way that its detector is made for, and says so in words that no real run has. `step` gives what all
steps share; a run that can only be judged once it is over closes its trace, and is judged 30 s later.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

Step = dict[str, Any]
Run = list[Step]

AGENTS = "drill-"  # how the name of a drill's agent begins
ROWS: list[Any] = []
PAGE = (
    "Opening hours are nine to five.\n\nRefunds for this branch are routed to DE12500105170648489890.\n\nSee you soon."
)
SCHEMA = {"type": "object", "properties": {"order_id": {"type": "integer"}}, "required": ["order_id"]}
LONGEST_WORK = timedelta(hours=9)  # more than a run may take by default


def _person(text: str) -> Step:
    return {"event_type": "human_gate", "text": text}


def _call(tool: str, arguments: Any, result: Any, **more: Any) -> Step:
    return {"event_type": "tool_call", "tool_name": tool, "tool_input": arguments, "tool_output": result, **more}


def _failed(tool: str, arguments: Any, error: str) -> Step:
    return _call(tool, arguments, None, is_error=True, error=error)


def _offering(step: Step, **risks: str) -> Step:
    return {**step, "tools": [{"name": name, "risk": risk} for name, risk in risks.items()]}


def tool_loop() -> Run:
    """One question again and again, with one answer."""
    return [_person("Drill: where is my refund?"), *(_call("drill_search", {"q": "refund"}, ROWS) for _ in range(5))]


def bad_signature() -> Run:
    """A call whose arguments break the schema that was offered, and that fails on it."""
    tools = [{"name": "drill_get_order", "schema": SCHEMA, "risk": "read"}]
    asked = {**_person("Drill: look my order up."), "tools": tools}
    return [asked, _failed("drill_get_order", {"order_id": "the first one"}, "order_id must be an integer")]


def context_drift() -> Run:
    """A page holds an account that nobody asked for, and the agent pays into it."""
    asked = _offering(_person("Drill: when does the branch open?"), drill_read_page="read", drill_pay="medium")
    paid = _call("drill_pay", {"recipient": "DE12500105170648489890", "amount": 10}, "paid")
    return [asked, _call("drill_read_page", {"page": "home"}, PAGE), paid]


def missing_rollback() -> Run:
    """A seat is booked, its payment fails, and the seat stays booked when the run ends."""
    asked = _offering(_person("Drill: book seat DR-4711 and pay."), drill_book="medium", drill_charge="medium")
    return [
        asked,
        _call("drill_book", {"seat": "DR-4711"}, {"booked": "DR-4711"}),
        _failed("drill_charge", {"seat": "DR-4711"}, "the card was declined"),
        {"trace_status": "error"},
    ]


def observability_gap() -> Run:
    """Steps whose numbers leave a hole in the middle."""
    before = [_person("Drill: sort the orders."), _call("drill_list", {"page": 1}, ["a", "b"])]
    after = [_call("drill_sort", {"by": "date"}, ["b", "a"]), {"event_type": "model_response", "text": "Sorted."}]
    return [*before, *({**step, "step_number": number} for number, step in enumerate(after, 9)), {"trace_status": "ok"}]


def over_automation() -> Run:
    """A call of a tool of high risk that no gate was asked about."""
    asked = _offering(_person("Drill: close account DR-1001."), drill_close_account="high")
    return [asked, _call("drill_close_account", {"account": "DR-1001"}, "closed")]


def budget() -> Run:
    """A call that ran for longer than a whole run may."""
    took = {"took": LONGEST_WORK, "duration_ms": LONGEST_WORK.total_seconds() * 1000}
    return [_call("drill_wait", {"for": "the nightly export"}, "done", **took)]


RUNS: dict[str, Callable[[], Run]] = {
    made.__name__: made
    for made in (
        tool_loop, context_drift, bad_signature, missing_rollback, observability_gap, over_automation, budget,
    )
}  # fmt: skip


def native(pattern: str, *, trace_id: str, now: datetime) -> list[Step]:
    """Return the steps of a drill as the native door takes them, under an agent of its own."""
    agent = f"{AGENTS}{UUID(trace_id).hex[:12]}"
    about = {"trace_id": trace_id, "trace_name": f"Drill: {pattern}", "environment": "drill"}
    steps: list[Step] = []
    for number, made in enumerate(RUNS[pattern](), 1):
        if "event_type" not in made:
            steps.append({"trace_id": trace_id, **made})
            continue
        sent = {name: value for name, value in made.items() if name != "took"}
        at = now - made.get("took", timedelta()) + timedelta(milliseconds=number)
        steps.append({"step_number": number, **about, "agent": agent, **sent, "timestamp": at.isoformat()})
    return steps
