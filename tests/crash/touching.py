"""A client beside a running installation: touches probe jobs until told to stop, and says which ones were committed.

Run as a module. Prints one line for each attempt: `done NAME` once its transaction is committed, `unsure NAME` when the
connection broke and nobody can know.
"""

import random
import sys
import time

import django
from django.db import Error, connection

BEHAVIOURS = ["", "sleep:0.05", "sleep:0.5"]  # some are at work whenever a kill comes


def touch_for_ever(seed: int) -> None:
    from agentops.jobs.wake import wake
    from tests.probe.models import ProbeJob

    rng, count = random.Random(seed), 0
    while True:
        count += 1
        name, behaviour = f"{seed}-{count}", rng.choices(BEHAVIOURS, weights=[40, 4, 1])[0]
        try:
            ids = ProbeJob.objects.touch([ProbeJob(name=name, behaviour=behaviour)])
        except Error:
            _say(f"unsure {name}")
            connection.close()
        else:
            _say(f"done {name}")
            if rng.random() < 0.8:  # as if one message in five were lost
                wake("probe", ids)
        time.sleep(rng.uniform(0, 0.05))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    django.setup()
    touch_for_ever(int(sys.argv[1]))
