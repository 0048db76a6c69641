"""An approval in a real browser: it appears, is looked at and decided; by keyboard, on a phone, without scripts."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visit
from tests.instance import Instance

pytestmark = pytest.mark.browser

REFUND = {"order_id": 10391, "amount_usd": 4180, "reason": "19 tents, poles cracked", "notify": True}
HOSTILE = {
    "target": "prod\u200b-db",
    "note": "\u202egnp.exe <b>bold</b> " + "long" * 60,
    "deep": {"a": [1, {"b": None}]},
}


def call(instance: Instance, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {instance.api_key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{instance.url}/api/v1/{path}", data, headers)) as answer:  # noqa: S310
        return json.load(answer)


def ask(instance: Instance, **fields: Any) -> str:
    """Ask the gate as an agent elsewhere does; return the path of the approval's page."""
    body = {"tool_name": "issue_refund", "arguments": REFUND, "agent": "refund-bot", **fields}
    return f"/approvals/{call(instance, 'approvals', body)['id']}"


def state(instance: Instance, path: str) -> str:
    return str(call(instance, path.removeprefix("/"))["status"])


def cancel(instance: Instance, path: str) -> None:
    call(instance, f"{path.removeprefix('/')}/cancel", {})


def watch(visit: Visit, path: str) -> None:
    """Open a page and wait until it hears what happens."""
    with visit.page.expect_response("**/stream"):
        visit.goto(path)


def test_what_an_agent_asks_for_appears_in_the_queue_counts_down_and_leaves(visit: Visit, instance: Instance) -> None:
    visit.sign_in("approver")
    watch(visit, "/approvals")
    path = ask(instance, expires_in_s=290, tool_name="before_the_eyes")
    row = visit.page.locator("tr", has=visit.page.locator(f'a[href="{path}"]'))
    shown = visit.page.get_by_role("button", name="Show")
    expect(shown.or_(row).first).to_be_visible(timeout=10_000)
    if shown.is_visible():  # others wait too: nothing moves before it is asked for
        shown.click()
    expect(row).to_contain_text("before_the_eyes")
    expect(row).to_have_attribute("data-soon", "")
    left = row.locator("[data-left]")
    expect(left).to_have_text(re.compile(r"^4:[0-5]\d$"))
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    count = visit.page.locator(".page-head p [data-count=waiting]")
    expect(count).to_have_text(str(int(count.inner_text())))
    many = int(count.inner_text())
    cancel(instance, path)
    expect(row).to_have_attribute("data-gone", "", timeout=10_000)
    expect(count).to_have_text(str(many - 1))


def test_a_decision_is_made_by_keyboard_alone_and_not_in_the_first_seconds(visit: Visit, instance: Instance) -> None:
    path, page = ask(instance), visit.page
    visit.sign_in("approver")
    start = datetime.now(UTC)
    page.clock.install(time=start)
    page.clock.pause_at(start + timedelta(seconds=1))
    visit.goto(path)
    approve = page.locator("button[value=approve]")
    expect(approve).not_to_be_focused()
    expect(approve).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("a")
    expect(approve).to_be_focused()
    page.keyboard.press("Enter")
    assert state(instance, path) == "pending"
    page.clock.run_for(3_100)
    expect(approve).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_contain_text("approved")
    assert state(instance, path) == "approved"


def test_keys_lead_to_rejecting_and_editing_and_no_key_alone_decides(visit: Visit, instance: Instance) -> None:
    path, page = ask(instance, tool_name="by_key", arguments={"target": "prod\u200b-db"}), visit.page
    visit.sign_in("approver")
    visit.goto(path)
    for key in "are":
        page.keyboard.press(key)
        page.keyboard.press("Escape")
        assert state(instance, path) == "pending"
    edit = page.get_by_label("Arguments, as JSON")
    expect(edit).to_be_focused()
    expect(edit).to_have_value(re.compile(r"prod\\u200b-db"))
    page.get_by_label("To approve, type").press("Enter")
    assert state(instance, path) == "pending"  # Enter in a field presses nothing
    page.locator("h1").click()
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_contain_text("rejected")


