"""The one way to write to the audit trail."""

from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, models, transaction
from django.http import HttpRequest

from agentops.audit import heads
from agentops.audit.chain import GENESIS, clean_detail, clean_text, link, lock_key
from agentops.audit.models import Entry
from agentops.audit.ref import HasRef, Ref
from agentops.web.peer import client_ip


@transaction.atomic
def record(
    action: str,
    *,
    actor: HasRef,
    project: models.Model | UUID | None,
    target: HasRef | None = None,
    detail: dict[str, Any] | None = None,
    request: HttpRequest | None = None,
) -> Entry:
    """Append one row to the project's chain, or to the installation's for None.

    The chain is locked until the transaction ends, so call it last. Costs four queries.
    """
    project_id = project.pk if isinstance(project, models.Model) else project
    who, what = actor.audit_ref, target.audit_ref if target else Ref("")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(project_id)])
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    last = Entry.objects.of(project_id).order_by("-seq").values_list("seq", "hash").first() or (0, GENESIS)
    entry = Entry(
        project_id=project_id,
        seq=last[0] + 1,
        at=now,
        action=action,
        actor_kind=who.kind,
        actor_id=clean_text(who.id, 60),
        actor_name=clean_text(who.name, 200),
        target_kind=what.kind,
        target_id=clean_text(what.id, 100),
        target_name=clean_text(what.name, 200),
        detail=clean_detail(msgspec.to_builtins(detail or {})),
        ip=client_ip(request) if request else None,
        user_agent=clean_text(request.headers.get("User-Agent", ""), 300) if request else "",
    )
    entry.hash = link(bytes(last[1]), entry)
    entry.save(force_insert=True)
    transaction.on_commit(heads.export_sometimes, robust=True)
    return entry
