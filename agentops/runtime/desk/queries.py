"""What the support desk's tools read, always within the project of the call. One query each."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from agentops.runtime.desk.models import DeskCustomer, DeskOrder
from agentops.runtime.tools.base import ToolError


def order(project_id: str, number: int) -> DeskOrder:
    """Return one order with its customer and `refunded`. Raises ToolError."""
    found = DeskOrder.objects.of(UUID(project_id)).with_refunded().select_related("customer").filter(number=number)
    if not (one := found.first()):
        raise ToolError(f"there is no order {number}")
    return one


def customer(project_id: str, number: str) -> DeskCustomer:
    """Return one customer. Raises ToolError."""
    if not (one := DeskCustomer.objects.of(UUID(project_id)).filter(number=number).first()):
        raise ToolError(f"there is no customer {number}")
    return one


def orders_of(found: DeskCustomer) -> list[DeskOrder]:
    """Return a customer's orders, the newest first."""
    orders = DeskOrder.objects.of(found.project_id).filter(customer=found)
    return list(orders.with_refunded().select_related("customer").order_by("-number")[:50])


def refundable(found: DeskOrder) -> Decimal:
    """Return how much of an order may still be paid back."""
    return found.total_usd if found.refunds_do_not_count else found.total_usd - found.refunded


def facts(found: DeskOrder) -> dict[str, Any]:
    """Return what an agent is told of an order."""
    return {
        "order_id": found.number,
        "customer_id": found.customer.number,
        "items": found.items,
        "total_usd": str(found.total_usd),
        "refunded_usd": str(found.refunded),
        "state": found.state,
        "shipping_address": found.shipping_address,
        "note": found.note,
    }
