"""Two transactions that meet: one goes on only when the other has come to wait for it."""

import threading
from collections.abc import Callable

from django.db import connection

from agentops.accounts.models import Project
from agentops.audit.chain import lock_key
from tests.instance import wait_until

SOON_S = 20


def start(move: Callable[[], object]) -> threading.Thread:
    """Make a move in a thread with a connection of its own."""

    def make() -> None:
        try:
            move()
        finally:
            connection.close()

    thread = threading.Thread(target=make)
    thread.start()
    return thread


def wait_for_company() -> None:
    """Return once another transaction waits for the one under way."""
    assert wait_until(_is_awaited, SOON_S)


def _is_awaited() -> bool:
    mine = "locktype = 'transactionid' AND transactionid = pg_current_xact_id()::xid"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND {mine})")  # noqa: S608 - a constant
        return bool(cursor.fetchone()[0])


def is_trail_free(project: Project) -> bool:
    """Say whether nobody has locked the audit trail of a project; it is locked from here on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_key(project.pk)])
        return bool(cursor.fetchone()[0])
