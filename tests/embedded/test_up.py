"""`manage.py up`, started for real: what it makes, what it refuses, what it survives."""

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from agentops.embedded import up
from agentops.env import read_env
from tests.instance import PARTS, Instance, manage, wait_until
from tests.prepared import copy_of_original

STOP_TIMEOUT_S = 10.0


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(tmp_path / "data")
    yield instance
    instance.stop()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_start_leaves_credentials_that_work_and_that_nobody_else_can_read(running: Instance) -> None:
    given = running.credentials
    assert mode(running.data_dir) == 0o700
    assert mode(running.data_dir / "credentials.json") == mode(running.data_dir / "secrets.json") == 0o600
    assert given["url"] == running.url
    assert given["project"] == "default"
    assert running.get("/api/v1/traces", key=given["api_key"]) == 200
    assert set(given["owner"]) == set(given["approver"]) == {"email", "password"}


def test_the_output_has_a_link_and_no_password(running: Instance) -> None:
    given = running.credentials
    assert running.link.startswith(running.url)
    assert str(running.data_dir / "credentials.json") in running.output
    for secret in (given["owner"]["password"], given["approver"]["password"], given["api_key"]):
        assert secret not in running.output


def test_only_web_listens_and_on_this_machine_the_sandbox(running: Instance) -> None:
    inodes = set()
    for pid in running.processes():
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with suppress(FileNotFoundError):  # closed since it was listed
                inodes.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    places = {tuple(line[1].split(":")) for line in lines if line[3] == "0A" and line[9] in inodes}
    loopback = "0100007F"
    assert places == {(loopback, f"{int(url.rpartition(':')[2]):04X}") for url in (running.url, running.sandbox_url)}


def test_a_second_start_on_the_same_directory_is_refused(running: Instance) -> None:
    second = manage("up", "--data-dir", running.data_dir, "--port", "0")
    assert second.returncode == 1
    assert f"AgentOps already runs on {running.data_dir}" in second.stderr
    assert running.get("/livez") == 200


def test_a_command_uses_the_services_of_a_running_up(running: Instance) -> None:
    code = "from agentops.accounts.models import Project; print(Project.objects.get().slug)"
    answer = manage("shell", "--data-dir", running.data_dir, "-c", code)
    assert (answer.returncode, answer.stdout.strip().splitlines()[-1]) == (0, "default"), answer.stderr


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = manage("up", "--data-dir", tmp_path / "data", "--port", str(port))
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        f"agentops: Port {port} on 127.0.0.1 is taken: stop what uses it, or choose another with --port."
    ]


