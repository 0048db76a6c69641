"""The demo data of a sandbox project: a handful of invented customers and orders, which say that they are invented."""

from decimal import Decimal

from agentops.accounts.models import Project
from agentops.runtime.desk.models import DeskCustomer, DeskOrder, OrderState

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


def fill(project: Project) -> None:
    """Make the demo customers and orders that are missing, and change none that is there. Four queries."""
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


def fill_sandboxes() -> None:
    """Fill every sandbox project; safe at each start."""
    for project in Project.objects.filter(is_sandbox=True):
        fill(project)
