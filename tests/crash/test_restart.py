"""A run that waits for a person outlives a stop of everything, and the loss of all that the broker held."""

import shutil

from tests.instance import Instance
from tests.person import Person, approval_of, paid, status_of


def waits(instance: Instance, run: str) -> bool:
    return status_of(instance, run) == "waiting_approval"


def test_a_run_waits_across_a_stop_and_a_start_and_is_then_done_once(instance: Instance) -> None:
    instance.wait_until_whole()
    run = Person(instance, "owner").start("refund")
    instance.wait_until(lambda: waits(instance, run), 120)
    instance.stop()
    shutil.rmtree(instance.data_dir / "broker")
    instance.start()
    assert waits(instance, run)
    assert paid(instance, run) == 0
    approver = Person(instance, "approver")
    answer = approver.decide(approval_of(instance, run), "approve")
    assert answer["status"] == "approved"
    instance.wait_until(lambda: status_of(instance, run) == "succeeded", 120)
    assert paid(instance, run) == 1
    assert "cannot be undone" in approver.get(f"/runs/{run}")
