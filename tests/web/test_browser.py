"""What only a real browser can tell: accessibility, the theme, keys, and that no policy of the page is broken."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from agentops.accounts.models import Membership
from tests.accessible import RULES_OF_COLOUR, sideways, violations
from tests.alerts.builders import make_trace, raise_one, silence_one
from tests.builders import make_membership, signed_in
from tests.notify.builders import make_channel
from tests.traces.api import Api
from tests.traces.builders import send, step
from tests.web.test_pages import hostile_steps

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, live_server: Any) -> Iterator[Open]:
    """Open an address as a signed-in admin; complaints in the console and requests to elsewhere fail the test."""
    membership = make_membership()
    cookie = signed_in(membership).cookies[settings.SESSION_COOKIE_NAME].value
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def open_(address: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        context.route("**/stream", lambda route: route.fulfill(content_type="text/event-stream", body=""))
        context.route(lambda url: not url.startswith(live_server.url), lambda route: outside(route, problems))
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(live_server.url + address)
        page.project = membership.project  # type: ignore[attr-defined]
        return page

    yield open_
    for context in contexts:
        context.close()  # or its pages would go on asking during the tests that follow
    assert problems == []


def outside(route: Route, problems: list[str]) -> None:
    problems.append(f"asked for {route.request.url}")
    route.abort()


def test_axe_finds_nothing_on_the_sheet_of_components(open_page: Open) -> None:
    page = open_page("/components")
    for rules in ((), RULES_OF_COLOUR):
        assert violations(page, rules=rules) == []
        page.click("text=Stop the run…")
        assert page.evaluate("document.activeElement.textContent") == "Keep it running"
        assert violations(page, rules=rules) == []
        page.click("text=Keep it running")
        page.emulate_media(color_scheme="dark")


def test_no_page_scrolls_sideways(open_page: Open) -> None:
    page = open_page("/traces")
    send(page.project, *hostile_steps(), *[step(n, "t-2") for n in range(1, 30)])  # type: ignore[attr-defined]
    for address in (
        "/",
        "/traces",
        "/sessions",
        "/ingest/batches",
        "/traces/t-1",
        "/start",
        "/settings/members",
        "/settings/keys",
    ):
        page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + address)
        for width in (1440, 1280, 900, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert sideways(page) <= 0, (address, width)


def test_the_menu_of_a_phone_names_every_room(open_page: Open) -> None:
    page = open_page("/traces", viewport={"width": 390, "height": 844})
    page.click(".bottom summary")
    for item in page.locator(".more .nav-item > span:first-of-type").all():
        box = item.bounding_box()
        assert box, item.inner_text()
        assert box["width"] > len(item.inner_text()) * 4, item.inner_text()
    page.wait_for_selector("html[data-script]")
    page.keyboard.press("Escape")
    expect(page.locator(".more")).to_be_hidden()


def test_names_as_long_as_they_may_be_stay_inside_and_can_be_read_whole(open_page: Open) -> None:
    page = open_page("/traces")
    here = page.url.removesuffix("/traces")
    member = Membership.objects.get(project=page.project)  # type: ignore[attr-defined]
    long = "mcp__" + "customer_records_" * 8
    alert = raise_one(member.project, make_trace(member.project, agent=long), tool_name=long)
    silence_one(member.project, member.user, agent=f"{long}*", tool_name=f"*{long}*")
    make_channel(member.project, name=long[:120])
    for address in ("/silences", f"/alerts/{alert.pk}", f"/alerts/{alert.pk}/why", "/settings/channels/routing"):
        page.goto(here + address)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert sideways(page) <= 0, (address, width)
    page.goto(f"{here}/silences")
    assert page.evaluate("(a => a.scrollWidth - a.parentNode.clientWidth)(document.querySelector('td .row-link'))") <= 0
    assert f"*{long}*" in page.inner_text("td .row-link")


def test_the_ledger_is_accessible_and_a_batch_is_opened_by_keyboard_alone(open_page: Open) -> None:
    page = open_page("/ingest/batches", color_scheme="dark")
    api = Api(page.project)  # type: ignore[attr-defined]
    api.post([step(1, text="a\0b"), {**step(2), "event_type": "\u202ethought"}, 3])
    page.reload()
    page.wait_for_selector("html[data-script] .row-link")
    assert violations(page) == []
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=must be one of tool_call")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert sideways(page) <= 0


def test_a_hostile_run_is_accessible_inert_and_read_by_keyboard_alone(open_page: Open) -> None:
    page = open_page("/traces")
    send(page.project, *hostile_steps())  # type: ignore[attr-defined]
    page.reload()
    page.wait_for_selector("html[data-script] .row-link")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-script] .step")
    page.keyboard.press("j")
    page.wait_for_selector("#detail >> text=As sent")
    assert "step=" in page.url
    assert violations(page) == []
    first = page.url
    page.keyboard.press("J")
    expect(page).not_to_have_url(first)
    page.wait_for_selector("#detail >> text=error")
    page.go_back()
    expect(page.locator(".step").first).to_have_attribute("aria-current", "true")  # the page before is there
    page.keyboard.press("?")
    expect(page.locator("dialog#keys")).to_be_visible()


def test_a_part_that_refreshes_itself_stays_readable_while_it_does(open_page: Open) -> None:
    page = open_page("/start", color_scheme="dark")
    page.wait_for_selector("html[data-script]")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/start", hold)
    with page.expect_request("**/start"):
        page.evaluate(
            "document.body.dispatchEvent(new CustomEvent('traces-stored', {detail: {traces: [], sessions: []}}))"
        )
    assert violations(page) == []
    for route in held:
        route.continue_()


def test_the_api_document_follows_the_theme_and_leads_back(open_page: Open) -> None:
    page = open_page("/api/docs", color_scheme="dark")
    page.wait_for_selector("#api .opblock")
    ground = "e => getComputedStyle(e).backgroundColor"
    dark = page.locator("#api .swagger-ui").first.evaluate(ground)
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class("dark-mode")
    assert page.locator("#main").evaluate(ground) != dark
    page.get_by_role("navigation", name="Rooms", exact=True).get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()


@pytest.mark.parametrize("address", ["/traces", "/sessions"])
def test_on_a_phone_a_row_names_its_numbers_and_has_its_state_beside_its_name(open_page: Open, address: str) -> None:
    page = open_page("/traces", viewport={"width": 390, "height": 844})
    send(page.project, *[step(n, "t-1", agent="a-name-far-longer-than-its-place", session_id="s-1") for n in (1, 2)])  # type: ignore[attr-defined]
    page.goto(page.url.removesuffix("/traces") + address)
    row = page.locator("#rows tr")
    expect(row).to_contain_text("2 steps")
    name, state = row.locator(".row-link").bounding_box(), row.locator(".state").bounding_box()
    assert name
    assert state
    assert abs(name["y"] + name["height"] / 2 - state["y"] - state["height"] / 2) < name["height"] / 2


def test_a_theme_is_chosen_at_once_and_kept(open_page: Open) -> None:
    page = open_page("/traces", color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("summary[aria-label='Account and theme']")
    page.click("button[name=theme][value=dark]")
    assert page.evaluate(ground) != before
    dark = page.evaluate(ground)
    page.reload()
    assert page.evaluate(ground) == dark


def test_everything_can_be_read_without_a_script(open_page: Open) -> None:
    page = open_page("/traces", java_script_enabled=False)
    send(page.project, *hostile_steps())  # type: ignore[attr-defined]
    page.reload()
    page.click(".row-link")
    page.click(".step >> nth=1")
    expect(page.locator("#detail").get_by_text("Thinking").first).to_be_visible()
    page.click("summary[aria-label='Account and theme']")
    page.click("button[name=theme][value=dark]")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
