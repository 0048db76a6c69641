"""Pays money back through the payment provider. It cannot be undone."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from agentops.runtime.sandbox import client
from agentops.runtime.tools.base import Call, Effect, OutcomeUnknownError, Preview, Risk, Tool, ToolError

if TYPE_CHECKING:
    from agentops.runtime.desk.models import DeskOrder


class IssueRefund(Tool):
    name = "issue_refund"
    description = "Pay a customer back for one order, all of it or a part. The money leaves at once."
    schema = {
        "type": "object",
        "properties": {
            "order_id": {"type": "integer", "description": "The order's number, such as 1001"},
            "amount_usd": {"type": "number", "exclusiveMinimum": 0, "maximum": 100_000, "description": "In US dollars"},
            "reason": {"type": "string", "minLength": 3, "maxLength": 500},
        },
        "required": ["order_id", "amount_usd", "reason"],
        "additionalProperties": False,
    }
    effect = Effect.IDEMPOTENT
    risk = Risk.HIGH

    def execute(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        from agentops.runtime.desk.models import DeskRefund
        from agentops.runtime.desk.queries import order

        found, amount = order(call.project_id, arguments["order_id"]), _money(arguments["amount_usd"])
        made = DeskRefund.objects.of(found.project_id).filter(key=call.key).first()
        if made is None:
            _check(found, amount, call)
            refund_id = _pay(found.number, amount, call)
            made, _ = DeskRefund.objects.get_or_create(
                project_id=found.project_id,
                key=call.key,
                defaults={
                    "order": found,
                    "amount_usd": amount,
                    "refund_id": refund_id,
                    "reason": arguments["reason"],
                },
            )
        return {"refund_id": made.refund_id, "order_id": found.number, "amount_usd": str(made.amount_usd)}

    def preview(self, arguments: dict[str, Any], call: Call) -> Preview:
        from agentops.runtime.desk.queries import order

        try:
            amount = _money(arguments["amount_usd"])
            found = order(call.project_id, arguments["order_id"])
        except ToolError as error:
            return Preview(title="Refund", consequences=[f"It would fail: {error}."])
        share = amount * 100 / found.total_usd
        facts = {
            "Order": f"{found.number}: {found.items}",
            "Share of the order": f"{share:.0f} % of ${found.total_usd:,.2f}",
            "Refunded before": f"${found.refunded:,.2f}",
        }
        consequences = [
            f"${amount:,.2f} leave at once and go to {found.customer.name}.",
            "It cannot be undone: only the customer could send the money back.",
        ]
        if not found.refunds_do_not_count and found.refunded + amount > found.total_usd:
            consequences.append("It would fail: it is more than what is left of the order.")
        target = f"to {found.customer.name}, {found.customer.email}"
        return Preview(title=f"Refund ${amount:,.2f}", target=target, facts=facts, consequences=consequences)

    def manual_steps(self, arguments: dict[str, Any], remembered: dict[str, Any]) -> str:
        amount, number = arguments["amount_usd"], arguments["order_id"]
        return f"Ask the payment provider whether {amount} USD for order {number} were paid, and note it at the order."


def _money(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
        if amount > 0 and amount == amount.quantize(Decimal("0.01")):
            return amount.quantize(Decimal("0.01"))
    except InvalidOperation:
        pass
    raise ToolError(f"{value} is no amount of dollars and cents")


def _check(found: "DeskOrder", amount: Decimal, call: Call) -> None:
    """Refuse more than the order is worth. A repetition was checked before its first attempt."""
    from agentops.runtime.desk.queries import refundable

    if call.attempt == 1 and amount > (left := refundable(found)):
        raise ToolError(f"{amount} USD are more than the {left} USD that are left of order {found.number}")


def _pay(number: int, amount: Decimal, call: Call) -> str:
    """Ask the provider, by the call's key: a repetition of the call is one payment. Raises OutcomeUnknownError."""
    body = {"order_id": number, "amount_usd": str(amount)}
    try:
        answer = client.post("/payments/refunds", body, key=call.key, timeout_s=call.timeout_s)
    except client.NotSentError as error:
        raise ToolError(f"the payment provider was not asked: {error}") from None
    except client.NoAnswerError as error:
        raise OutcomeUnknownError(f"the payment provider was asked, and {error}") from None
    if answer.status >= 500:
        raise OutcomeUnknownError(f"the payment provider answered {answer.status}: {answer.error}")
    if answer.status >= 400:
        raise ToolError(f"the payment provider refused: {answer.error}")
    return str(answer.body["refund_id"])
