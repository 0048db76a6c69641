"""`make shots`: pictures of every page on demo data, in both themes, on a desktop and on a phone."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

from bench.demo_data import demo_runs
from bench.load import Client
from bench.png import shrink
from tests.conftest import BROWSER, NO_BROWSER
from tests.instance import CHECKOUT, Instance, fresh_instance

SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
THEMES = ("light", "dark")
# What the documents show, and .gitignore lets in: these are made small.
KEPT = {f"{page}-{theme}-1440" for page in ("overview", "traces", "trace") for theme in THEMES} | {"trace-light-390"}
STEPS_A_POST = 500

PAGES = {
    "overview": "/",
    "traces": "/traces",
    "traces-failed": "/traces?status=error",
    "trace": "/traces/demo%20stuck%20search?step={stuck}",
    "trace-long": "/traces/demo%20long%20research",
    "trace-hostile": "/traces/demo%20hostile%20mail?step={hostile}",
    "trace-gate": "/traces/demo%20large%20refund?step={gate}",
    "trace-running": "/traces/demo%20trip%20in%20progress",
    "sessions": "/sessions",
    "session": "/sessions/{session}",
    "keys": "/settings/keys",
    "members": "/settings/members",
    "audit": "/settings/audit",
    "profile": "/accounts/profile",
    "api-docs": "/api/docs",
    "components": "/components",
    "not-found": "/traces/demo%20nothing",
}


def fill(instance: Instance) -> dict[str, str]:
    """Send the demo data, and return what the addresses of pages need to know about it."""
    client = Client(instance.url, instance.credentials["api_key"])
    runs = list(demo_runs())
    steps = [step for run in runs for step in run.steps]
    for start in range(0, len(steps), STEPS_A_POST):
        receipt = client.post(json.dumps(steps[start : start + STEPS_A_POST]).encode())
        assert not receipt["rejected"], receipt["rejected"][0]
    spread_over_the_day(instance, {run.trace_id: run.at for run in runs})

    def span(trace: str, number: int) -> str:
        found = client.ask("GET", f"/api/v1/traces/{quote(trace)}/steps?limit=50")["results"]
        return str(next(step["span_id"] for step in found if step["step_number"] == number))

    return {"stuck": span("demo stuck search", 7), "hostile": span("demo hostile mail", 1)} | {
        "gate": span("demo large refund", 6),
        "session": str(instance.query("SELECT id FROM traces_session WHERE session_id = 'demo chat 7'")[0][0]),
    }


def spread_over_the_day(instance: Instance, received: dict[str, object]) -> None:
    """All of it came just now; say that it came when its runs ended, so that a day is seen, and whose data it is."""
    with instance.connect() as connection:
        for table, key in (("traces_trace", "external_trace_id"), ("traces_session", "session_id")):
            connection.cursor().executemany(
                f"UPDATE {table} SET received_at = least(received_at, %s) WHERE {key} = %s",  # noqa: S608
                [(at, trace) for trace, at in received.items()],
            )
        connection.execute(
            "UPDATE traces_session s SET received_at = t.first FROM"
            " (SELECT session_id, min(received_at) AS first FROM traces_trace GROUP BY 1) t WHERE t.session_id = s.id"
        )
        connection.execute("UPDATE traces_trace SET last_received_at = received_at")
        connection.execute("UPDATE accounts_project SET name = 'Demo data', environment = 'demo'")


def sign_in(page: Page, instance: Instance) -> None:
    owner = instance.credentials["owner"]
    page.goto(f"{instance.url}/accounts/login/")
    page.fill("[name=login]", owner["email"])
    page.fill("[name=password]", owner["password"])
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{instance.url}/")


class Camera:
    """Takes pictures of the pages that are wanted, all by default."""

    def __init__(self, instance: Instance, browser: Browser, folder: Path, wanted: list[str]) -> None:
        self.instance, self.browser, self.folder, self.wanted = instance, browser, folder, wanted
        self.taken = 0

    def take(self, pages: Mapping[str, str], *, signed_in: bool = True) -> None:
        pages = {name: address for name, address in pages.items() if name in self.wanted or not self.wanted}
        for theme in THEMES if pages else ():
            page = self.browser.new_context(color_scheme=theme, reduced_motion="reduce").new_page()
            if signed_in:
                sign_in(page, self.instance)
            for name, address in pages.items():
                page.goto(f"{self.instance.url}{address}")
                for width, size in SIZES.items():
                    page.set_viewport_size(size)  # type: ignore[arg-type]
                    page.wait_for_timeout(600)  # the live line says that it listens; nothing else moves
                    self._save(page, f"{name}-{theme}-{width}")
            page.context.close()

    def _save(self, page: Page, name: str) -> None:
        path = self.folder / f"{name}.png"
        page.screenshot(path=path)
        self.taken += 1
        if name in KEPT:
            shrink(path)


def main() -> int:
    if BROWSER is None:
        print(f"No picture is taken: {NO_BROWSER}.")
        return 1
    parser = argparse.ArgumentParser("python -m bench.shots", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as overview or trace; all by default")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "docs" / "shots")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with fresh_instance() as instance, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        camera = Camera(instance, browser, options.folder, options.pages)
        camera.take({"sign-in": "/accounts/login/"}, signed_in=False)
        camera.take({"start": "/start"})  # while it still waits
        places = fill(instance)
        camera.take({name: address.format(**places) for name, address in PAGES.items()})
        browser.close()
    print(f"{camera.taken} pictures in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
