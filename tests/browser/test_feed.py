"""The feed in a real browser: what is told appears by itself, and reading it works without the mouse."""

import subprocess

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TITLE = "refund-bot called one tool nine times"
TELL = f"""
import django; django.setup()
from agentops.accounts.models import Project
from agentops.notify.message import Message
from agentops.notify.services import notify
message = Message(kind="alert.opened", id="1", title="{TITLE}", severity="high")
notify(Project.objects.get(slug="default"), message, key="{{key}}")
"""


def tell(instance, key: str) -> None:
    with instance.command("shell", "-c", TELL.format(key=key), stdout=subprocess.DEVNULL) as process:
        assert process.wait(60) == 0


def test_what_is_told_appears_by_itself_and_is_read(visit):
    tell(visit.instance, "browser:1")
    visit.sign_in()
    visit.goto("/feed")
    visit.expect_accessible()
    unread = visit.page.locator("tr[data-unread]", has_text=TITLE)  # other tests let things be told as well
    expect(unread).to_have_count(1)
    visit.page.wait_for_timeout(1_000)  # the stream says hello
    tell(visit.instance, "browser:2")
    visit.page.wait_for_selector("#news .banner", timeout=5_000)
    visit.expect_accessible()
    visit.page.click("#news a")
    expect(unread).to_have_count(2)
    visit.page.focus("text=Mark all read")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("text=all read")
    expect(unread).to_have_count(0)


def test_a_channel_is_added_and_its_secret_is_copied_once(visit):
    visit.sign_in()
    visit.goto("/settings/channels/add")
    visit.page.fill("[name=name]", "hooks")
    visit.page.fill("[name=url]", "https://192.168.0.1/")
    visit.page.press("[name=url]", "Enter")
    visit.page.wait_for_selector("text=This address is not allowed.")
    visit.expect_accessible()
    assert [complaint for complaint in visit.complaints if "422" not in complaint] == []
    visit.complaints.clear()  # the browser notes that the form was refused
    visit.page.fill("[name=url]", "https://hooks.example.com/")
    visit.page.press("[name=url]", "Enter")
    visit.page.wait_for_selector("#secret")
    assert visit.page.inner_text("#secret").startswith("whsec_")
    visit.expect_accessible()
