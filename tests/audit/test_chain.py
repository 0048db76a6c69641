"""The audit trail: nothing is lost, nothing is changed unseen."""

import re
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction

from agentops.audit import heads
from agentops.audit.chain import GENESIS, link
from agentops.audit.models import Entry
from agentops.audit.ref import SYSTEM, Ref
from agentops.audit.services import record
from agentops.audit.verify import verify
from tests.builders import make_project

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_data_dir(settings, tmp_path):
    settings.DATA_DIR = tmp_path


def write(project=None, n=3, **fields):
    return [record(f"test.happened_{i}", actor=SYSTEM, project=project, **fields) for i in range(n)]


def tamper(sql, *params):
    """Do what only somebody with the database's own powers can do."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER USER")
        cursor.execute(sql, params)
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER USER")


def problems():
    return [report.problem for report in verify() if report.problem]


def test_rows_are_numbered_without_gaps_in_each_chain():
    one, other = make_project(), make_project()
    write(one), write(other, n=2), write(one, n=1), write(None, n=1)
    for chain, rows in [(one, 4), (other, 2), (None, 1)]:
        assert list(Entry.objects.of(chain).order_by("seq").values_list("seq", flat=True)) == list(range(1, rows + 1))
    assert not problems()


def test_an_untouched_trail_verifies_whatever_stood_in_it():
    detail = {"text": "a\0b\ud800 \u202e", "float": 1e16, "big": 2**80, "nan": float("nan"), "nested": [{"ключ": None}]}
    target = Ref("thing", "x" * 500, "name\0")
    record("test.odd", actor=Ref("user", "1", "\ud800"), project=None, target=target, detail=detail)
    assert not problems()


@pytest.mark.parametrize(
    "sql", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
def test_the_database_refuses_to_change_the_trail(sql):
    write()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_no_truncate")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(sql)
    assert Entry.objects.count() == 3


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE audit_entry SET actor_name = 'nobody' WHERE seq = 2", "seq 2 .* was changed"),
        ("UPDATE audit_entry SET detail = '{\"x\": 1}' WHERE seq = 2", "seq 2 .* was changed"),
        ("UPDATE audit_entry SET at = at - interval '1 day' WHERE seq = 2", "seq 2 .* was changed"),
        ("DELETE FROM audit_entry WHERE seq = 2", "seq 2 is missing"),
        ("DELETE FROM audit_entry WHERE seq = 1", "seq 1 is missing"),
        ("DELETE FROM audit_entry WHERE seq = 3", "tail is cut off: the exported head is seq 3, the last row is seq 2"),
        ("DELETE FROM audit_entry", "all 3 rows are gone"),
    ],
)
def test_verify_names_the_first_bad_row(sql, problem):
    write()
    heads.export_heads()
    tamper(sql)
    (found,) = problems()
    assert re.search(problem, found)


def test_rows_swapped_with_their_numbers_are_found():
    write()
    tamper("UPDATE audit_entry SET seq = CASE seq WHEN 1 THEN 101 WHEN 2 THEN 102 END WHERE seq < 3")
    tamper("UPDATE audit_entry SET seq = CASE seq WHEN 101 THEN 2 ELSE 1 END WHERE seq > 100")
    assert "seq 1" in problems()[0]


def test_hashes_recomputed_without_the_key_are_found(settings):
    first, *_ = write()
    real, settings.AUDIT_KEY = settings.AUDIT_KEY, "a key that the attacker made up"
    first.action = "test.forged"
    forged = link(GENESIS, first)
    settings.AUDIT_KEY = real
    tamper("UPDATE audit_entry SET action = 'test.forged', hash = %s WHERE seq = 1", forged)
    assert "seq 1" in problems()[0]


def test_an_exported_head_is_never_replaced_by_an_earlier_one():
    write()
    heads.export_heads()
    tamper("DELETE FROM audit_entry WHERE seq > 1")
    heads.export_heads()
    assert heads.read_heads()["installation"].seq == 3
    assert problems()


def test_the_command_counts_and_fails_on_a_break(capsys):
    write(), write(make_project(), n=2)
    call_command("audit", "verify")
    assert "5 rows in 2 chains" in capsys.readouterr().out
    tamper("DELETE FROM audit_entry WHERE seq = 1 AND project_id IS NULL")
    with pytest.raises(CommandError, match="installation: seq 1 is missing"):
        call_command("audit", "verify")


@pytest.mark.django_db(transaction=True, available_apps=["agentops.accounts", "agentops.audit"])
def test_fifty_writers_at_once_make_one_chain():
    project = make_project()

    def work():
        try:
            for _ in range(5):
                record("test.raced", actor=SYSTEM, project=project)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(10)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert list(Entry.objects.of(project).order_by("seq").values_list("seq", flat=True)) == list(range(1, 51))
    assert not problems()


def test_the_heads_file_is_written_out_of_the_database(tmp_path: Path):
    (entry,) = write(n=1)
    heads.export_heads()
    assert heads.read_heads()["installation"].hash == bytes(entry.hash).hex()
    assert (tmp_path / heads.FILE).exists()
