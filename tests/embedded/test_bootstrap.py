"""`manage.py` outside its environment: what a person meets who has only Python."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instance import CHECKOUT, clean_environment

INSIDE = "import sys\n\ndef run(arguments):\n    print(sys.prefix, *arguments)\n    return 3\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no package, and whose every command says where it runs and ends with 3."""
    root = tmp_path / "checkout"
    (root / "agentops" / "embedded").mkdir(parents=True)
    (root / "agentops" / "embedded" / "commands.py").write_text(INSIDE)
    (root / "requirements.txt").write_text("# nothing\n")
    shutil.copy(CHECKOUT / "manage.py", root)
    return root


def run(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # The plain Python that a person has, not the one of this environment.
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    environment = {**clean_environment(PATH="/usr/bin:/bin"), "AGENTOPS_NO_BOOTSTRAP": "", **environment}
    command = [str(python), str(checkout / "manage.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_it_makes_its_environment_goes_on_inside_and_mends_one_that_was_left_half_made(checkout: Path) -> None:
    first = run(checkout, "hello", "world")
    assert (first.returncode, first.stdout) == (3, f"{checkout}/.venv hello world\n"), first.stderr
    assert "installing" in first.stderr

    again = run(checkout)
    assert (again.returncode, again.stderr) == (3, "")

    # An update.
    (checkout / "requirements.txt").write_text("# still nothing\n")
    assert "installing" in run(checkout).stderr

    # Killed while it installed.
    (checkout / ".venv.lock").write_text("unfinished")
    (checkout / ".venv" / "bin" / "half").touch()
    assert run(checkout).returncode == 3
    assert not (checkout / ".venv" / "bin" / "half").exists()


def test_a_linked_environment_is_used_and_never_changed(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(sys.prefix)
    before = sorted(Path(sys.prefix).iterdir())
    answer = run(checkout, "hello")
    assert answer.returncode == 3
    assert answer.stdout.endswith("hello\n")
    assert sorted(Path(sys.prefix).iterdir()) == before


def test_an_install_that_fails_says_why_in_one_sentence(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("agentops-no-such-package==1\n")
    answer = run(checkout, PIP_NO_INDEX="1")
    assert answer.returncode == 1
    assert "agentops: pip failed" in answer.stderr or "agentops: python failed" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_second_start_waits_for_the_one_that_installs(checkout: Path) -> None:
    with (checkout / ".venv.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        environment = {**clean_environment(PATH="/usr/bin:/bin"), "AGENTOPS_NO_BOOTSTRAP": ""}
        with subprocess.Popen(
            [str(python), str(checkout / "manage.py")], stderr=subprocess.PIPE, text=True, env=environment
        ) as waiting:
            assert waiting.stderr is not None
            assert waiting.stderr.readline() == "agentops: another start is installing; waiting for it.\n"
            waiting.terminate()


def test_a_python_without_its_venv_module_is_told_what_to_install(checkout: Path) -> None:
    # Debian ships the module without ensurepip until python3-venv is there.
    (checkout / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'ensurepip' else find(name, *rest)\n"
    )
    answer = run(checkout, PYTHONPATH=str(checkout))
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "apt install python3-venv" in answer.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_checkout_is_one_clear_sentence(checkout: Path) -> None:
    checkout.chmod(0o500)
    answer = run(checkout)
    checkout.chmod(0o700)
    assert answer.returncode == 1
    assert "cannot be written to" in answer.stderr
