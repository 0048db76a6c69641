"""The Celery app: how work is woken. Its settings are in settings.py; tasks live in the rooms."""

import os
import signal
import sys
import warnings

from billiard.util import set_pdeathsig
from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_init, worker_process_init

# It warns of root, for the sake of pickled messages; ours are JSON.
warnings.filterwarnings("ignore", category=SecurityWarning)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentops.settings")

app = Celery("agentops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def keep_our_logging(**_: object) -> None:
    """A receiver is enough: Celery then leaves logging to Django's settings."""


_worker: list[int] = []  # the process that its pool is forked from


def note_the_worker(**_: object) -> None:
    _worker[:] = [os.getpid()]


def die_with_the_worker(**_: object) -> None:
    """A worker that is killed leaves no child that goes on without it."""
    if sys.platform == "linux":
        set_pdeathsig(signal.SIGKILL)
        if [os.getppid()] != _worker:
            os._exit(1)  # it was killed before we asked to be told


setup_logging.connect(keep_our_logging)
worker_init.connect(note_the_worker)
worker_process_init.connect(die_with_the_worker)
