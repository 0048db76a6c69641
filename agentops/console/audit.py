"""The audit page: a project's own trail, newest first."""

from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from agentops.accounts.policy import requires
from agentops.accounts.request import ProjectRequest
from agentops.audit import queries
from agentops.audit.models import Entry


@require_GET
@requires("view_audit")
def audit(request: ProjectRequest) -> HttpResponse:
    action, actor = (request.GET.get(name, "").replace("\0", "").strip() for name in ("action", "actor"))
    cursor = request.GET.get("before", "")
    before = int(cursor) if cursor.isascii() and cursor.isdecimal() and len(cursor) < 19 else None
    entries, next_before = queries.page(request.project, action=action, actor=actor, before=before)
    older = ""
    if next_before is not None:
        older = "?" + urlencode({"action": action, "actor": actor, "before": next_before})
    context = {
        "entries": [(entry, facts(entry)) for entry in entries],
        "actions": queries.actions(request.project),
        "action": action,
        "actor": actor,
        "older": older,
    }
    return render(request, "console/audit.html", context)


def facts(entry: Entry) -> list[tuple[str, str]]:
    """Return the entry's details in words: names in order, lists without brackets."""
    return [(name, _words(value)) for name, value in sorted(entry.detail.items())]


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
