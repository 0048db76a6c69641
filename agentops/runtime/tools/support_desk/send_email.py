"""Sends an e-mail to a customer. Nobody can call it back, and a second request is a second e-mail."""

from typing import Any

from agentops.runtime.sandbox import client
from agentops.runtime.tools.base import Call, Effect, OutcomeUnknownError, Preview, Risk, Tool, ToolError


class SendEmail(Tool):
    name = "send_email"
    description = "Send an e-mail to a customer, in plain text."
    schema = {
        "type": "object",
        "properties": {
            "to": {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$", "maxLength": 254},
            "subject": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^\\r\\n]*$"},
            "text": {"type": "string", "minLength": 1, "maxLength": 10_000},
        },
        "required": ["to", "subject", "text"],
        "additionalProperties": False,
    }
    effect = Effect.UNSAFE
    risk = Risk.HIGH

    def execute(self, arguments: dict[str, Any], call: Call) -> dict[str, Any]:
        message = {name: arguments[name] for name in ("to", "subject", "text")}
        try:
            answer = client.post("/mail", message, timeout_s=call.timeout_s)
        except client.NotSentError as error:
            raise ToolError(f"the mail server was not asked: {error}") from None
        except client.NoAnswerError as error:
            raise OutcomeUnknownError(f"the mail server was asked, and {error}") from None
        if answer.status >= 500:
            raise OutcomeUnknownError(f"the mail server answered {answer.status}: {answer.error}")
        if answer.status >= 400:
            raise ToolError(f"the mail server refused: {answer.error}")
        return {"message_id": answer.body["message_id"], "to": arguments["to"]}

    def preview(self, arguments: dict[str, Any], call: Call) -> Preview:
        return Preview(
            title=f"Send “{arguments['subject']}”",
            target=f"to {arguments['to']}",
            facts={"Length": f"{len(arguments['text']):,} characters"},
            consequences=["It is in somebody's inbox at once. It cannot be undone."],
        )

    def manual_steps(self, arguments: dict[str, Any], remembered: dict[str, Any]) -> str:
        return f"Ask {arguments['to']} whether “{arguments['subject']}” arrived, and send it if it did not."
