"""Processes that are forked instead of started: what they share with the one they come from, and what they do not."""

import subprocess

import pytest

from tests.embedded.alone import run_alone

# In a process of its own, without the threads of the tests.
BEFORE = """
    import os, signal, sys, threading, time
    from functools import partial
    from agentops.embedded.fork import fork

    def said(main, **options):
        reading, writing = os.pipe()
        child = fork(main, "a title", output=writing, **options)
        os.close(writing)
        with os.fdopen(reading) as lines:
            told = lines.read()
        while child.poll() is None:
            time.sleep(0.01)
        return child.returncode, told
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return run_alone(BEFORE, script)


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("print('well'); return 0", 0, "well\n"),
        ("return 3", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(4)", 4, ""),
        ("sys.exit('no room')", 1, "no room\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
    ],
)
def test_it_ends_with_the_code_that_its_function_gives(body: str, code: int, told: str) -> None:
    answer = run(f"""
        def main():
            {body}
        print(said(main))
    """)
    assert answer.stdout == f"{(code, told)}\n", answer.stderr


def test_what_it_raises_is_told_and_goes_no_further_up() -> None:
    answer = run("""
        def main():
            raise ValueError("told to")
        try:
            code, told = said(main)
        finally:
            print("once")
        print(code, told.splitlines()[-1])
    """)
    assert answer.stdout == "once\n1 ValueError: told to\n", answer.stderr


def test_it_ends_where_it_is_also_when_nobody_reads_what_it_says() -> None:
    answer = run("""
        reading, writing = os.pipe()
        os.close(reading)
        came, comes = os.pipe()
        try:
            child = fork(lambda: print("to nobody") or 0, "a title", output=writing, keep=[comes])
        finally:
            os.write(comes, b"here ")
        while child.poll() is None:
            time.sleep(0.01)
        print(os.read(came, 100))
    """)
    assert answer.stdout == "b'here '\n", answer.stderr


def test_it_has_no_file_and_no_signal_of_the_process_it_comes_from() -> None:
    answer = run("""
        kept, left = (os.open("/dev/null", os.O_RDONLY) for _ in range(2))
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

        def main():
            print([fd for fd in range(3, 99) if os.path.exists(f"/proc/self/fd/{fd}")] == [kept])
            print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
            print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))
            return 0
        print(said(main, keep=[kept])[1])
    """)
    assert answer.stdout.split() == ["True", "True", "True", "True", "''"], answer.stderr


def test_it_is_called_what_it_does() -> None:
    answer = run("""
        def main():
            print(repr(open("/proc/self/cmdline").read().rstrip("\\0")))
            return 0
        print(said(main)[1], open("/proc/self/cmdline").read().startswith("a title"))
    """)
    assert answer.stdout == "'a title'\n False\n", answer.stderr


def test_it_makes_ids_and_random_numbers_of_its_own() -> None:
    answer = run("""
        import random
        from uuid_utils.compat import uuid7

        uuid7(), random.random()

        def main():
            print(uuid7().hex[14:], random.random())
            return 0
        print(len({part for _ in range(8) for part in said(main)[1].split()}))
    """)
    assert answer.stdout == "16\n", answer.stderr


def test_a_process_with_threads_is_not_forked() -> None:
    answer = run("""
        threading.Thread(target=time.sleep, args=[60], daemon=True).start()
        try:
            fork(print, "a title", output=1)
        except RuntimeError as error:
            print(str(error).partition(":")[0])
    """)
    assert answer.stdout == "a process with threads is not forked\n", answer.stderr


def test_it_dies_with_the_process_it_comes_from() -> None:
    answer = run("""
        reading, writing = os.pipe()
        if not os.fork():
            fork(partial(time.sleep, 60), "a title", output=1, keep=[writing])
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(writing)
        print(os.read(reading, 1))  # as soon as nobody holds the other end
    """)
    assert answer.stdout == "b''\n", answer.stderr


def test_what_is_loaded_for_the_parts_starts_no_thread_and_opens_no_connection() -> None:
    answer = run("""
        from agentops.embedded.fork import load

        os.environ.update({f"AGENTOPS_{name}_KEY": 40 * "x" for name in ("SECRET", "AUDIT", "ENCRYPTION")})
        os.environ["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/none"
        load()
        from django.db import connection

        print(threading.active_count(), connection.connection)
    """)
    assert answer.stdout == "1 None\n", answer.stderr
