"""A person with a browser at a real installation, who signs in and decides."""

import http.cookiejar
import json
import time
import urllib.parse
import urllib.request
from typing import Any

from tests.instance import Instance


class Person:
    """The installation's approver, signed in; one session that threads may share."""

    def __init__(self, instance: Instance, who: str = "approver") -> None:
        self.url = instance.url
        self.jar = http.cookiejar.CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        given = instance.credentials[who]
        self.post("/accounts/login/", {"login": given["email"], "password": given["password"]}).close()
        assert self._cookie("sessionid"), "nobody is signed in"

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Any:
        """Send a form and return what comes back. Raises HTTPError."""
        if not self._cookie("csrftoken"):
            self.browser.open(f"{self.url}/accounts/login/", timeout=30).close()
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": self._cookie("csrftoken")}).encode()
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - ours
        return self.browser.open(request, timeout=30)

    def decide(self, approval: dict[str, Any], decision: str = "approve", **more: str) -> dict[str, Any]:
        """Decide on an approval as the API gave it, and return what became of it."""
        form = {"decision": decision, "digest": approval["digest"], "comment": "", **more}
        with self.post(f"/approvals/{approval['id']}/decide", form, Accept="application/json") as answer:
            decided: dict[str, Any] = json.load(answer)
            return decided

    def _cookie(self, name: str) -> str:
        return next((str(cookie.value) for cookie in self.jar if cookie.name == name), "")


class Elsewhere:
    """An agent elsewhere, with the installation's key."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of an answer. Raises HTTPError or OSError."""
        about = {"Authorization": f"Bearer {self.instance.api_key}", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        address = f"{self.instance.url}{path}"
        request = urllib.request.Request(address, data, about, method=method)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
            return json.load(answer)

    def ask(self, tool_name: str = "delete_database", **more: Any) -> Any:
        return self.call("POST", "/api/v1/approvals", {"tool_name": tool_name, "arguments": {}, **more})

    def wait_for(self, approval: dict[str, Any], seconds: int = 55) -> Any:
        """Wait for a decision, again and again while there is none or nobody answers; `told_at` says when it came."""
        while True:
            try:
                found = self.call("GET", f"/api/v1/approvals/{approval['id']}?wait={seconds}")
            except OSError:  # HTTPError is one
                continue
            if found["status"] != "pending":
                return {**found, "told_at": time.monotonic()}
