"""A second detector is one file and one test: tried in a copy of the checkout, in which nothing else is edited."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.instance import CHECKOUT, clean_environment

DETECTOR = '''"""observability_gap: a step that says nothing at all."""

from collections.abc import Iterator

from traces.detectors.base import Detector, Frozen, Hit, Severity, Step, detector


@detector(pattern="observability_gap", severity=Severity.LOW)
class Mute(Detector):
    """A model step came without usage.

    Definition: a model step with fewer than `min_tokens` tokens.
    Input: model steps.
    Misses: tools.
    Source: made for a test.
    """

    class Thresholds(Frozen):
        min_tokens: int = 1

    def see(self, step: Step) -> Iterator[Hit]:
        if step.event_type == "model_response" and (step.tokens or 0) < self.thresholds.min_tokens:
            yield Hit("mute", step.ref, step.ref, "A model step says nothing of its tokens.", evidence=(step.span_id,))
'''

TEST = '''"""Mute."""

import pytest

from tests.builders import make_project
from tests.detectors.steps import kinds, make_step
from tests.traces.builders import send, step
from traces.detectors.fold import detect_trace
from traces.detectors.models import Finding
from traces.detectors.mute import Mute
from traces.models import Trace


def test_a_model_step_without_tokens_is_mute():
    assert kinds(Mute(), [make_step(1, event_type="model_response")]) == {"mute"}
    assert kinds(Mute(), [make_step(1, event_type="model_response", tokens=9)]) == set()


@pytest.mark.django_db
def test_it_is_found_in_what_is_sent():
    send(make_project(), step(1, event_type="model_response"))
    detect_trace(Trace.objects.get())
    assert Finding.objects.get().pattern == "observability_gap"
'''

# What `make check` asks; here, so that Django starts once.
NO_MIGRATION = '''"""The tables are as the models say."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", "--check", "--dry-run")  # exits when there is one
'''


def test_a_new_detector_is_one_file_and_one_test(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(
        CHECKOUT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".agentops", "__pycache__", ".*_cache")
    )
    (copy / "traces/detectors/mute.py").write_text(DETECTOR, encoding="utf-8")
    (copy / "tests/detectors/test_mute.py").write_text(TEST, encoding="utf-8")
    (copy / "tests/detectors/test_no_migration.py").write_text(NO_MIGRATION, encoding="utf-8")
    tests = [f"tests/detectors/test_{name}.py" for name in ("mute", "every_detector", "no_migration")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *tests],
        cwd=copy,
        env=clean_environment(AGENTOPS_DATA_DIR=str(tmp_path / "data"), PYTHONPYCACHEPREFIX=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
