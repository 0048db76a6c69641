"""Changes an order, and can put it back."""

from typing import Any
from uuid import UUID

from agentops.runtime.tools.base import Call, Effect, Preview, Risk, Tool, ToolError

CHANGEABLE = ("state", "shipping_address", "note")


class UpdateOrder(Tool):
    name = "update_order"
    description = (
        "Change the state, the shipping address or the note of one order. "
        "An order that was shipped or delivered keeps its state and its address."
    )
    schema = {
        "type": "object",
        "properties": {
            "order_id": {"type": "integer", "description": "The order's number, such as 1001"},
            "state": {"enum": ["open", "on_hold", "cancelled"]},
            "shipping_address": {"type": "string", "minLength": 3, "maxLength": 200},
            "note": {"type": "string", "maxLength": 1000},
        },
        "required": ["order_id"],
        "minProperties": 2,
        "additionalProperties": False,
    }
    effect = Effect.TRANSACTIONAL
    risk = Risk.MEDIUM
    has_compensation = True

    def execute(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        from agentops.runtime.desk.models import GONE, DeskOrder
        from agentops.runtime.desk.queries import order

        found, changes = order(call.project_id, arguments["order_id"]), _changes(arguments)
        rows = DeskOrder.objects.filter(pk=found.pk)
        if set(changes) - {"note"}:
            rows = rows.exclude(state__in=GONE)
        if not rows.update(**changes):
            raise ToolError(f"order {found.number} is {found.state}: its state and address can be changed no more")
        return {"order_id": found.number, "changed": changes}

    def remember(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        from agentops.runtime.desk.queries import order

        try:
            found = order(call.project_id, arguments["order_id"])
        except ToolError:
            return {}  # the call will say so
        return {"before": {name: getattr(found, name) for name in _changes(arguments)}}

    def compensate(self, arguments: dict[str, Any], remembered: dict[str, Any], call: Call) -> dict[str, Any]:
        """Put back each field that still has what the call gave it; what others changed since is theirs."""
        from agentops.runtime.desk.models import DeskOrder

        changes, before = _changes(arguments), remembered.get("before", {})
        orders = DeskOrder.objects.of(UUID(call.project_id)).filter(number=arguments["order_id"])
        put_back = [
            name for name, value in before.items() if orders.filter(**{name: changes[name]}).update(**{name: value})
        ]
        return {"order_id": arguments["order_id"], "put_back": put_back}

    def preview(self, arguments: dict[str, Any], call: Call) -> Preview:
        from agentops.runtime.desk.queries import order

        number, changes = arguments["order_id"], _changes(arguments)
        try:
            found = order(call.project_id, number)
        except ToolError as error:
            return Preview(title=f"Change order {number}", consequences=[f"It would fail: {error}."])
        return Preview(
            title=f"Change order {number}",
            target=f"of {found.customer.name}",
            facts={_label(name): f"{getattr(found, name) or '(empty)'} → {new}" for name, new in changes.items()},
            undo="The fields are put back as they were.",
        )

    def manual_steps(self, arguments: dict[str, Any], remembered: dict[str, Any]) -> str:
        before = "; ".join(f"{_label(name)}: {value}" for name, value in remembered.get("before", {}).items())
        return f"Set order {arguments['order_id']} back by hand. It was: {before or 'not recorded'}."


def _changes(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in CHANGEABLE if name in arguments}


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
