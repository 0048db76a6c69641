"""Demo data: healthy and failing runs of an invented shop's agents, written by hand; `environment` says demo.

Each function returns the calls and messages of one run; `demo()` gives them numbers, times and ids. The healthy ones
hold what only looks like a loop: polling, pagination, many items, a retry, things read twice before a change.
The other failures than loops are in demo_failures.py.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from agentops.console.demo_failures import OTHERS
from agentops.console.demo_steps import Run, Step, calls, customer, native, order, says

# Each asks for a refund of the sandbox's order 1001 and waits until a person decides.
ASKING = {
    "broken-pot": "Demo: the tea pot of order 1001 arrived broken, the customer wants the money back.",
    "second-mail": "Demo: the customer of order 1001 writes again. Has anybody paid the tea pot back?",
}


def parcel() -> Run:
    return [
        customer("Where is my parcel P-88120? Order 10433."),
        order(10433, "in transit"),
        calls("track_parcel", {"parcel": "P-88120"}, {"place": "sorting centre", "due": "tomorrow"}),
        says("It left the sorting centre this morning and should arrive tomorrow."),
    ]


def polling() -> Run:
    """A job that is asked for its state until it is done: equal calls, changing answers."""
    share = [5, 20, 45, 80, 97, 100]
    return [
        says("I start the nightly export and wait for it."),
        calls("start_export", {"table": "orders"}, {"job": "e-71"}),
        *(calls("export_status", {"job": "e-71"}, {"done_percent": done}, took_s=0.1) for done in share),
        says("The export of the orders is done."),
    ]


def pages() -> Run:
    """Pagination: one tool, other arguments, other answers."""
    return [
        says("I read all open invoices, 50 a page."),
        *(calls("list_invoices", {"page": i}, {"page": i, "first": 88_000 + 50 * i}) for i in range(1, 13)),
        says("600 open invoices, 14 of them overdue."),
    ]


def items() -> Run:
    """One tool over many items, each with the same answer."""
    return [
        says("I sort the 160 orders of this morning."),
        *(calls("sort_order", {"order_id": 10_400 + i}, "sorted", took_s=0.05) for i in range(160)),
        says("160 orders are sorted."),
    ]


def retry() -> Run:
    failed = calls("charge_card", {"order_id": 10419}, None, error="gateway timeout after 10 s", took_s=10)
    return [
        customer("Please charge my card for order 10419."),
        order(10419, "open"),
        failed,
        says("The gateway did not answer; I try once more."),
        calls("charge_card", {"order_id": 10419}, {"charged": "64.00 USD"}),
        says("Your card was charged 64.00 USD."),
    ]


def read_again() -> Run:
    """Things read twice, once to look and once right before they are changed."""
    looked = [calls("get_stock", {"item": f"tent-{i}"}, {"left": i}) for i in range(5)]
    return [
        says("I look at the stock of five tents."),
        *looked,
        says("Once more before I order."),
        *looked,
        calls("order_stock", {"items": ["tent-0", "tent-1"]}, {"order": "s-9"}),
        says("Two tents are ordered."),
    ]


def waited() -> Run:
    decision = {"event_type": "human_gate", "tool_name": "issue_voucher", "tool_input": {"amount": "15.00 USD"}}
    return [
        customer("The poles of my tent are cracked. Order 10391."),
        order(10391, "delivered"),
        {**decision, "approval_id": "demo-1", "decision": "approved", "took_s": 94.0},
        calls("issue_voucher", {"amount": "15.00 USD"}, {"voucher": "V-7714"}),
        says("I have sent you a voucher of 15.00 USD."),
    ]


def turns() -> Run:
    """The same question asked again by a person: their message is new information."""
    return [
        step
        for again in range(4)
        for step in (
            customer("And now? Has order 10402 left?" if again else "Has order 10402 left?"),
            order(10402, "packed"),
            says("Not yet: it is packed and waits for the carrier."),
        )
    ]


def search_loop() -> Run:
    question = "refund 10428"
    return [
        customer("Order 10428 arrived broken, I want my money back."),
        says("I am sorry to hear that. Let me look the order up."),
        order(10428, "delivered"),
        *(calls("search_database", {"q": question}, {"rows": []}, took_s=1.1) for _ in range(9)),
        says("I am still looking for your refund.", 6_400),
    ]


def error_loop() -> Run:
    attempts = [{"to": "2026-03-1" + str(day), "room": "B"} for day in range(1, 8)]
    return [
        says("I book the first free day of the week."),
        *(calls("book_room", attempt, None, error="room B does not exist") for attempt in attempts),
    ]


def cycle_loop() -> Run:
    one = calls("open_ticket", {"id": 551}, {"state": "locked by another agent"})
    other = calls("list_tickets", {"queue": "returns"}, {"tickets": [551]})
    return [says("I take the next ticket of the queue."), *[other, one] * 5]


def wording_loop() -> Run:
    ways = ("{}", "{}?", "{}!", "the {}", "{}, please", "our {}")
    asked = [way.format("shipping policy norway") for way in ways]
    found = {"passages": [], "note": "nothing found"}
    return [customer("Do you ship to Norway?"), *(calls("search_docs", {"q": words}, found) for words in asked)]


HEALTHY: dict[str, tuple[str, str, Callable[[], Run]]] = {
    "parcel": ("support-desk", "Where is parcel P-88120?", parcel),
    "polling": ("export-bot", "Nightly export of the orders", polling),
    "pages": ("invoice-writer", "Open invoices, all pages", pages),
    "items": ("order-triage", "160 orders to sort", items),
    "retry": ("support-desk", "Charge for order 10419", retry),
    "read-again": ("stock-keeper", "Stock of five tents", read_again),
    "waited": ("refund-bot", "Voucher for order 10391", waited),
    "turns": ("support-desk", "Has order 10402 left?", turns),
}
LOOPING: dict[str, tuple[str, str, Callable[[], Run]]] = {
    "search-loop": ("support-desk", "Order 10428 arrived broken", search_loop),
    "error-loop": ("room-booker", "A room for the week", error_loop),
    "cycle-loop": ("ticket-sorter", "Next ticket of returns", cycle_loop),
    "wording-loop": ("docs-helper", "Do you ship to Norway?", wording_loop),
}
FAILING = dict.fromkeys(LOOPING, "tool_loop") | {
    name: pattern for name, (pattern, _) in OTHERS.items()
}  # pattern of each
STILL_RUNNING = {"search-loop"}


def demo(now: datetime) -> Iterator[list[Step]]:
    """Yield each run as native steps, the healthy ones first; they ended within the last minutes, one goes on."""
    listed = [*HEALTHY.items(), *((name, run) for name, (_, run) in OTHERS.items()), *LOOPING.items()]
    for place, (name, (agent, title, make)) in enumerate(listed):
        is_over = name not in STILL_RUNNING
        ended = now - timedelta(seconds=7) * (len(listed) - place) if is_over else now
        yield native(name, agent, title, make(), ended=ended, is_over=is_over)