def test_no_answer_waits_until_its_first_piece_is_confirmed() -> None:
    with up.bind("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()):
        caller, _ = door.accept()
        with caller:
            assert caller.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("place", ["/proc/agentops", "/dev/null/agentops"])
def test_a_directory_that_cannot_be_written_is_one_clear_sentence(place: str) -> None:
    answer = manage("up", "--data-dir", place, "--port", "0")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert f"The data directory {place} cannot be used" in answer.stderr


def test_named_services_are_used_and_not_started(fresh: Instance) -> None:
    # Those of the tests themselves, with a database of its own.
    server = os.environ["DATABASE_URL"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE named")
    try:
        fresh.start(DATABASE_URL=f"{server.rpartition('/')[0]}/named", BROKER_URL=os.environ["BROKER_URL"])
        assert fresh.get("/api/v1/traces", key=fresh.credentials["api_key"]) == 200
        assert not (fresh.data_dir / "pg").exists()
        assert not (fresh.data_dir / "broker").exists()
    finally:
        fresh.stop()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("DROP DATABASE named WITH (FORCE)")


def test_services_that_are_named_and_away_are_one_clear_sentence(tmp_path: Path) -> None:
    fresh = Instance(tmp_path / "data")
    fresh.launch(DATABASE_URL="postgresql://nobody@127.0.0.1:9/none", BROKER_URL=os.environ["BROKER_URL"])
    assert fresh.process is not None
    assert fresh.process.wait(30) == 1
    assert "Postgres cannot be reached" in fresh.output.splitlines()[-1]
    assert "Traceback" not in fresh.output


def test_a_body_in_chunks_is_read_whole(running: Instance) -> None:
    step = b'{"trace_id": "chunks", "step_number": 1, "timestamp": "2026-03-16T12:00:00Z", "event_type": "tool_call"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (step[:20], step[20:], b""))
    answer = send_raw(running, b"Transfer-Encoding: chunked\r\n", chunks)
    assert b'"accepted":1' in answer.replace(b" ", b""), answer


def test_a_batch_that_is_sent_again_leaves_nothing_of_it_in_the_log(running: Instance) -> None:
    step = b'{"trace_id": "again", "step_number": 1, "timestamp": "2026-03-16T12:00:00Z", "event_type": "tool_call"}'
    answers = [send_raw(running, b"Content-Length: %d\r\n" % len(step), step) for _ in range(2)]
    assert b'"duplicates":1' in answers[1].replace(b" ", b"")
    assert "duplicate key" not in running.output
    assert "COPY" not in running.output


def test_many_slow_bodies_keep_nobody_waiting(running: Instance) -> None:
    slow = [open_request(running, b"Content-Length: 100000\r\n") for _ in range(60)]
    begin = time.monotonic()
    assert running.get("/readyz") == 200
    assert time.monotonic() - begin < 5
    for connection in slow:
        connection.close()


X, TWO_LENGTHS = b"X-Same: 1\r\n", b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [(X * 1_000, b"431"), (b"X: " + b"x" * 65_536 + b"\r\n", b"431"), (TWO_LENGTHS, b"400"), (X * 50, b"400")],
    ids=["a thousand headers", "64 kB", "two lengths", "fifty headers"],
)
def test_heads_that_nobody_sends_in_good_faith_are_refused(running: Instance, headers: bytes, status: bytes) -> None:
    assert send_raw(running, headers, b"").split()[1] == status


def open_request(instance: Instance, headers: bytes) -> socket.socket:
    host, _, port = instance.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    key = instance.credentials["api_key"].encode()
    before = (
        b"POST /api/v1/traces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    connection.sendall(before + b"Authorization: Bearer " + key + b"\r\n" + headers + b"\r\n")
    return connection


def send_raw(instance: Instance, headers: bytes, body: bytes) -> bytes:
    with open_request(instance, headers) as connection:
        connection.sendall(body)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_a_bad_option_is_wrong_usage(tmp_path: Path) -> None:
    answer = manage("up", "--data-dir", tmp_path, "--port", "many")
    assert answer.returncode == 2
    assert "invalid int value: 'many'" in answer.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
def test_a_number_that_is_no_port_is_wrong_usage(tmp_path: Path, port: str) -> None:
    answer = manage("up", "--data-dir", tmp_path / "data", f"--port={port}")
    assert answer.returncode == 2
    assert f"{port} is no port" in answer.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.crash
@pytest.mark.parametrize("part", PARTS)
def test_what_is_killed_is_started_again(running: Instance, part: str) -> None:
    before = running.pids(part)
    pid = running.kill(part)
    running.wait_until(lambda: pid not in (now := running.pids(part)) and len(now) == len(before), 15)
    running.wait_until_whole(15)


@pytest.mark.crash
def test_two_web_processes_share_the_door_and_one_answers_while_the_other_is_gone(running: Instance) -> None:
    one, other = running.pids("web")
    os.kill(other, signal.SIGSTOP)
    try:
        assert all(running.get("/readyz") == 200 for _ in range(20))
    finally:
        os.kill(other, signal.SIGCONT)
    os.kill(one, signal.SIGKILL)
    assert all(running.get("/readyz") == 200 for _ in range(20))
    running.wait_until(lambda: one not in (now := running.pids("web")) and len(now) == 2, 15)


@pytest.mark.crash
def test_a_broker_with_broken_files_starts_empty(running: Instance) -> None:
    manifest = next((running.data_dir / "broker").glob("*/*.manifest"))
    manifest.write_text("nonsense")
    pid = running.pid("broker")
    assert pid
    os.kill(pid, signal.SIGKILL)
    running.wait_until(lambda: manifest.exists() and manifest.read_text() != "nonsense", 15)
    running.wait_until_whole(15)


@pytest.mark.crash
def test_a_killed_up_leaves_no_process_and_a_stopped_one_neither(fresh: Instance) -> None:
    copy_of_original(fresh.data_dir)
    fresh.start()
    given = fresh.credentials
    fresh.kill("up")
    assert wait_until(lambda: not fresh.processes(), STOP_TIMEOUT_S), fresh.processes()
    begin = time.monotonic()
    fresh.start()
    warm_s = time.monotonic() - begin
    assert {**fresh.credentials, "url": ""} == {**given, "url": ""}
    assert fresh.stop() < STOP_TIMEOUT_S
    assert not fresh.processes()
    assert "stopped." in fresh.output
    assert fresh.process is not None
    assert fresh.process.returncode == 0
    assert warm_s < 30


@pytest.mark.crash
def test_a_first_start_killed_at_any_moment_is_made_good_by_the_next(fresh: Instance) -> None:
    for moment_s in (0.2, 0.5, 0.9, 1.4, 2.0, 3.0):
        fresh.launch()
        time.sleep(moment_s)
        fresh.kill("up")
    fresh.start()
    assert fresh.get("/api/v1/traces", key=fresh.credentials["api_key"]) == 200


@pytest.mark.parametrize(
    ("host", "url", "is_said"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000", True),  # noqa: S104
        ("0.0.0.0", "https://ops.example.com", False),  # noqa: S104
        ("127.0.0.1", "http://127.0.0.1:8000", False),
    ],
)
def test_who_listens_to_all_is_told_which_setting_lets_them_in(
    host: str, url: str, is_said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    options = up._parse(["--host", host])
    up._announce(read_env({"AGENTOPS_PUBLIC_URL": url}), {"link": None, "is_anybody_told": True}, options)
    assert ("AGENTOPS_PUBLIC_URL" in capsys.readouterr().out) == is_said
