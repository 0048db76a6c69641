"""An agent that runs elsewhere, as the API of the gate meets it."""

import json
from typing import Any

from django.test import Client

from agentops.accounts.models import Project
from tests.approvals.builders import make_approver
from tests.builders import bearer, make_key, make_project

PROPOSAL: dict[str, Any] = {"tool_name": "issue_refund", "arguments": {"order_id": 1001, "amount": "40.00 USD"}}


class Agent:
    """An agent with a key of its own; where its project is made here, somebody may decide in it."""

    def __init__(self, project: Project | None = None, *scopes: str) -> None:
        if project is None:
            project = make_project()
            make_approver(project)
        self.project = project
        self.key = make_key(project, *(scopes or ("gate",)), name="desk")
        self.client = Client(headers=bearer(self.key.token), raise_request_exception=False)

    def get(self, path: str = "", **query: Any) -> Any:
        return self.client.get(f"/api/v1/approvals{path}", query)

    def post(self, path: str, body: Any = None, key: str = "") -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(f"/api/v1/approvals{path}", data, "application/json", headers=headers)

    def ask(self, key: str = "", **more: Any) -> Any:
        return self.post("", {**PROPOSAL, **more}, key)

    def claim(self, approval_id: Any, key: str = "k-1") -> Any:
        return self.post(f"/{approval_id}/claim", key=key)

    def report(self, approval_id: Any, outcome: str = "succeeded", **more: Any) -> Any:
        return self.post(f"/{approval_id}/result", {"outcome": outcome, **more})
