"""Lists the orders of a customer."""

from typing import Any

from agentops.runtime.tools.base import Call, Effect, Risk, Tool


class ListOrders(Tool):
    name = "list_orders"
    description = "Return the orders of one customer, the newest first, at most 50."
    schema = {
        "type": "object",
        "properties": {"customer_id": {"type": "string", "description": "The customer's number, such as C-501"}},
        "required": ["customer_id"],
        "additionalProperties": False,
    }
    effect = Effect.READ
    risk = Risk.LOW

    def execute(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        from agentops.runtime.desk import queries

        customer = queries.customer(call.project_id, arguments["customer_id"])
        return {
            "customer_id": customer.number,
            "orders": [queries.facts(order) for order in queries.orders_of(customer)],
        }
