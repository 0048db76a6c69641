"""Heads of the chains, exported out of the database: only so can a cut-off tail be noticed."""

import fcntl
import json
import threading
import time
from pathlib import Path

import msgspec
import structlog
from django.conf import settings

from agentops.audit.chain import chain_name
from agentops.audit.models import Entry

log = structlog.get_logger(__name__)

FILE = "audit-heads.json"
EVERY_S = 60.0


class Head(msgspec.Struct, frozen=True):
    seq: int
    hash: str


_lock = threading.Lock()
_due_at = [0.0]


def export_sometimes() -> None:
    """Export the heads at most once a minute in this process; the sweeper does it every minute as well."""
    with _lock:
        if time.monotonic() < _due_at[0]:
            return
        _due_at[0] = time.monotonic() + EVERY_S
    export_heads()


def export_heads() -> dict[str, Head]:
    """Write each chain's head to `<data dir>/audit-heads.json` and to the log. One query.

    A head that was exported once is never replaced by an earlier one: what was cut off stays missing.
    """
    heads = {chain_name(row.project_id): Head(row.seq, bytes(row.hash).hex()) for row in newest_rows()}
    path = heads_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_heads()
        for chain, head in before.items():
            if chain not in heads or heads[chain].seq < head.seq:
                heads[chain] = head
        if heads != before:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(msgspec.to_builtins(heads), indent=1), encoding="utf-8")
            fresh.replace(path)
    for chain, head in heads.items():
        if before.get(chain) != head:
            log.info("audit_head", chain=chain, seq=head.seq, hash=head.hash)
    return heads


def read_heads() -> dict[str, Head]:
    """Return what was exported before. Raises ValueError for a file that was tampered with."""
    try:
        return msgspec.json.decode(heads_path().read_bytes(), type=dict[str, Head])
    except FileNotFoundError:
        return {}


def newest_rows() -> list[Entry]:
    return list(Entry.objects.order_by("project_id", "-seq").distinct("project_id").only("project_id", "seq", "hash"))


def heads_path() -> Path:
    return Path(settings.DATA_DIR) / FILE
