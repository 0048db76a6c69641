"""All open orders of a customer shall get a new address, or none; the last of them cannot have it any more."""

from agentops.runtime.sandbox.conversation import Conversation, Turn, call, close, give_up

CUSTOMER = "C-502"
ADDRESS = "Pier 4, Gate B"
# The last one has been shipped: the change is refused for good.
ORDERS = (1003, 1004, 1005)
TASK = f"Send all orders of {CUSTOMER} to {ADDRESS}"


def play(talk: Conversation) -> Turn:
    listed = talk.last("list_orders")
    if listed is None:
        return call(("list_orders", {"customer_id": CUSTOMER}), text="I look which orders there are.")
    if not listed.is_well:
        return give_up(f"I could not read the orders: {listed.reason}.", task=TASK)
    changes = talk.all("update_order")
    bad = next((change for change in changes if not change.is_well), None)
    if bad is not None:
        number = bad.arguments.get("order_id")
        text = f"Order {number} could not be changed: {bad.reason}. It was all or none, so I have to give up here."
        return give_up(text, task=TASK)
    if len(changes) < len(ORDERS):
        number = ORDERS[len(changes)]
        arguments = {"order_id": number, "shipping_address": ADDRESS}
        return call(("update_order", arguments), text=f"Order {number} goes to {ADDRESS}.")
    return close(f"All orders go to {ADDRESS}.", task=TASK)
