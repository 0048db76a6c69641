"""From POST to a person under fire: loops come in while everything is killed, and each is told of."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from standardwebhooks.webhooks import Webhook as Reference

from tests.crash.test_ingest import Sender, kill_all
from tests.instance import Instance
from tests.prepared import prepared_instance
from tests.receivers import Receiver

pytestmark = pytest.mark.crash

LOOPS = 15  # `make crash` has 20 rounds: 300
CALLS = 6
JOBS_LEFT = """
SELECT 1 FROM traces_detectjob WHERE due_at <= now() AND quarantined_at IS NULL
UNION ALL SELECT 1 FROM detectors_alertjob
UNION ALL SELECT 1 FROM notify_delivery d JOIN notify_channel c ON c.id = d.channel_id
WHERE d.state = 'pending' AND c.deleted_at IS NULL
"""
# Each alert, the id that its message had on the wire, and whether it travelled alone: over sixty a minute are gathered.
TRAVELLED = """
SELECT a.agent, 'msg_' || replace(coalesce(d.folded_into_id, d.id)::text, '-', ''),
    d.folded_into_id IS NULL AND NOT d.gathers
FROM alerts_alert a LEFT JOIN notify_delivery d ON d.key = a.told_key AND d.project_id = a.project_id
WHERE a.agent LIKE %s
"""


class LoopSender(Sender):
    """Sends loops, each by an agent of its own, two calls a request."""

    def run(self) -> None:
        for number in range(LOOPS):
            trace = f"{self.label}-{number}"
            for first in range(0, CALLS, 2):
                steps = [{**self.step(trace, first + i), "agent": trace, "tool_input": {}} for i in range(2)]
                if self._send_until_acknowledged(steps):
                    self.acknowledged.update((trace, step["step_number"]) for step in steps)
            time.sleep(0.3)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as listening:
        yield listening


@pytest.fixture(scope="module")
def told_stack(receiver: Receiver) -> Iterator[tuple[Instance, str]]:
    """An installation with one channel, the receiver's, and the secret that its messages are signed with."""
    allowed = f"127.0.0.1/32:{receiver.port}"
    with prepared_instance(AGENTOPS_OUTBOUND_ALLOW=allowed, DJANGO_SETTINGS_MODULE="tests.settings") as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        said, _ = stack.run_module("tests.notify.telling", "0", "0", receiver.url, **pipes).communicate(
            "\n", timeout=60
        )
        yield stack, said.split("channel ")[1].split()[0]


def test_every_loop_has_its_one_alert_and_every_alert_is_delivered(
    told_stack: tuple[Instance, str], receiver: Receiver, seed: int
) -> None:
    stack, secret = told_stack
    stack.wait_until_whole()
    before = len(receiver.requests)
    sender = LoopSender(stack, f"loop-{seed}", time.monotonic() + 600)
    killing = threading.Thread(target=kill_all, args=[stack, random.Random(seed)])
    sender.start()
    killing.start()
    sender.join(120)
    killing.join(60)
    assert sender.refused == []
    assert len(sender.acknowledged) == LOOPS * CALLS
    stack.wait_until_whole(30)
    stack.wait_until(lambda: not stack.query(JOBS_LEFT), 90)  # what is gathered leaves after a minute
    agents = {f"loop-{seed}-{number}" for number in range(LOOPS)}
    alerts = stack.query("SELECT agent, id, findings FROM alerts_alert WHERE agent LIKE %s", [f"loop-{seed}-%"])
    assert Counter(agent for agent, _, _ in alerts) == Counter(agents)
    fates = stack.query(
        "SELECT f.id, n.fate FROM detectors_finding f LEFT JOIN alerts_alertfinding n ON n.finding_id = f.id"
        " JOIN traces_trace t ON t.id = f.trace_id WHERE t.agent LIKE %s",
        [f"loop-{seed}-%"],
    )
    assert len(fates) == sum(findings for _, _, findings in alerts)
    assert {fate for _, fate in fates} == {"alert"}
    told = received(receiver, before, secret)
    for agent, travelled_as, alone in stack.query(TRAVELLED, [f"loop-{seed}-%"]):
        assert travelled_as in told, f"the receiver never heard of {agent}"
        assert not alone or f"{agent}:" in told[travelled_as]


def received(receiver: Receiver, before: int, secret: str) -> dict[str, str]:
    """Return the messages by their id; each is signed, and what came twice came with one id and one content."""
    by_id: dict[str, bytes] = {}
    for request in receiver.requests[before:]:
        assert Reference(secret).verify(request.body, dict(request.headers))
        assert by_id.setdefault(request.headers["webhook-id"], request.body) == request.body
    return {wire_id: body.decode() for wire_id, body in by_id.items()}
