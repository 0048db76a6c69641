"""What `up` does about parts that die, hang or talk: with plain shell commands in the place of servers."""

import subprocess

from tests.embedded.alone import run_alone

# In a process of its own: a supervisor takes the signals of the whole process.
BEFORE = """
    import os, signal, sys, threading, time
    from functools import partial
    from agentops.embedded import supervisor as module
    from agentops.embedded.process import ServiceError, spawn
    from agentops.embedded.supervisor import Part, Supervisor
    module.TICK_S = 0.01

    def part(script, **options):
        return Part("part", partial(spawn, ["/bin/sh", "-c", script]), **options)

    supervisor = Supervisor()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return run_alone(BEFORE, script)


def test_a_part_that_dies_again_and_again_ends_everything_with_one_sentence() -> None:
    answer = run("""
        supervisor.start(part("sleep 0.05; exit 3"), timeout_s=5)
        try:
            supervisor.keep()
        except ServiceError as error:
            print(error)
    """)
    assert answer.stdout == "part ended 6 times right after its start; all is stopped.\n", answer.stderr
    assert answer.stderr.count("ended with code 3; starting it again.") == 5


def test_a_part_that_does_not_get_ready_is_named_with_what_it_said() -> None:
    answer = run("""
        try:
            supervisor.start(part("echo FATAL: no room; exit 1", is_ready=lambda _: False), timeout_s=5)
        except ServiceError as error:
            print(error)
    """)
    assert answer.stdout == "Part did not start: FATAL: no room.\n", answer.stderr


def test_what_does_not_stop_in_time_is_killed() -> None:
    answer = run("""
        deaf = part("trap '' TERM; echo deaf; while :; do sleep 0.1; done", stop_timeout_s=0.3)
        supervisor.start(deaf, timeout_s=5)
        while not deaf.said:
            supervisor._pump(0.1)
        begin = time.monotonic()
        supervisor.stop()
        print(deaf.process.returncode, time.monotonic() - begin < 5)
    """)
    assert answer.stdout == "-9 True\n", answer.stderr


def test_stages_stop_the_last_first() -> None:
    answer = run("""
        for name, stage in (("low", 0), ("high", 1)):
            one = part(f"trap 'echo {name} stops; exit' TERM; echo up; while :; do sleep 0.02; done", stage=stage)
            supervisor.start(one, timeout_s=5)
            while not one.said:
                supervisor._pump(0.1)
        supervisor.stop()
    """)
    said = [line for line in answer.stderr.splitlines() if "stops" in line]
    assert said == ["part     | high stops", "part     | low stops"]


def test_a_signal_stops_the_wait_at_once() -> None:
    answer = run("""
        supervisor.start(part("sleep 60"), timeout_s=5)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        begin = time.monotonic()
        module.TICK_S = 20
        supervisor.keep()
        supervisor.stop()
        print(time.monotonic() - begin < 5)
    """)
    assert answer.stdout == "True\n", answer.stderr


def test_a_reader_that_stopped_reading_stops_nobody() -> None:
    answer = run("""
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        busy = part("i=0; while [ $i -lt 20000 ]; do echo a line that nobody reads $i; i=$((i+1)); done")
        supervisor.start(busy, timeout_s=5)
        while busy.process.poll() is None:
            supervisor._pump(0.1)
        print(busy.process.returncode)
    """)
    assert answer.stdout == "0\n"
