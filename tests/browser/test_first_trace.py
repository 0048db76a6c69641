"""The way of a developer: sign in by the one-time link, see a run come in, open it, read what a step gave."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.instance import Instance

pytestmark = pytest.mark.browser


def import_run(instance: Instance, path: Path, *, name: str, question: str) -> None:
    steps = [
        {"step_number": 1, "event_type": "human_gate", "agent": "user", "text": question},
        {
            "step_number": 2,
            "event_type": "tool_call",
            "agent": "support-desk",
            "tool_name": "get_order",
            "tool_input": {"order_id": 10428},
            "tool_output": {"status": "delivered", "note": "<script>alert(1)</script>"},
        },
    ]
    path.write_text(json.dumps({"trajectory_id": name, "steps": steps}), encoding="utf-8")
    command = instance.command("import", str(path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = command.communicate(timeout=60)
    assert out.splitlines()[-1] == "accepted 2 duplicate 0 rejected 0", err


def test_a_run_comes_in_before_the_eyes_of_who_signed_in_by_the_link(
    visit: Visit, instance: Instance, tmp_path: Path
) -> None:
    page = visit.page
    page.goto(instance.link)
    visit.expect_accessible()
    page.get_by_role("button", name=re.compile("sign in", re.IGNORECASE)).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    visit.goto("/traces")
    visit.expect_accessible()
    page.wait_for_function("document.querySelector('[data-pulse]')?.textContent.includes('listening')")
    import_run(instance, tmp_path / "run.jsonl", name="order-10428", question="Where is order 10428?")
    page.get_by_role("button", name=re.compile("Show")).click()
    page.get_by_role("link", name=re.compile("Where is order 10428")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Where is order 10428?")
    visit.expect_accessible()
    page.locator(".step", has_text="get_order").click()
    detail = page.locator("#detail")
    expect(detail).to_contain_text("<script>alert(1)</script>")
    expect(detail).to_contain_text("delivered")
    expect(page.locator("#said")).to_contain_text("get_order")
    assert "step=" in page.url
    visit.expect_accessible()
    page.reload()
    expect(page.locator("#detail")).to_contain_text("delivered")
    visit.goto("/ingest")
    visit.expect_accessible()


PAGES = ["/", "/start", "/traces", "/sessions", "/feed", "/components"]
PAGES += [f"/settings/{page}" for page in ("channels", "channels/add", "redaction", "members", "keys", "audit")]


def test_every_page_is_accessible_in_both_themes_and_widths(visit: Visit) -> None:
    visit.sign_in()
    for path in PAGES:
        visit.goto(path)
        visit.expect_accessible_everywhere(1440, 390)


def test_a_trace_is_read_by_keyboard_alone(visit: Visit, instance: Instance, tmp_path: Path) -> None:
    import_run(instance, tmp_path / "run.jsonl", name="by keyboard", question="Has order 10431 left?")
    visit.sign_in()
    visit.goto("/traces/by%20keyboard")
    visit.page.keyboard.press("j")
    visit.page.keyboard.press("j")
    expect(visit.page.locator("#detail")).to_contain_text("delivered")
    visit.page.keyboard.press("?")
    expect(visit.page.get_by_role("dialog")).to_be_visible()
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("dialog")).to_be_hidden()
