"""Tags that draw: glyphs, states, severities, tiers, findings, barcodes, charts, navigation."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django import template
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from agentops.web import navigation as rooms
from agentops.web.barcode import LARGE, SMALL, barcode_map_svg, barcode_svg
from agentops.web.histogram import histogram_svg, meter_svg, strip_svg
from agentops.web.states import Look, severity_look, state_look

register = template.Library()
# A list draws the same few glyphs and words in each of its rows. By type: what is safe is not what only looks like it.
drawn_once = lru_cache(maxsize=1_000, typed=True)
THEMES = ("light", "dark")
# A sentence that begins with one or several `names` and a colon, as an entry of a list does.
ENTRY = re.compile(r"(?:^|(?<=[.;] ))((?:`\w+`, )*`\w+`): ")


@register.simple_tag
@drawn_once
def glyph(name: str) -> SafeString:
    """Draw a glyph of static/glyphs.svg; the words beside it carry the meaning."""
    return format_html('<svg class="glyph" aria-hidden="true"><use href="{}#{}"/></svg>', static("glyphs.svg"), name)


@register.simple_tag
@drawn_once
def mark(name: str, tone: str = "") -> SafeString:
    """Draw a 12 px state mark without a word."""
    return format_html(
        '<svg class="mark" data-tone="{}" aria-hidden="true"><use href="{}#mark-{}"/></svg>',
        tone,
        static("glyphs.svg"),
        name,
    )


@register.simple_tag
@drawn_once
def state(name: str, note: str = "") -> SafeString:
    """Draw a state: mark and word, and what follows it (`running, 1:14`)."""
    return _with_word("state", state_look(name), note)


@register.simple_tag
@drawn_once
def severity(name: str) -> SafeString:
    """Draw a severity: mark and word."""
    return _with_word("severity", severity_look(name))


def _with_word(css: str, look: Look, note: str = "") -> SafeString:
    words = f"{look.word}, {note}" if note else look.word
    return format_html('<span class="{}" data-tone="{}">{}{}</span>', css, look.tone, mark(look.mark, look.tone), words)


@register.simple_tag
@drawn_once
def tier(name: str) -> SafeString:
    """Draw a risk tier."""
    return format_html('<span class="tier" data-tier="{}">{}</span>', name.lower(), name.upper())


@register.simple_tag
@drawn_once
def finding(pattern: str, qualifier: str = "", is_open: bool = False) -> SafeString:
    """Draw a finding's chip; red while its alert is open."""
    return format_html(
        '<span class="finding"{}>{}{}{}</span>',
        SafeString(" data-open") if is_open else "",
        glyph(pattern),
        pattern,
        format_html(" <small>{}</small>", qualifier) if qualifier else "",
    )


@register.simple_tag
@drawn_once
def keys(*names: str) -> SafeString:
    """Draw key hints: `{% keys 'j' 'k' %}`."""
    return SafeString(" ".join(format_html("<kbd>{}</kbd>", name) for name in names))


@register.simple_tag
def barcode(
    shape: str,
    steps: int | None = None,
    ranges: Iterable[tuple[int, int]] = (),
    here: int | None = None,
    large: bool = False,
) -> SafeString:
    """Draw a run (see agentops/web/barcode.py)."""
    return barcode_svg(shape, steps=steps, ranges=ranges, here=here, scale=LARGE if large else SMALL)


@register.simple_tag
def barcode_map(shape: str, windows: range, steps: int) -> SafeString:
    """Draw a long run over the whole width; each window of steps (its first place, from 0) is a link."""
    names = [(f"?from={n}", f"Steps {n + 1:,} to {min(n + windows.step, steps):,}") for n in windows]
    return barcode_map_svg(shape, names, steps)


@register.simple_tag
def histogram(counts: Sequence[tuple[int, int]]) -> SafeString:
    """Draw (traces, of which failed) over time."""
    return histogram_svg(counts)


@register.simple_tag
def strip(totals: Sequence[int], open_: Sequence[int], top: int, label: str) -> SafeString:
    """Draw one strip of a set with one scale."""
    return strip_svg(totals, open_, top, label)


@register.simple_tag
def meter(share: float, tone: str = "") -> SafeString:
    """Draw a share as a bar."""
    return meter_svg(share, tone)


@register.simple_tag
def address(query: str, name: str, value: str = "") -> str:
    """Return `?…` with one parameter of the query set to the value, or left out."""
    kept = [(key, old) for key, old in parse_qsl(query) if key != name]
    return f"?{urlencode([*kept, (name, value)] if value else kept)}"


@register.simple_tag(takes_context=True)
def navigation(context: dict[str, Any]) -> dict[str, Any]:
    """Return the side navigation's groups and the phone's three places."""
    found = rooms.entries(context["request"])
    return {"groups": rooms.groups(found), "phone": rooms.phone_entries(found)}


@register.simple_tag(takes_context=True)
def theme(context: dict[str, Any]) -> str:
    """Return the theme that the person chose, or nothing: then the system's holds."""
    request: HttpRequest | None = context.get("request")
    chosen = request.COOKIES.get("theme", "") if request else ""
    return chosen if chosen in THEMES else ""


@register.filter
def initials(user: object) -> str:
    """Return one or two letters for the avatar, from the name or the address."""
    name = str(getattr(user, "name", "") or getattr(user, "email", "") or "?").partition("@")[0]
    parts = [part for part in name.replace(".", " ").replace("_", " ").split() if part[0].isalnum()]
    return "".join(part[0] for part in parts[:2]).upper() or "?"


@register.filter
def ticked(text: str) -> SafeString:
    """Write our own words with what stands between `backticks` as code."""
    parts = text.split("`")
    return SafeString("".join(format_html("<code>{}</code>" if i % 2 else "{}", part) for i, part in enumerate(parts)))


@register.filter
def listed(text: str) -> SafeString:
    """Write our own words as `ticked` does, and what begins with "`name`: " as the entries of a list."""
    before, *rest = ENTRY.split(text)
    entries = zip(map(ticked, rest[::2]), map(ticked, rest[1::2]), strict=True)
    drawn = format_html_join("", "<li>{}: {}</li>", entries)
    if not drawn:
        return ticked(before)
    return format_html("<p>{}</p><ul>{}</ul>", ticked(before), drawn) if before else format_html("<ul>{}</ul>", drawn)
