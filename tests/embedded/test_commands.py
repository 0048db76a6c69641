"""Commands beside `up`: each finds its services, or starts them for itself."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import ManagementUtility

from agentops.embedded.process import spawn
from tests.instance import CHECKOUT, Instance, changed_environment, manage, wait_until
from tests.prepared import COUNT, copy_of_original, original, what_made_it_said


def test_a_command_on_a_fresh_directory_makes_the_installation_and_leaves_no_process() -> None:
    home = original()  # made by a command, in a directory with a name that is hard to get right
    assert what_made_it_said()[-1] == "projects: 1"
    assert set(json.loads((home / "credentials.json").read_text())) == {
        "url",
        "project",
        "api_key",
        "owner",
        "approver",
    }
    assert not [path for path in Path("/proc").glob("[0-9]*/cwd") if leads_to(path, home / "pg")]


def leads_to(link: Path, place: Path) -> bool:
    try:
        return link.readlink() == place
    except OSError:
        return False


def test_a_command_waits_for_another_one_and_they_share_its_services(tmp_path: Path) -> None:
    home = copy_of_original(tmp_path / "data")
    (home / "lock").unlink()
    slow = [CHECKOUT / "manage.py", "shell", f"--data-dir={home}", "-c", f"import time; time.sleep(3); {COUNT}"]
    with (tmp_path / "first.out").open("wb") as file, changed_environment({}):
        first = spawn([sys.executable, *slow], output=file.fileno())
    assert wait_until(lambda: (home / "lock").exists() and (home / "lock").read_text(), 30)
    second = manage("shell", "--data-dir", home, "-c", COUNT)
    assert second.stdout.splitlines()[-1:] == ["projects: 1"], second.stderr
    assert first.wait(30) == 0, (tmp_path / "first.out").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "there is no command nonsense"),
        (["--data-dir"], 2, "--data-dir needs a directory"),
        (["up", "--prt", "1"], 2, "--prt"),
        (["createkey"], 2, "required"),
        (["makemigrations", "--check", "--dry-run"], 0, ""),
        (["check"], 0, ""),
    ],
)
def test_exit_codes_tell_wrong_usage_from_failure(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    answer = manage(*arguments, cwd=tmp_path)
    assert answer.returncode == code, answer.stderr
    assert said in answer.stderr
    assert not list(tmp_path.iterdir())


def test_help_lists_no_command_that_does_not_fit_our_people(tmp_path: Path) -> None:
    answer = manage("help", cwd=tmp_path)
    assert (answer.returncode, answer.stderr, list(tmp_path.iterdir())) == (0, "", [])
    listed = answer.stdout.split()
    assert "createkey" in listed
    assert not {"createsuperuser", "changepassword"} & set(listed)


def test_a_new_key_is_all_that_stands_on_stdout_and_its_log_is_for_people(running: Instance) -> None:
    answer = manage("createkey", "robot", "--data-dir", running.data_dir)
    assert re.fullmatch(r"aop_\S+\n", answer.stdout), answer.stdout
    assert "{" not in answer.stderr


@pytest.mark.parametrize("command", ["worker", "sweep", "import"])
def test_named_services_without_an_installation_are_told_what_makes_one(tmp_path: Path, command: str) -> None:
    # Its own database of the server is empty.
    named = {"DATABASE_URL": f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/postgres"}
    arguments = [tmp_path / "runs.jsonl"] if command == "import" else []
    answer = manage(command, *arguments, cwd=tmp_path, BROKER_URL=os.environ["BROKER_URL"], **named)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "holds no project yet: `manage.py up`" in answer.stderr


def test_a_drill_tells_how_fast_each_pattern_was_told_and_exits_with_1_on_a_miss(running: Instance) -> None:
    # What waits for silence takes half a minute, and is drilled in tests/drills.
    patterns = ("tool_loop", "bad_signature", "context_drift", "over_automation")
    answer = drill(running, *patterns, "--format", "json")
    assert answer.returncode == 0, answer.stderr
    drills = json.loads(answer.stdout)["drills"]
    assert [one["pattern"] for one in drills] == list(patterns)
    for one in drills:
        assert set(one) == {"pattern", "trace_id", "detected", "onset_to_alert_s", "receipt_to_delivery_s"}
        assert one["detected"] is True
        assert 0 <= one["receipt_to_delivery_s"] < 30
        assert 0 <= one["onset_to_alert_s"] < 30
    with switched_off(running, "ToolLoop"):
        named = ("--base-url", running.url, "--api-key", running.api_key)
        answer = drill(running, "tool_loop", "over_automation", *named, "--wait", "4")
    assert answer.returncode == 1, answer.stdout
    assert "1 of 2 drills were missed: tool_loop" in answer.stderr
    assert re.search(r"^tool_loop +MISSED", answer.stdout, re.MULTILINE)
    assert re.search(r"^over_automation +yes", answer.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no_such"], 2, "there is no drill of no_such"),
        (["--base-url", "http://127.0.0.1:9"], 2, "go together"),
        (["--base-url", "nonsense", "--api-key", "x"], 2, "is no address"),
        (["--base-url", "http://127.0.0.1:9", "--api-key", "x"], 1, "is `up` running?"),
    ],
)
def test_a_drill_that_cannot_be_says_why(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "drill", *arguments]).execute()
    assert ended.value.code == code
    assert said in capsys.readouterr().err


def test_a_drill_where_nothing_runs_says_what_to_start(tmp_path: Path) -> None:
    answer = manage("drill", cwd=tmp_path)
    assert answer.returncode == 1, answer.stderr
    assert "start `up` on this data directory" in answer.stderr
    assert "Traceback" not in answer.stderr


def drill(instance: Instance, *words: str) -> "subprocess.CompletedProcess[str]":
    return manage("drill", *words, "--data-dir", str(instance.data_dir))


@contextmanager
def switched_off(instance: Instance, detector: str) -> Iterator[None]:
    add = (
        "INSERT INTO detectors_detectorsettings (id, project_id, detector, thresholds, enabled)"
        " SELECT gen_random_uuid(), id, %s, '{}', false FROM accounts_project WHERE slug = 'default'"
    )
    instance.query(add, [detector])
    try:
        yield
    finally:
        instance.query("DELETE FROM detectors_detectorsettings WHERE detector = %s", [detector])
