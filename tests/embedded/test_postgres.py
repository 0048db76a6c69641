"""The embedded Postgres where it cannot start: each reason is a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentops.embedded.binaries import postgres_bin
from agentops.embedded.launch import NO_NAMESPACE
from agentops.embedded.postgres import Postgres, wait_until_unused
from agentops.embedded.process import LAUNCH, ServiceError, why_not


def test_a_cluster_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ServiceError, match="was made by Postgres 12"):
        Postgres(tmp_path, tmp_path).create()


def test_a_directory_that_is_no_cluster_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pg").mkdir()
    (tmp_path / "pg" / "precious").touch()
    with pytest.raises(ServiceError, match="is not a Postgres cluster"):
        Postgres(tmp_path, tmp_path).create()
    assert (tmp_path / "pg" / "precious").exists()


def test_a_directory_in_use_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentops.embedded.postgres.PREVIOUS_TIMEOUT_S", 0.2)
    with subprocess.Popen(["/bin/sleep", "20"], cwd=tmp_path) as user:
        with pytest.raises(ServiceError, match=f"Process {user.pid} still uses"):
            wait_until_unused(tmp_path)
        user.kill()
    wait_until_unused(tmp_path)


def test_given_binaries_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).touch()
    monkeypatch.setenv("AGENTOPS_PG_BIN", str(tmp_path))
    assert postgres_bin() == tmp_path


def test_root_that_cannot_be_left_is_told_what_to_do() -> None:
    assert "set DATABASE_URL" in why_not(NO_NAMESPACE, "", "Postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to be left")
def test_servers_started_by_root_run_as_nobody() -> None:
    command = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), "9", "not-root", "/usr/bin/id", "-u"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "65534\n"
