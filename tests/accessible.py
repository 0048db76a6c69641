"""Whether a page in a browser can be read by all: axe's rules, in both themes and at several widths."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Light and dark differ in colours alone, so the other rules need to look once.
RULES_OF_COLOUR = ("color-contrast", "link-in-text-block")
# What still fades in has not its colours yet. What blinks for ever does not end.
END_ANIMATIONS = """
document.getAnimations().filter(each => each.effect.getTiming().iterations !== Infinity).forEach(each => each.finish())
"""


@cache
def _script() -> str:
    return str(Axe().axe_script)


def violations(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """Run these rules of axe, all by default (WCAG 2.2 A and AA, best practices), on the page as it is now."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    if not page.evaluate("'axe' in window"):
        page.evaluate(_script())
    page.evaluate(END_ANIMATIONS)
    found = page.evaluate(f"axe.run({json.dumps(options)}).then(results => results.violations)")
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}" for each in found]


def faults(page: Page, *, widths: Sequence[int]) -> list[str]:
    """Return what is wrong with the page at each width, in both themes: what axe finds, and scrolling sideways."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme="light")
        found += [f"{width} px: {fault}" for fault in violations(page)]
        page.emulate_media(color_scheme="dark")
        found += [f"{width} px, dark: {fault}" for fault in violations(page, rules=RULES_OF_COLOUR)]
        if (across := sideways(page)) > 0:
            found.append(f"{width} px: scrolls sideways by {across} px")
    return found


def sideways(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    across: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return across
