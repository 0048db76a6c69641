"""Looks a customer up."""

from typing import Any

from agentops.runtime.tools.base import Call, Effect, Risk, Tool


class GetCustomer(Tool):
    name = "get_customer"
    description = "Return one customer by number: name and e-mail address."
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
        return {"customer_id": customer.number, "name": customer.name, "email": customer.email, "note": customer.note}
