"""`make shots`: pictures of every page on demo data, in both themes, on a desktop and on a phone."""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from agentops.console.demo_runs import ASKING, FAILING
from bench.demo_data import besides
from bench.load import Client
from bench.png import shrink
from tests.conftest import BROWSER, NO_BROWSER
from tests.instance import CHECKOUT, Instance, fresh_instance

SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
THEMES = ("light", "dark")
# What the documents show, and .gitignore lets in: these are made small.
KEPT = {f"{page}-{theme}-1440" for page in ("overview", "traces", "trace") for theme in THEMES}
KEPT |= {"trace-light-390", "run-light-1440"}
DEMO_TIMEOUT_S = ALERTS_TIMEOUT_S = 60
RUNS_TIMEOUT_S = 120
ASKED = "SELECT id FROM approvals_approval WHERE status = 'pending' ORDER BY id"
WAITING = "SELECT id FROM runtime_run WHERE status = 'waiting_approval' ORDER BY id"

PAGES = {
    "overview": "/",
    "traces": "/traces",
    "traces-failed": "/traces?status=error",
    "trace": "/traces/{loop}",
    "trace-long": "/traces/{long}",
    "trace-hostile": "/traces/{hostile}",
    "trace-gate": "/traces/{gate}",
    "ingest": "/ingest",
    "sessions": "/sessions",
    "session": "/sessions/{session}",
    "ingest-batches": "/ingest/batches?window=7d",
    "ingest-batch": "/ingest/batches/{batch}",
    "runs": "/runs",
    "run": "/runs/{run}",
    "run-new": "/runs/new?scenario=refund",
    "run-cancel": "/runs/{run}/cancel",
    "detectors": "/detectors",
    "detector": "/detectors/ToolLoop",
    "detectors-shadow": "/detectors/shadow",
    "channels": "/settings/channels",
    "channel-add": "/settings/channels/add?kind=slack",
    "routing": "/settings/channels/routing",
    "redaction": "/settings/redaction",
    "keys": "/settings/keys",
    "members": "/settings/members",
    "audit": "/settings/audit",
    "profile": "/accounts/profile",
    "api-docs": "/api/docs",
    "components": "/components",
    "not-found": "/traces/demo-nothing",
}
PAGES_OF_APPROVER = {
    "approvals": "/approvals",
    "approvals-decided": "/approvals?tab=decided",
    "approval": "/approvals/{approval}",
    "approval-edit": "/approvals/{approval}?edit=1#edit",
}


def fill(instance: Instance) -> dict[str, str]:
    """Fill the project with demo runs, and return what the addresses of pages need to know about them."""
    with instance.command("demo") as demo:
        assert demo.wait(DEMO_TIMEOUT_S) == 0
    instance.wait_until(lambda: len(instance.query(WAITING)) == len(ASKING), RUNS_TIMEOUT_S)
    client = Client(instance.url, instance.api_key)
    for steps in besides(datetime.now(UTC)):
        receipt = client.post(json.dumps(steps).encode())
        assert not receipt["rejected"], receipt["rejected"][0]
    client.post(json.dumps([{"trace_id": "demo-broken", "event_type": "thought"}, "no object", *steps[:2]]).encode())
    instance.query("UPDATE accounts_project SET name = 'Demo data', environment = 'demo'")
    instance.wait_until(lambda: len(client.ask("GET", "/api/v1/alerts")["results"]) >= len(FAILING), ALERTS_TIMEOUT_S)
    traces = {trace["session_id"]: trace["trace_id"] for trace in client.ask("GET", "/api/v1/traces")["results"]}

    def step(session: str, number: int) -> str:
        trace = traces[session]
        found = client.ask("GET", f"/api/v1/traces/{trace}/steps?limit=50")["results"]
        return f"{trace}?step={next(step['span_id'] for step in found if step['step_number'] == number)}"

    ((session,),) = instance.query("SELECT id FROM traces_session WHERE session_id = 'demo-search-loop'")
    return {
        "run": str(instance.query(WAITING)[0][0]),
        "approval": str(instance.query(ASKED)[0][0]),
        "loop": step("demo-search-loop", 7),
        "long": traces["demo-long"],
        "hostile": step("demo-hostile", 1),
        "gate": step("demo-waited", 3),
        "session": str(session),
        "batch": str(
            instance.query("SELECT id FROM traces_ingestbatch ORDER BY rejected_count DESC, id LIMIT 1")[0][0]
        ),
    }


def sign_in(page: Page, instance: Instance, who: str) -> None:
    person = instance.credentials[who]
    page.goto(f"{instance.url}/accounts/login/")
    page.fill("[name=login]", person["email"])
    page.fill("[name=password]", person["password"])
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{instance.url}/")


class Camera:
    """Takes pictures of the pages that are wanted, all by default."""

    def __init__(self, instance: Instance, browser: Browser, folder: Path, wanted: list[str]) -> None:
        self.instance, self.browser, self.folder, self.wanted = instance, browser, folder, wanted
        self.taken = 0

    def take(self, pages: Mapping[str, str], *, who: str = "owner") -> None:
        """Take them as the owner or the approver sees them; nobody is signed in for an empty `who`."""
        pages = {name: address for name, address in pages.items() if name in self.wanted or not self.wanted}
        for theme in THEMES if pages else ():
            page = self.browser.new_context(color_scheme=theme, reduced_motion="reduce").new_page()
            if who:
                sign_in(page, self.instance, who)
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
        camera.take({"sign-in": "/accounts/login/"}, who="")
        camera.take({"start": "/start"})  # while it still waits
        places = fill(instance)
        camera.take({name: address.format(**places) for name, address in PAGES.items()})
        approvals = {name: address.format(**places) for name, address in PAGES_OF_APPROVER.items()}
        camera.take(approvals, who="approver")
        browser.close()
    print(f"{camera.taken} pictures in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
