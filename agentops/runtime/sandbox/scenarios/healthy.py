"""An order is looked up, then its customer and their other orders, and the question is answered."""

from agentops.runtime.sandbox.conversation import Conversation, Turn, call, close


def play(talk: Conversation) -> Turn:
    number = talk.number(default=1001)
    task = f"Answer about order {number}"
    order = talk.last("get_order")
    if order is None:
        return call(("get_order", {"order_id": number}), text=f"I will look order {number} up.")
    if not order.is_well:
        return close(f"I cannot say anything about order {number}: {order.reason}.", task=task)
    customer = talk.last("get_customer")
    if customer is None:
        who = {"customer_id": order.get("customer_id")}
        return call(("get_customer", who), ("list_orders", who), text="Now the customer and their other orders.")
    others = talk.last("list_orders")
    count = len(others.get("orders", [])) if others and others.is_well else 0
    name = customer.get("name", "the customer") if customer.is_well else "the customer"
    text = (
        f"Order {number} ({order.get('items')}, {order.get('total_usd')} USD) is {order.get('state')}. "
        f"It belongs to {name}, who has {count} order{'' if count == 1 else 's'} with us."
    )
    return close(text, task=task)
