"""The living style guide: a page that shows every part once, on invented data with hostile text among it."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from agentops.accounts.request import ProjectRequest

HOSTILE_JSON = '{"target": "prod\u200b-db", "note": "\u202egnp.exe", "tool": "d\u0435lete_file", "html": "<b>bold</b>"}'
HOSTILE_TEXT = (
    "\x1b[31mred\x1b[0m, a link ![x](https://evil.example/?q=1), <script>alert(1)</script>, {{7*7}},"
    " Za\u0301\u0302\u0303\u0304\u0305\u0306\u0307lgo, \u2714 Approved by admin"
)
COLOURS = [
    "ground", "surface", "sunk", "hover", "float", "line", "line-2", "edge", "ghost", "ink-3", "ink-2", "ink",
    "accent", "accent-tint", "bad", "bad-mark", "bad-tint", "wait", "wait-mark", "wait-tint", "good",
    "good-mark", "good-tint", "live", "live-mark", "live-tint", "k1", "k2", "k3", "k4", "k5", "k6",
]  # fmt: skip
STATES = [
    "running", "waiting", "ok", "error", "stopped", "rolled_back", "cancelled", "expired", "unknown", "open",
    "acknowledged", "queued",
]  # fmt: skip
PATTERNS = [
    "tool_loop", "context_drift", "bad_signature", "missing_rollback", "observability_gap", "over_automation",
    "budget",
]  # fmt: skip


@require_GET
def components(request: ProjectRequest) -> HttpResponse:
    return render(request, "console/components.html", sheet_context())


def sheet_context() -> dict[str, Any]:
    """Return what console/components.html draws."""
    now = timezone.now()
    totals = [8 + (i * 37) % 19 for i in range(120)]
    return {
        "colours": COLOURS,
        "states": STATES,
        "severities": ["critical", "high", "medium", "low"],
        "tiers": ["high", "medium", "low"],
        "patterns": PATTERNS,
        "shape": "cmttmtgmttttttttttt",
        "error_shape": "cmttetm",
        "long_shape": "cm" + "tmtt" * 40 + "ee" + "tm" * 20,
        "loop": [(9, 17)],
        "histogram": [(n, n // 5 if i % 7 == 3 else 0) for i, n in enumerate(totals)],
        "strip": [0, 0, 3, 0, 1, 0, 0, 2, 4, 1, 0, 0, 6, 2, 0, 1, 0, 0, 2, 0, 5, 9, 12, 8],
        "strip_open": [0] * 21 + [9, 12, 8],
        "hostile_json": HOSTILE_JSON,
        "hostile_text": HOSTILE_TEXT,
        "moment": now - timedelta(minutes=3),
        "windows": range(0, 204, 100),
    }
