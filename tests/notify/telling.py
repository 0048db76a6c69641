"""A client beside a running installation: adds a webhook for each address, then tells things until it has told enough.

Run as a module with a count, a pause in seconds and the addresses. Prints one line for each channel, `channel SECRET`,
and one for each message whose transaction is committed, `told KEY`; waits for a line on stdin in between.
"""

import os
import sys
import time

import django
from django.db import Error, connection


def tell(count: int, pause_s: float, urls: list[str]) -> None:
    from agentops.accounts.models import Project
    from agentops.notify.services import notify
    from tests.notify.builders import make_channel, make_message

    project = Project.objects.get(slug="default")
    for url in urls:
        say(f"channel {make_channel(project, url).secrets()['signing']}")
    sys.stdin.readline()
    for number in range(count):
        key = f"told-{os.getpid()}-{number}:1"
        try:
            # Of a family of its own each, so that the limit of a minute does not gather them.
            notify(project, make_message(), key=key)
        except Error:
            connection.close()
            time.sleep(0.2)
        else:
            say(f"told {key}")
        time.sleep(pause_s)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    django.setup()
    tell(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
