"""Making, replacing and revoking API keys."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least, Now
from django.http import HttpRequest
from django.utils import timezone

from agentops.accounts.authenticate import forget_verified
from agentops.accounts.models import ApiKey, Project, Scope, User
from agentops.accounts.secrets import mint
from agentops.audit import services as audit

DEFAULT_LIFETIME = timedelta(days=180)
OVERLAP = timedelta(days=1)


class NewKey(msgspec.Struct, frozen=True):
    """`token` exists only here: show it now or never."""

    key: ApiKey
    token: str


class NotAMemberError(Exception):
    """A key is made by a member of its project."""


@transaction.atomic
def create_key(
    project: Project,
    *,
    by: User,
    name: str,
    scopes: Iterable[str],
    lifetime: timedelta | None = DEFAULT_LIFETIME,
    request: HttpRequest | None = None,
) -> NewKey:
    """Make a key that belongs to `by`; without a lifetime it never expires. Raises NotAMemberError."""
    if not project.memberships.filter(user=by).exists():
        raise NotAMemberError
    minted = mint("test" if project.is_sandbox else "live")
    key = ApiKey.objects.create(
        project=project,
        created_by=by,
        name=name,
        key_id=minted.key_id,
        secret_hash=minted.secret_hash,
        scopes=sorted({Scope(scope).value for scope in scopes}),
        expires_at=timezone.now() + lifetime if lifetime else None,
    )
    detail = {"scopes": key.scopes, "expires": f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never"}
    audit.record("key.created", actor=by, project=project, target=key, detail=detail, request=request)
    return NewKey(key, minted.token)


@transaction.atomic
def revoke_key(key: ApiKey, *, by: User, request: HttpRequest | None = None) -> bool:
    """Close a key for ever, in every process within five seconds; False when it was closed already."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now()):
        return False
    audit.record("key.revoked", actor=by, project=key.project_id, target=key, request=request)
    transaction.on_commit(forget_verified)
    return True


@transaction.atomic
def rotate_key(key: ApiKey, *, by: User, overlap: timedelta = OVERLAP, request: HttpRequest | None = None) -> NewKey:
    """Make a successor with the same name and scopes; the old key works on for the overlap, so that nothing stops."""
    lifetime = key.expires_at - key.created_at if key.expires_at else None
    new = create_key(key.project, by=by, name=key.name, scopes=key.scopes, lifetime=lifetime, request=request)
    end = Now() + overlap
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(expires_at=Least(Coalesce(F("expires_at"), end), end))
    detail = {"successor": new.key.key_id, "overlap_s": int(overlap.total_seconds())}
    audit.record("key.rotated", actor=by, project=key.project_id, target=key, detail=detail, request=request)
    return new
