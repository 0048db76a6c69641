"""A client of the API, with a key of one project."""

import json
from typing import Any

from django.test import Client

from agentops.accounts.models import Project
from tests.builders import bearer, make_key


class Api:
    """A client of one project."""

    def __init__(self, project: Project, *scopes: str) -> None:
        self.project = project
        self.headers = bearer(make_key(project, *scopes).token)
        self.client = Client(raise_request_exception=False)

    def post(self, body: Any, content_type: str = "application/json", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/api/v1/traces", data, content_type, headers={**self.headers, **headers})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=self.headers)
