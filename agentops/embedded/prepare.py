"""Before anything serves: the database's tables, the first project with its people and key, and the sign-in link."""

import json
import os
import sys
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor

from agentops.embedded.binaries import POSTGRES_MAJOR_MIN
from agentops.embedded.home import CREDENTIALS_FILE, write_private
from agentops.embedded.process import ServiceError


def prepare() -> None:
    """Migrate, and make the installation if there is none. Django is set up. Raises ServiceError."""
    try:
        major = _postgres_major()
    except OperationalError as error:
        raise ServiceError(f"Postgres cannot be reached: {' '.join(str(error).split())}.") from None
    if major < POSTGRES_MAJOR_MIN:
        raise ServiceError(f"Postgres {major} is too old; {POSTGRES_MAJOR_MIN} or newer is needed.")
    migrate()
    make_installation()


def _postgres_major() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        return int(cursor.fetchone()[0])


def migrate() -> None:
    """Apply what is missing, one process at a time. Costs two queries when nothing is."""
    if not _is_behind():
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('agentops.migrate'))")
        try:
            if _is_behind():
                call_command("migrate", interactive=False, verbosity=1, stdout=sys.stderr)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('agentops.migrate'))")


def _is_behind() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def require_installation() -> None:
    """Raise ServiceError where the named database holds none: only `up` makes the first project and its owner."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM accounts_project)")
            (is_there,) = cursor.fetchone()
    except ProgrammingError:
        is_there = False
    except OperationalError:
        return  # away for now; servers wait for it, and other commands will say so
    finally:
        connection.close()
    if not is_there:
        raise ServiceError(
            "The database that DATABASE_URL names holds no project yet: `manage.py up`, started once with the same "
            "settings, makes the tables, the first project and its owner."
        )


def make_installation() -> None:
    """Make the first project and write its credentials, so that a kill at any moment loses neither; then its demo data.

    The credentials are written aside before the commit and put in their place after it. What a kill leaves aside is
    right if the installation exists, and written anew otherwise.
    """
    from agentops.accounts.services import Credentials, first_start
    from agentops.runtime.desk.demo import fill_sandboxes

    place = settings.DATA_DIR / CREDENTIALS_FILE
    aside = place.with_name("credentials.new.json")

    def save(credentials: Credentials) -> None:
        write_private(aside, json.dumps(credentials, indent=2))

    first_start(url=settings.ENV.agentops_public_url, save=save)
    if aside.exists():
        aside.rename(place)
    _correct_url(place)
    fill_sandboxes()


def _correct_url(place: Path) -> None:
    """Another start may have another port."""
    if not place.exists():
        return
    credentials = json.loads(place.read_text(encoding="utf-8"))
    if credentials["url"] != settings.ENV.agentops_public_url:
        write_private(place, json.dumps({**credentials, "url": settings.ENV.agentops_public_url}, indent=2))


def sign_in_link() -> str | None:
    """Return an address that signs the owner in, once, within ten minutes."""
    from agentops.accounts.services import make_sign_in_link, oldest_admin

    owner = oldest_admin()
    return make_sign_in_link(owner, base_url=settings.ENV.agentops_public_url) if owner else None


def is_anybody_told() -> bool:
    """Say whether alerts reach somebody outside this product."""
    from agentops.notify.queries import is_anybody_reached

    return is_anybody_reached()


def main(answer_fd: int) -> int:
    """Prepare for `up`, which reads what it tells the person from this file descriptor. Returns the exit code."""
    try:
        prepare()
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with os.fdopen(answer_fd, "w", encoding="utf-8") as answer:
        json.dump({"link": sign_in_link(), "is_anybody_told": is_anybody_told()}, answer)
    return 0
