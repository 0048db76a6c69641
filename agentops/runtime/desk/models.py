"""The support desk that the built-in agent works at: customers, their orders, and what was paid back."""

from decimal import Decimal
from typing import Self

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project
from agentops.accounts.scoped import ProjectScopedManager, ProjectScopedQuerySet


class DeskCustomer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    number = models.CharField(max_length=20)  # what people and agents call them: C-501
    name = models.CharField(max_length=120)
    email = models.EmailField()
    note = models.TextField(blank=True)

    objects = ProjectScopedManager()

    class Meta:
        db_table = "desk_customer"
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="desk_customer_number")]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


class OrderState(models.TextChoices):
    OPEN = "open"
    ON_HOLD = "on_hold"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


# An order that has left the house can be changed no more.
GONE = frozenset({OrderState.SHIPPED, OrderState.DELIVERED})


class DeskOrderQuerySet(ProjectScopedQuerySet["DeskOrder"]):
    def with_refunded(self) -> Self:
        """Add `refunded`, what was paid back so far."""
        return self.annotate(refunded=models.Sum("refunds__amount_usd", default=Decimal(0)))


class DeskOrder(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    customer = models.ForeignKey(DeskCustomer, models.CASCADE, related_name="orders")
    number = models.PositiveIntegerField()
    items = models.TextField()
    total_usd = models.DecimalField(max_digits=10, decimal_places=2)
    state = models.CharField(max_length=20, choices=OrderState, default=OrderState.OPEN)
    shipping_address = models.CharField(max_length=200)
    note = models.TextField(blank=True)
    # For orders to try things with: what was paid back before does not count.
    refunds_do_not_count = models.BooleanField(default=False)

    refunded: Decimal  # by with_refunded

    objects = DeskOrderQuerySet.as_manager()

    class Meta:
        db_table = "desk_order"
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="desk_order_number"),
            models.CheckConstraint(condition=models.Q(total_usd__gt=0), name="desk_order_has_a_total"),
            models.CheckConstraint(condition=models.Q(state__in=OrderState.values), name="desk_order_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"Order {self.number}"


class DeskRefund(models.Model):
    """Money that the payment provider says it paid back."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    order = models.ForeignKey(DeskOrder, models.CASCADE, related_name="refunds")
    key = models.CharField(max_length=200)  # of the call, as the provider knows it
    amount_usd = models.DecimalField(max_digits=10, decimal_places=2)
    refund_id = models.CharField(max_length=100)
    reason = models.TextField(blank=True)
    made_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ProjectScopedManager()

    class Meta:
        db_table = "desk_refund"
        constraints = [
            models.UniqueConstraint(fields=["project", "key"], name="desk_refund_once_a_key"),
            models.CheckConstraint(condition=models.Q(amount_usd__gt=0), name="desk_refund_is_money"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_usd} USD for {self.order_id}"
