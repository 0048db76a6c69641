"""The benches as a developer calls them."""

import subprocess
import sys

from tests.instance import CHECKOUT, clean_environment


def test_every_bench_says_what_it_measures_without_any_setting() -> None:
    command = [sys.executable, "-m", "bench", "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=clean_environment())
    assert listed.returncode == 0, listed.stderr
    assert {"ingest", "resume", "start"} <= {line.split()[0] for line in listed.stdout.splitlines()}
