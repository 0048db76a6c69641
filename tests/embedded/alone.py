"""Code in a process of its own, without the threads of the tests and with signals for itself."""

import subprocess
import sys
import textwrap

from tests.instance import CHECKOUT, clean_environment


def run_alone(*scripts: str) -> subprocess.CompletedProcess[str]:
    """Run one script after the other in a new Python, each without its indentation."""
    code = "".join(map(textwrap.dedent, scripts))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=CHECKOUT,
        env=clean_environment(),
    )
