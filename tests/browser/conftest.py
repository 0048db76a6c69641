"""A running installation, and a browser that keeps a record of what went wrong in it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Cookie, Page, Request

from tests.accessible import faults, violations
from tests.instance import Instance
from tests.prepared import prepared_instance


@pytest.fixture(scope="package")
def instance() -> Iterator[Instance]:
    """An `up` of their own, as its sign-in link lasts ten minutes."""
    with prepared_instance() as running:
        yield running


@pytest.fixture(scope="package")
def cookies() -> dict[str, list[Cookie]]:
    """What the first sign-in of each person gave: checking a password takes its time on purpose."""
    return {}


class Visit:
    """A person with a browser: complains at the end about errors in it and about requests that left the machine."""

    def __init__(self, page: Page, instance: Instance, cookies: dict[str, list[Cookie]]) -> None:
        self.page, self.instance, self.cookies = page, instance, cookies
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

    def sign_in(self, who: str = "owner") -> None:
        """Sign in as the owner or the approver: by the form the first time, as the same session afterwards."""
        if who in self.cookies:
            self.page.context.add_cookies(self.cookies[who])  # type: ignore[arg-type]
            return
        person = self.instance.credentials[who]
        self.goto("/accounts/login/")
        self.page.fill("[name=login]", person["email"])
        self.page.fill("[name=password]", person["password"])
        self.page.press("[name=password]", "Enter")
        self.page.wait_for_url(f"{self.instance.url}/")
        self.cookies[who] = self.page.context.cookies()

    def expect_accessible(self) -> None:
        """Run axe's rules (WCAG 2.2 A and AA, best practices) on the page as it is now."""
        assert violations(self.page) == []

    def expect_accessible_everywhere(self, *widths: int) -> None:
        """Run them in both themes and at each width, where the page may not scroll sideways either."""
        assert faults(self.page, widths=widths) == []


@pytest.fixture
def visit(page: Page, instance: Instance, cookies: dict[str, list[Cookie]]) -> Iterator[Visit]:
    visit = Visit(page, instance, cookies)
    yield visit
    assert visit.complaints == []
