"""Looks an order up."""

from typing import Any

from agentops.runtime.tools.base import Call, Effect, Risk, Tool


class GetOrder(Tool):
    name = "get_order"
    description = "Return one order by its number: items, total, what was refunded, state and address."
    schema = {
        "type": "object",
        "properties": {"order_id": {"type": "integer", "description": "The order's number, such as 1001"}},
        "required": ["order_id"],
        "additionalProperties": False,
    }
    effect = Effect.READ
    risk = Risk.LOW

    def execute(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        from agentops.runtime.desk import queries

        return queries.facts(queries.order(call.project_id, arguments["order_id"]))
