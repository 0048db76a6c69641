"""What becomes of the worker's pool when the worker is killed."""

import subprocess
import sys

import pytest

FORKED = """
import os, time
import agentops.celery as pool
pool.note_the_worker()
worker = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == worker:
    time.sleep(0.01)
pool.die_with_the_worker()
print("it went on")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a child")
def test_a_child_whose_worker_was_killed_before_it_could_ask_to_be_told_ends_too():
    run = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=30)
    assert run.stdout == ""
    assert run.stderr == ""
