"""A running installation, and a browser that keeps a record of what went wrong in it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, Request

from tests.instance import Instance, fresh_instance


@pytest.fixture(scope="package")
def instance() -> Iterator[Instance]:
    """An `up` of their own, as its sign-in link lasts ten minutes."""
    with fresh_instance() as running:
        yield running


class Visit:
    """A person with a browser: complains at the end about errors in it and about requests that left the machine."""

    def __init__(self, page: Page, instance: Instance) -> None:
        self.page, self.instance = page, instance
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"console {message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc not in {urlsplit(self.instance.url).netloc, ""}:
            self.complaints.append(f"external request: {request.url}")

    def goto(self, path: str) -> None:
        answer = self.page.goto(f"{self.instance.url}{path}")
        assert answer, path
        assert answer.ok, f"{path}: {answer.status}"

    def sign_in(self) -> None:
        owner = self.instance.credentials["owner"]
        self.goto("/accounts/login/")
        self.page.fill("[name=login]", owner["email"])
        self.page.fill("[name=password]", owner["password"])
        self.page.press("[name=password]", "Enter")
        self.page.wait_for_url(f"{self.instance.url}/")

    def expect_accessible(self) -> None:
        """Run axe's rules (WCAG 2.2 A and AA, best practices) on the page as it is now."""
        found = Axe().run(self.page).response["violations"]
        assert not found, [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found]


@pytest.fixture
def visit(page: Page, instance: Instance) -> Iterator[Visit]:
    visit = Visit(page, instance)
    yield visit
    assert visit.complaints == []
