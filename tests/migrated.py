"""The test databases of one run: migrated once, and copied for each of its processes."""

import fcntl
import os
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connection
from psycopg import sql

TEMPLATE = "migrated"


def copy_migrated_database() -> None:
    """Make this process's test database; whoever of the run's processes comes first migrates what all copy."""
    name = connection.creation._get_test_db_name()
    lock = Path(os.environ["AGENTOPS_DATA_DIR"]) / "migrated.lock"
    with lock.open("w") as file, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _exists(server, TEMPLATE):
            _migrate(server)
        if not _exists(server, name):
            server.execute(_create(name, TEMPLATE))


def _migrate(server: psycopg.Connection) -> None:
    unfinished = f"{TEMPLATE}_unfinished"
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(unfinished)))
    server.execute(_create(unfinished, "template1"))
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = unfinished
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()
        connection.close_pool()
        connection.settings_dict["NAME"] = before
    server.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(TEMPLATE))
    )


def _exists(server: psycopg.Connection, name: str) -> bool:
    return server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None


def _create(name: str, template: str) -> sql.Composed:
    return sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
