"""`manage.py` outside its environment: what a person meets who has only Python."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instance import CHECKOUT, clean_environment

INSTALLING = "agentops: installing"
INSIDE = "import sys\n\ndef run(arguments):\n    print(sys.prefix, *arguments)\n    return 3\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no package, and whose every command says where it runs and ends with 3."""
    return make_checkout(tmp_path / "checkout")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a checkout, in which a command has run before; what a test leaves in it, the next one finds."""
    root = make_checkout(tmp_path_factory.mktemp("used") / "checkout")
    first = run(root, "hello", "world")
    assert (first.returncode, first.stdout) == (3, f"{root}/.venv hello world\n"), first.stderr
    assert INSTALLING in first.stderr
    return root


def make_checkout(root: Path) -> Path:
    (root / "agentops" / "embedded").mkdir(parents=True)
    (root / "agentops" / "embedded" / "commands.py").write_text(INSIDE)
    for name in ("requirements.txt", "requirements-test.txt"):
        (root / name).write_text("# nothing\n")
    shutil.copy(CHECKOUT / "manage.py", root)
    return root


def update(path: Path) -> None:
    """Change a file of requirements, which still ask for nothing."""
    path.write_text(f"{path.read_text()}# nothing new\n")


def run(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # The plain Python that a person has, not the one of this environment.
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    environment = {**clean_environment(PATH="/usr/bin:/bin"), "AGENTOPS_NO_BOOTSTRAP": "", **environment}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # what it compiles, nobody uses again
    command = [str(python), str(checkout / "manage.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def test_it_installs_once_and_again_after_an_update(used: Path) -> None:
    run(used)
    again = run(used)
    assert (again.returncode, again.stderr) == (3, "")
    update(used / "requirements.txt")
    assert INSTALLING in run(used).stderr
    assert run(used).stderr == ""


def test_what_is_installed_for_the_tests_serves_every_other_command(used: Path) -> None:
    for name in ("requirements.txt", "requirements-test.txt"):
        update(used / name)
    assert INSTALLING in run(used, "test").stderr
    assert run(used, "hello").stderr == run(used, "test").stderr == ""
    update(used / "requirements.txt")
    assert INSTALLING in run(used, "hello").stderr
    update(used / "requirements-test.txt")
    assert run(used, "hello").stderr == ""
    assert INSTALLING in run(used, "test").stderr


def test_the_requirements_of_the_tests_hold_those_of_the_product_whole() -> None:
    product, tests = (
        {line.split(" \\")[0] for line in (CHECKOUT / name).read_text().splitlines() if "==" in line}
        for name in ("requirements.txt", "requirements-test.txt")
    )
    assert product
    assert product - tests == set()


def test_a_linked_environment_is_used_and_never_changed(checkout: Path) -> None:
    (checkout / ".venv").symlink_to(sys.prefix)
    before = sorted(Path(sys.prefix).iterdir())
    answer = run(checkout, "hello")
    assert answer.returncode == 3
    assert answer.stdout.endswith("hello\n")
    assert sorted(Path(sys.prefix).iterdir()) == before


def test_an_install_that_fails_says_why_in_one_sentence_and_the_next_start_makes_all_anew(used: Path) -> None:
    before = (used / "requirements.txt").read_text()
    (used / "requirements.txt").write_text("agentops-no-such-package==1\n")
    answer = run(used, PIP_NO_INDEX="1")
    assert answer.returncode == 1
    assert "agentops: pip failed" in answer.stderr or "agentops: python failed" in answer.stderr
    assert "Traceback" not in answer.stderr
    (used / "requirements.txt").write_text(before)
    (used / ".venv" / "bin" / "half").touch()  # as a start that is killed meanwhile may leave it
    assert run(used).returncode == 3
    assert not (used / ".venv" / "bin" / "half").exists()


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
