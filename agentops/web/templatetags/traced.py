"""Tags for text that came from outside: `{% traced text %}` in a line, `{% traced_block %}` and `{% traced_json %}`."""

import json

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentops.web.hostile import BLOCK_LIMIT, Revealed, cut_note, reveal
from agentops.web.hostile_json import reveal_json

register = template.Library()
LINE_LIMIT = 300


@register.simple_tag
def traced(text: object, limit: int = LINE_LIMIT) -> SafeString:
    """Draw outside text within a line of ours; what is over the limit is cut with an ellipsis."""
    if text is None or text == "":
        return SafeString("")
    shown = reveal(str(text), limit)
    more = "…" if shown.is_cut else ""
    return format_html('<bdi class="traced" hx-disable>{}{}</bdi>', shown.html, more)


@register.simple_tag
def traced_value(value: object) -> SafeString:
    """Draw one value of JSON within a table: text in quotes with its line ends, anything else as JSON."""
    shown, quote = (reveal(value, BLOCK_LIMIT), '"') if isinstance(value, str) else (reveal_json(as_json(value)), "")
    if value is None:
        shown = reveal("null")
    cut = f"Cut: {shown.shown:,} of {shown.total:,} characters are shown."
    return format_html(
        '<bdi class="traced value" hx-disable>{}{}{}</bdi>{}',
        quote,
        shown.html,
        quote,
        format_html('<p class="cut-note">{}</p>', cut) if shown.is_cut else "",
    )


@register.simple_tag
def traced_block(text: object, limit: int = BLOCK_LIMIT, total: int | None = None) -> SafeString:
    """Draw outside text as a block. `total` is its size before storage cut it."""
    return _block(reveal("" if text is None else str(text), limit), total)


@register.simple_tag
def traced_json(text: object, limit: int = BLOCK_LIMIT, total: int | None = None) -> SafeString:
    """Draw outside JSON, text or already read, as an indented block; what is not JSON appears as the text it is."""
    return _block(reveal_json(as_json(text), limit), total)


def as_json(value: object) -> str:
    """Return text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _block(shown: Revealed, total: int | None) -> SafeString:
    notes = [cut_note(shown, total), _chips_note(shown.chips)]
    note = " ".join(filter(None, notes))
    return format_html(
        '<pre class="traced" dir="ltr" tabindex="0" hx-disable>{}</pre>{}',
        shown.html,
        format_html('<p class="cut-note">{}</p>', note) if note else "",
    )


def _chips_note(chips: int) -> str:
    if not chips:
        return ""
    return (
        "1 hidden character is shown as a chip." if chips == 1 else f"{chips:,} hidden characters are shown as chips."
    )
