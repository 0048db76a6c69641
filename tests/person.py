"""A person who uses the pages of a running installation without a browser."""

import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from tests.instance import Instance


class Person:
    """Signed in as the owner or the approver of the first start."""

    def __init__(self, instance: Instance, who: str) -> None:
        self.instance = instance
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        known = instance.credentials[who]
        self.get("/accounts/login/")
        self.post("/accounts/login/", login=known["email"], password=known["password"])

    def get(self, path: str) -> str:
        with self._opener.open(f"{self.instance.url}{path}") as answer:
            return str(answer.read().decode())

    def post(self, path: str, *, accept: str = "text/html", **fields: str) -> str:
        """Send a form and return the page it leads to, or the JSON that was asked for."""
        token = next(cookie.value or "" for cookie in self.cookies if cookie.name == "csrftoken")
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        headers = {"Accept": accept, "Referer": self.instance.url}
        with self._opener.open(urllib.request.Request(f"{self.instance.url}{path}", data, headers)) as answer:  # noqa: S310
            return str(answer.read().decode())

    def start(self, scenario: str, text: str = "Please look into order 1001.") -> str:
        """Start a run of the support desk and return its id."""
        page = self.post("/runs/new", agent="support-desk", input=text, scenario=scenario)
        found = re.search(r'hx-get="/runs/([0-9a-f-]{36})"', page)
        assert found, page
        return found[1]

    def decide(self, approval: str, decision: str, comment: str = "") -> dict[str, Any]:
        """Decide on an approval as it is now."""
        ((digest,),) = self.instance.query("SELECT digest FROM approvals_approval WHERE id = %s", [approval])
        sent = {"decision": decision, "digest": digest, "comment": comment}
        answer: dict[str, Any] = json.loads(
            self.post(f"/approvals/{approval}/decide", accept="application/json", **sent)
        )
        return answer


def status_of(instance: Instance, run: str) -> str:
    ((status,),) = instance.query("SELECT status FROM runtime_run WHERE id = %s", [run])
    return str(status)


def approval_of(instance: Instance, run: str) -> str:
    """Return the approval that a run waits for."""
    sql = """SELECT a.id FROM approvals_approval a JOIN approvals_action c ON c.id = a.action_id
             WHERE c.run_id = %s AND a.status = 'pending'"""
    ((approval,),) = instance.query(sql, [run])
    return str(approval)


def paid(instance: Instance, run: str) -> int:
    """Return how many refunds the payment server made for a run."""
    with urllib.request.urlopen(f"{instance.sandbox_url}/payments/effects") as answer:  # noqa: S310
        effects = json.load(answer)["effects"]
    key = run.replace("-", "")
    return sum(effect["key"].startswith(key) for effect in effects)
