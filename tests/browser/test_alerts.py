"""The way of an alert: it appears before the eyes of who watches, says what happened, and is taken on and resolved."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.instance import Instance

pytestmark = pytest.mark.browser
_number = count(1)


def call(instance: Instance, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {instance.api_key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{instance.url}/api/v1/{path}", data, headers)) as answer:  # noqa: S310
        return json.load(answer)


def send_a_loop(instance: Instance, trace: str, calls: int = 6) -> str:
    """Send a run that goes round, by an agent of its own; return that agent's name."""
    agent = f"agent-{next(_number)}"
    start = datetime.now(UTC) - timedelta(seconds=calls)
    about = {"trace_id": trace, "agent": agent, "event_type": "tool_call", "tool_name": "search_database"}
    body = {"tool_input": {"q": "refund 10428"}, "tool_output": {"rows": []}}
    times = [(start + timedelta(seconds=n)).isoformat() for n in range(calls)]
    call(instance, "traces", [{**about, **body, "step_number": n, "timestamp": at} for n, at in enumerate(times, 1)])
    return agent


def alert_of(visit: Visit, agent: str) -> str:
    """Return the path of an agent's alert, as soon as there is one."""
    found: list[str] = []

    def is_there() -> bool:
        found.extend(
            f"/alerts/{row['id']}" for row in call(visit.instance, "alerts")["results"] if row["agent"] == agent
        )
        return bool(found)

    visit.instance.wait_until(is_there, 15)
    return found[0]


def watch(visit: Visit, path: str) -> None:
    """Open a page and wait until it hears what happens."""
    with visit.page.expect_response("**/stream"):
        visit.goto(path)


def test_an_alert_appears_by_itself_and_is_taken_on_and_resolved(visit: Visit, instance: Instance) -> None:
    page = visit.page
    visit.sign_in()
    watch(visit, "/alerts")
    agent = send_a_loop(instance, "before the eyes")
    page.get_by_role("button", name="Show").click()
    row = page.get_by_role("link", name=re.compile(f"{agent}: search_database gave the same answer 6 times"))
    row.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(agent)
    expect(page.locator(".meta")).to_contain_text("open, nobody has it")
    page.keyboard.press("a")
    expect(page.locator(".meta")).to_contain_text("has it until")
    page.get_by_label("False alarm").check()
    page.get_by_placeholder("What was it").fill("It was a test.")
    page.get_by_role("button", name=re.compile("^Resolve")).click()
    expect(page.locator(".meta")).to_contain_text("false alarm")
    expect(page.locator(".panel")).to_contain_text("It was a test.")


def test_the_clock_of_an_open_alert_goes_on_when_somebody_else_takes_it(visit: Visit, instance: Instance) -> None:
    visit.sign_in()
    path = alert_of(visit, send_a_loop(instance, "taken elsewhere"))
    watch(visit, path)
    expect(visit.page.locator(".tick[data-waits]")).to_contain_text("waiting")
    call(instance, f"{path.removeprefix('/')}/acknowledge", {})
    expect(visit.page.locator(".meta")).to_contain_text("has it until", timeout=10_000)


def test_a_finding_leads_from_the_strip_to_its_steps(visit: Visit, instance: Instance) -> None:
    path = alert_of(visit, send_a_loop(instance, "with a strip"))
    visit.sign_in()
    visit.goto("/traces/with%20a%20strip")
    visit.expect_accessible()
    visit.page.locator(".findings a.pill").click()
    expect(visit.page.locator("#detail")).to_contain_text("search_database")
    expect(visit.page.locator(".loop .step").first).to_have_attribute("aria-current", "true")
    visit.page.locator(".loop > header a").click()
    expect(visit.page).to_have_url(f"{instance.url}{path}")


def test_the_pages_of_alerts_are_accessible_in_both_themes_and_widths(visit: Visit, instance: Instance) -> None:
    path = alert_of(visit, send_a_loop(instance, "accessible", calls=12))
    visit.sign_in()
    for address in ("/alerts", path, "/mttd", "/"):
        visit.goto(address)
        if address == path:
            visit.page.locator("summary", has_text="Silence").click()
        visit.expect_accessible_everywhere(1440, 1000, 390)
