"""What a sandbox project begins with: invented customers and orders, which say so, and policies for the tools."""

from decimal import Decimal

from django.db import connection, transaction

from agentops.accounts.models import Project
from agentops.runtime.desk.models import DeskCustomer, DeskOrder, OrderState
from approvals.models import Policy
from approvals.services import save_policy

NOTE = "Demo data: this customer is invented."
CUSTOMERS = {
    "C-501": ("Nora Lind (demo)", "nora.lind@example.com"),
    "C-502": ("Harbour Kiosk (demo)", "orders@harbour-kiosk.example.com"),
    "C-503": ("Tomas Weber (demo)", "tomas.weber@example.com"),
}
# Number, customer, items, total, state, address.
ORDERS = [
    (1001, "C-501", "1 tea pot, blue", "41.80", OrderState.DELIVERED, "12 Mill Lane"),
    (1002, "C-501", "2 tea cups, blue", "18.40", OrderState.OPEN, "12 Mill Lane"),
    (1003, "C-502", "24 postcards", "36.00", OrderState.OPEN, "Pier 1"),
    (1004, "C-502", "6 umbrellas", "119.40", OrderState.OPEN, "Pier 1"),
    (1005, "C-502", "1 awning, striped", "389.00", OrderState.SHIPPED, "Pier 1"),
    (1006, "C-503", "1 cargo bicycle", "4180.00", OrderState.DELIVERED, "7 Orchard Road"),
]
# Examples refund this one again and again.
ALWAYS_REFUNDABLE = 1001
# Tool, tier, what people call the policy.
POLICIES = [
    ("get_order", "low", "Look an order up"),
    ("get_customer", "low", "Look a customer up"),
    ("list_orders", "low", "List a customer's orders"),
    ("update_order", "medium", "Change an order"),
    ("issue_refund", "high", "Refund money"),
    ("send_email", "high", "Write to a customer"),
]


def fill_sandboxes() -> None:
    """Fill every sandbox project; safe at each start, and by two starts at a time."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('desk.fill'))")
        for project in Project.objects.filter(is_sandbox=True):
            fill(project)
            add_policies(project)


def fill(project: Project) -> None:
    """Make the demo customers and orders that are missing, and change none that is there. Three queries."""
    DeskCustomer.objects.bulk_create(
        [
            DeskCustomer(project=project, number=number, name=name, email=email, note=NOTE)
            for number, (name, email) in CUSTOMERS.items()
        ],
        ignore_conflicts=True,
    )
    customers = dict(DeskCustomer.objects.of(project).values_list("number", "id"))
    DeskOrder.objects.bulk_create(
        [
            DeskOrder(
                project=project,
                customer_id=customers[customer],
                number=number,
                items=items,
                total_usd=Decimal(total),
                state=state,
                shipping_address=address,
                note="Demo data: this order is invented.",
                refunds_do_not_count=number == ALWAYS_REFUNDABLE,
            )
            for number, customer, items, total, state, address in ORDERS
        ],
        ignore_conflicts=True,
    )


def add_policies(project: Project) -> None:
    """Make the policies that were never there: one that a person changed or took away stays as they want it."""
    known = set(Policy.objects.of(project).values_list("tool_pattern", flat=True))
    for tool, tier, name in POLICIES:
        if tool not in known:
            save_policy(project, by=None, name=name, tool_pattern=tool, tier=tier, mode="four_eyes")
