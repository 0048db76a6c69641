"""A person's yes, by two people with a browser each: asked for, refused to one, given by the other, done once."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visit
from tests.instance import Instance
from tests.person import approval_of, paid, status_of

pytestmark = pytest.mark.browser

SOON_MS = 120_000  # the first question of a process loads the model's SDK

UNDONE = """
SELECT c.turn FROM runtime_compensation u JOIN runtime_toolcall c ON c.id = u.call_id
WHERE u.run_id = %s AND u.status = 'done' ORDER BY u.ended_at
"""


@pytest.fixture
def approver(browser: Browser, instance: Instance) -> Iterator[Visit]:
    """The approver, with a browser of their own."""
    context = browser.new_context()
    visit = Visit(context.new_page(), instance, [])
    known = instance.credentials["approver"]
    visit.goto("/accounts/login/")
    visit.page.fill("[name=login]", known["email"])
    visit.page.fill("[name=password]", known["password"])
    visit.page.press("[name=password]", "Enter")
    visit.page.wait_for_url(f"{instance.url}/")
    yield visit
    context.close()
    assert visit.complaints == []


def start(visit: Visit, scenario: str, asked: str) -> str:
    """Start a run by the form, stay on its page, and return its id."""
    page = visit.page
    visit.goto("/runs/new")
    page.get_by_label("What the agent is asked").fill(asked)
    page.get_by_label("Scenario").select_option(scenario)
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}$"))
    return page.url.rpartition("/")[2]


def decide(approver: Visit, run: str, decision: str, comment: str = "") -> None:
    """Decide as a person does: from the run's page to the approval, and there by a button."""
    page = approver.page
    approver.goto(f"/runs/{run}")
    page.locator(".standing a").first.click()
    if comment:
        page.locator("#comment").fill(comment)
    page.locator(f"button[name=decision][value={decision}]").click()


def says(page: Page, words: str) -> None:
    """Wait until the run's page says this by itself."""
    expect(page.locator(".standing")).to_contain_text(words, timeout=SOON_MS)


def test_a_refund_waits_for_somebody_else_and_is_then_done_exactly_once(visit: Visit, approver: Visit) -> None:
    instance, page = visit.instance, visit.page
    visit.sign_in()
    run = start(visit, "refund", "The tea pot arrived broken.")
    says(page, "It waits for Approver to decide on Refund $41.80")
    visit.expect_accessible_everywhere(1440, 390)
    approval = approval_of(instance, run)
    visit.goto(f"/approvals/{approval}")
    expect(page.locator("#main")).to_contain_text("Approver may decide")
    assert page.locator("button[name=decision]").count() == 0
    visit.goto(f"/runs/{run}")
    assert paid(instance, run) == 0
    decide(approver, run, "approve")
    says(page, "It said its last word")
    assert paid(instance, run) == 1
    expect(page.locator(".deeds")).to_contain_text("approved by Approver")
    expect(page.locator(".so-far")).to_contain_text("issue_refund approved by Approver")
    page.get_by_role("link", name="The whole trace").click()
    expect(page.locator('.step[data-kind="human_gate"]')).to_have_count(1)
    expect(page.locator(".step code", has_text="issue_refund").first).to_be_visible()
    verified = instance.command("audit", "verify")
    assert verified.wait(60) == 0


def test_a_rejected_call_is_not_asked_for_again_and_the_run_ends_well(visit: Visit, approver: Visit) -> None:
    visit.sign_in()
    run = start(visit, "refund", "Pay it back, twice if you can.")
    says(visit.page, "waiting for approval")
    decide(approver, run, "reject", "Ask for the pot first.")
    says(visit.page, "succeeded")
    expect(visit.page.locator(".deeds")).to_contain_text("Ask for the pot first.")
    assert visit.page.locator(".deeds code", has_text="issue_refund").count() == 1
    (told,) = visit.instance.query(
        "SELECT result FROM runtime_toolcall WHERE run_id = %s AND tool = 'issue_refund'", [run]
    )
    assert told[0]["retry"] == "do not repeat this call"
    assert paid(visit.instance, run) == 0


def test_what_a_failed_run_did_is_undone_the_last_first(visit: Visit) -> None:
    visit.sign_in()
    run = start(visit, "missing_rollback", "All orders to Pier 4, or none.")
    says(visit.page, "All it did was undone: 2 of 2.")
    rows = visit.page.locator(".deeds tbody tr", has_text="undone")
    expect(rows).to_have_count(2)
    expect(visit.page.locator(".so-far")).to_contain_text("undo_update_order")
    turns = [turn for (turn,) in visit.instance.query(UNDONE, [run])]
    assert turns == sorted(turns, reverse=True)
    visit.expect_accessible_everywhere(1440, 390)


def test_a_run_appears_in_the_list_by_itself_and_is_cancelled_by_keyboard(visit: Visit, approver: Visit) -> None:
    visit.sign_in()
    with approver.page.expect_response("**/stream"):
        approver.goto("/runs")
    run = start(visit, "refund", "A run to be cancelled.")
    approver.page.get_by_role("button", name="Show").click(timeout=SOON_MS)
    expect(approver.page.get_by_role("link", name="A run to be cancelled.")).to_be_visible()
    approver.expect_accessible_everywhere(1440, 1000, 390)
    says(visit.page, "waiting for approval")
    visit.page.get_by_role("link", name="Cancel the run").press("Enter")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Cancel this run?")
    visit.expect_accessible_everywhere(1440, 390)
    visit.page.get_by_role("button", name="Cancel the run").press("Enter")
    expect(visit.page.locator(".standing")).to_contain_text("cancelled", timeout=SOON_MS)
    says(visit.page, "Cancelled by Owner.")
    assert status_of(visit.instance, run) == "cancelled"
    visit.goto("/runs/new")
    visit.expect_accessible_everywhere(1440, 390)
