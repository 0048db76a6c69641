"""The way of a threshold, by keyboard: read about, tried on what is stored, saved, tried in shadow, put back."""

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.test_alerts import alert_of, send_a_loop

pytestmark = pytest.mark.browser
STRICTER = "9"  # equal calls in a row; what the test sends has six


def open_settings(visit: Visit) -> Locator:
    """Go to the settings of a detector; return the field of one of its thresholds."""
    visit.sign_in()
    visit.goto("/detectors")
    visit.page.get_by_role("link", name="ToolLoop", exact=True).press("Enter")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("ToolLoop")
    return visit.page.get_by_label("min_repeats")


def test_a_threshold_is_tried_on_what_is_stored_and_saved(visit: Visit) -> None:
    page = visit.page
    alert_of(visit, send_a_loop(visit.instance, "a-loop-to-try-numbers-on"))
    number = open_settings(visit)
    usual = number.input_value()
    number.fill(STRICTER)
    page.get_by_role("button", name="Try on the last 30 days").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tried on the last 30 days")
    progress = page.locator("#progress")
    expect(progress).to_contain_text("ended", timeout=30_000)
    expect(progress).to_contain_text(f"min_repeats = {STRICTER} instead of {usual}")
    vanished = progress.locator("section", has_text="Would vanish")
    expect(vanished.locator("code", has_text="repeated_call")).not_to_have_count(0)
    visit.expect_accessible_everywhere(1440, 390)

    page.get_by_role("link", name="Put these numbers into the form").press("Enter")
    expect(number).to_have_value(STRICTER)
    page.get_by_label("Note").fill("Six are no loop here.")
    page.get_by_label("Note").press("Enter")
    expect(page.locator("table", has_text="Note")).to_contain_text("Six are no loop here.")
    page.get_by_role("button", name="Reset to the defaults").press("Enter")
    expect(number).to_have_value(usual)
    visit.expect_accessible_everywhere(1440, 390)


def test_a_threshold_is_refused_or_tried_in_shadow(visit: Visit) -> None:
    page, number = visit.page, open_settings(visit)
    number.fill("none")
    number.press("Enter")
    expect(number).to_have_attribute("aria-invalid", "true")
    assert "422" in visit.complaints.pop()  # the browser notes that the form was refused
    visit.expect_accessible_everywhere(1440, 390)

    number.fill(STRICTER)
    page.get_by_role("button", name="Try in shadow").press("Enter")
    page.get_by_role("link", name="What it found").press("Enter")
    visit.expect_accessible_everywhere(1440, 390)
    page.go_back()
    page.get_by_role("button", name="End the trial").press("Enter")
    expect(page.get_by_role("button", name="End the trial")).to_have_count(0)


def test_the_list_of_detectors_says_how_each_decides(visit: Visit) -> None:
    visit.sign_in()
    visit.goto("/detectors")
    visit.page.locator("summary").first.press("Enter")
    visit.expect_accessible_everywhere(1440, 390)
