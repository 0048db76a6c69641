"""Requests that the OpenAPI document describes, and such as break it, each field by field: none is our error."""

import os
import re
import subprocess
from pathlib import Path

from tests.instance import Instance

SEED = os.environ.get("FUZZ_SEED", "7")  # the same requests each time, unless others are wanted
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "20")  # of each operation, beside those that its schema makes systematically


def test_no_request_is_an_error_of_the_server(instance: Instance, commands: Path, tmp_path: Path) -> None:
    command = [
        *(commands / "schemathesis", "run", f"{instance.url}/api/schema", "--checks", "not_a_server_error"),
        *("--header", f"Authorization: Bearer {instance.api_key}", "--max-examples", EXAMPLES),
        *("--phases", "coverage,fuzzing", "--continue-on-failure", "--workers", "2", "--seed", SEED),
    ]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-5_000:] + made.stderr[-1_000:]
    made_by_it = re.search(r"(\d+) generated", made.stdout)
    assert made_by_it
    assert int(made_by_it[1]) > 500
