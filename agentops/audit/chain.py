"""How rows of the audit trail are chained: h_n = HMAC-SHA256(key, h_{n-1} ‖ canonical JSON of row n)."""

import hashlib
import hmac
import math
from datetime import UTC
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings

from agentops.audit.models import Entry

GENESIS = bytes(32)
INSTALLATION = "installation"
# Columns under the hash, in this order; only `id` is left out of the row's meaning but not of its hash.
FIELDS = (
    "id",
    "seq",
    "project_id",
    "action",
    "actor_kind",
    "actor_id",
    "actor_name",
    "target_kind",
    "target_id",
    "target_name",
    "detail",
    "ip",
    "user_agent",
)


def chain_name(project_id: UUID | None) -> str:
    return str(project_id) if project_id else INSTALLATION


def lock_key(project_id: UUID | None) -> int:
    """Return the advisory lock of a chain: two writers must not read the same head."""
    digest = hashlib.blake2b(f"audit:{chain_name(project_id)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def canonical(entry: Entry) -> bytes:
    """Return the row as JSON with sorted keys and no spaces: equal before it is written and after it is read."""
    row = {name: getattr(entry, name) for name in FIELDS}
    row["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    return msgspec.json.encode(row, order="deterministic")


def link(previous: bytes, entry: Entry) -> bytes:
    key = settings.AUDIT_KEY.encode()
    return hmac.digest(key, bytes(previous) + canonical(entry), "sha256")


def clean_text(value: object, limit: int) -> str:
    """Return text that Postgres can store: no NUL, no lone surrogate, cut to the column."""
    text = str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def clean_detail(value: Any) -> Any:
    """Return JSON that survives a jsonb column unchanged: numbers that would come back altered become text."""
    if isinstance(value, dict):
        return {clean_text(key, 200): clean_detail(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_detail(item) for item in value]
    if isinstance(value, str):
        return clean_text(value, 2_000)
    if isinstance(value, float) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return repr(value) if not isinstance(value, float) or math.isfinite(value) else str(value)
    return value