def test_a_scanner_that_runs_scripts_and_opens_every_link_changes_nothing(visit: Visit, instance: Instance) -> None:
    path, page = ask(instance), visit.page
    visit.sign_in("approver")
    visit.goto(path)
    links = page.locator("main a[href]").evaluate_all("links => links.map(link => link.pathname + link.search)")
    assert f"{path}?edit=1" in links
    for link in {*links, path, f"{path}?decision=approve", "/approvals"}:
        visit.goto(link)
    assert state(instance, path) == "pending"


def test_who_has_it_open_is_told_when_it_changes(visit: Visit, instance: Instance) -> None:
    path = ask(instance)
    visit.sign_in("approver")
    watch(visit, path)
    banner = visit.page.locator("[data-changed]")
    expect(banner).to_be_hidden()
    cancel(instance, path)
    expect(banner).to_be_visible(timeout=10_000)
    banner.get_by_role("link").click()
    expect(visit.page.locator(".verdict")).to_contain_text("cancelled")


def test_without_a_script_the_time_is_read_and_the_form_decides(
    visit: Visit, instance: Instance, browser: Browser
) -> None:
    path = ask(instance)
    visit.sign_in("approver")
    plain = browser.new_context(java_script_enabled=False, storage_state=visit.page.context.storage_state())
    page = plain.new_page()
    page.goto(f"{instance.url}/approvals")
    # With the day, where it is another one than today.
    row = page.locator("tr", has=page.locator(f'a[href="{path}"]'))
    expect(row).to_contain_text(re.compile(r"until (\d{1,2} [A-Z][a-z]{2} )?\d\d:\d\d"))
    page.goto(f"{instance.url}{path}")
    expect(page.locator("[data-left]")).to_be_hidden()
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Arguments, as JSON")).to_be_visible()
    page.locator("#comment").fill("without a script")
    page.locator("button[value=approve]").click()
    expect(page.locator(".verdict")).to_contain_text("approved")
    expect(page.locator(".decide")).to_contain_text("without a script")
    plain.close()


def expect_in_reach(page: Page) -> None:
    """The decision is in reach of the thumb, and hides nothing of what stands above it."""
    page.set_viewport_size({"width": 390, "height": 844})
    approve = page.locator("button[value=approve]").bounding_box()
    assert approve
    assert 400 < approve["y"] < 844 - approve["height"]
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    last, panel = page.locator(".run-so-far").last.bounding_box(), page.locator(".decide").bounding_box()
    assert last
    assert panel
    assert last["y"] + last["height"] <= panel["y"] + 1


def test_the_pages_of_approvals_are_read_by_all_and_on_a_phone(visit: Visit, instance: Instance) -> None:
    visit.sign_in("approver")
    gone = ask(instance, tool_name="gone")
    cancel(instance, gone)
    plain = ask(instance, expires_in_s=200, reason="The customer has been loyal for years.")
    hostile = ask(instance, tool_name="dr\u043ep_" + "database" * 12, arguments=HOSTILE, reason="x" * 1_999)
    own = ask(instance, tool_name="seen_by_who_asked")
    for address in ("/approvals", "/approvals?tab=decided", gone, plain, hostile, f"{hostile}?edit=1"):
        visit.goto(address)
        visit.expect_accessible_everywhere(1440, 1000, 390)
        if address in (plain, hostile):
            expect_in_reach(visit.page)
    visit.page.context.clear_cookies()
    visit.sign_in("owner")
    for address in ("/approvals?tab=yours", own):
        visit.goto(address)
        visit.expect_accessible_everywhere(1440, 390)
    expect(visit.page.locator(".refusal")).to_contain_text("may decide")
