"""How tools reach the sandbox, and only it: the address is a setting, and no argument of a tool can change it."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agentops.env import read_env

CONNECT_REFUSED = "the server cannot be reached"


class NotSentError(Exception):
    """Raised when no request went out: it cannot have had an effect."""


class NoAnswerError(Exception):
    """Raised when a request went out and no whole answer came back: it may have had an effect."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def error(self) -> str:
        """What the other side says is wrong."""
        error = self.body.get("error")
        return str(error.get("message")) if isinstance(error, dict) else f"status {self.status}"


def post(path: str, body: dict[str, Any], *, key: str = "", timeout_s: float) -> Answer:
    """Send one request. Raises NotSentError or NoAnswerError."""
    url = urlsplit(read_env().agentops_sandbox_url)
    if not url.hostname:
        raise NotSentError("AGENTOPS_SANDBOX_URL is not set, so there is nothing to call")
    headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
    connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=timeout_s)
    try:
        try:
            connection.connect()
        except OSError:
            raise NotSentError(CONNECT_REFUSED) from None
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read()))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswerError(f"no whole answer came back: {type(error).__name__}") from None
    finally:
        connection.close()
