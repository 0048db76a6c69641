"""The form of a decision as a browser sends it, and its answer as a reader sees it."""

from django.http import HttpResponse
from django.test import Client

from approvals.models import Approval


def send(client: Client, approval: Approval, decision: str = "approve", **fields: str) -> HttpResponse:
    body = {"decision": decision, "digest": approval.digest, **fields}
    headers = {"Accept": body.pop("accept", "text/html")}
    return client.post(f"{approval.get_absolute_url()}/decide", body, headers=headers)  # type: ignore[return-value]


def words_of(answer: HttpResponse) -> str:
    return " ".join(answer.content.decode().split())
