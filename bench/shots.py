"""`make shots`: pictures of every page in both themes, on a desktop and on a phone, from a running installation.

python -m bench.shots [folder]        the folder is docs/shots unless given
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.runs import runs
from tests.conftest import BROWSER
from tests.crash.harness import Stack

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PAGES = {
    "overview": "/",
    "traces": "/traces",
    "sessions": "/sessions",
    "members": "/settings/members",
    "keys": "/settings/keys",
    "audit": "/settings/audit",
    "components": "/components",
}
ON_A_PHONE = ("overview", "traces", "trace")
RUNS = 60


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/shots")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, Stack(Path(home) / "data") as stack, browser() as chromium:
        state = sign_in(chromium, stack)
        for theme, page in pages(chromium, state, DESKTOP):
            shoot(page, stack, "/start", folder / f"start-{theme}-1440.png")
        send(stack)
        trace = longest_failed(stack)
        for theme, page in pages(chromium, state, DESKTOP):
            for name, address in PAGES.items():
                shoot(page, stack, address, folder / f"{name}-{theme}-1440.png")
            shoot(page, stack, trace, folder / f"trace-{theme}-1440.png", choose='.step:has-text("get_order")')
        for theme, page in pages(chromium, state, PHONE):
            for name in ON_A_PHONE:
                shoot(page, stack, {**PAGES, "trace": trace}[name], folder / f"{name}-{theme}-390.png")
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def sign_in(chromium: Browser, stack: Stack) -> str:
    """Return the path of a file that holds the session of the owner."""
    page = chromium.new_page()
    page.goto(f"{stack.url}/accounts/login/")
    page.fill("[name=login]", stack.credentials["owner"]["email"])
    page.fill("[name=password]", stack.credentials["owner"]["password"])
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{stack.url}/")
    path = str(stack.home / "browser.json")
    page.context.storage_state(path=path)
    page.context.close()
    return path


def pages(chromium: Browser, state: str, size: dict[str, int]) -> Iterator[tuple[str, Page]]:
    for theme in ("light", "dark"):
        context = chromium.new_context(viewport=size, color_scheme=theme, storage_state=state)
        yield theme, context.new_page()
        context.close()


def shoot(page: Page, stack: Stack, address: str, path: Path, choose: str = "") -> None:
    page.goto(f"{stack.url}{address}")
    page.wait_for_selector("html[data-script]")
    if choose:
        page.click(choose)
        page.wait_for_selector("#detail .facts")
    page.wait_for_timeout(700)  # the stream says hello, the pulse its first second
    page.screenshot(path=path)


def send(stack: Stack) -> None:
    for steps in runs(RUNS):
        call(stack, "/api/v1/traces", json.dumps(steps).encode())
    # As if each had been received when it happened: a day in the pictures, not one second.
    stack.query("UPDATE traces_trace SET received_at = coalesce(started_at, received_at)")


def longest_failed(stack: Stack) -> str:
    """Return the address of the support desk's failed run with most steps."""
    failed = json.load(call(stack, "/api/v1/traces?status=error&agent=support-desk&limit=200"))["results"]
    return f"/traces/{max(failed, key=lambda trace: trace['steps'])['trace_id']}"


def call(stack: Stack, address: str, body: bytes | None = None):  # type: ignore[no-untyped-def]
    headers = {"Authorization": f"Bearer {stack.credentials['api_key']}", "Content-Type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(stack.url + address, body, headers))  # noqa: S310 - our own


if __name__ == "__main__":
    main()
