"""A refund of order 1001: looked up, asked for, and whatever people decide is taken as the last word."""

from agentops.runtime.sandbox.conversation import Conversation, Done, Turn, call, close

ORDER = 1001
TASK = f"Refund order {ORDER}"


def play(talk: Conversation) -> Turn:
    order = talk.last("get_order")
    if order is None:
        thought = f"The customer wants their money back for order {ORDER}. I need its amount before I ask for a refund."
        return call(("get_order", {"order_id": ORDER}), text=f"I will look order {ORDER} up.", thinking=thought)
    if not order.is_well:
        return close(f"I cannot refund order {ORDER}: {order.reason}.", task=TASK)
    customer = talk.last("get_customer")
    if customer is None:
        return call(("get_customer", {"customer_id": order.get("customer_id")}), text="Now the customer.")
    refund = talk.last("issue_refund")
    if refund is None:
        amount = float(order.get("total_usd", "0"))
        arguments = {"order_id": ORDER, "amount_usd": amount, "reason": "The tea pot arrived broken."}
        text = f"The order was delivered and paid. I ask for a refund of {amount:.2f} USD."
        return call(("issue_refund", arguments), text=text)
    return _end(refund, customer)


def _end(refund: Done, customer: Done) -> Turn:
    if refund.is_well:
        name, paid = customer.get("name", "you"), refund.get("amount_usd")
        return close(f"Thank you for your patience. {paid} USD are on their way back to {name}.", task=TASK)
    if refund.is_unwanted:
        text = f"I am sorry, I could not get this refund through: {refund.reason}. I leave it at that."
    else:
        text = f"I am sorry, the refund did not work: {refund.reason}. A colleague will look at it."
    return close(text, task=TASK)
