"""The gate under fire: agents that are killed at any moment, many who wait, and a web process that goes away."""

import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.approvals.person import Elsewhere, Person
from tests.crash.conftest import ROUNDS
from tests.instance import CHECKOUT, Instance, clean_environment

pytestmark = pytest.mark.crash

SCRIPT = CHECKOUT / "docs" / "examples" / "gate_agent.py"
KILLS = 6  # a round: two rounds by default
WAITERS, APPROVALS, BATCHES = 200, 20, 30
STATE = """
SELECT p.id, p.status, a.status, a.arguments FROM approvals_approval p
JOIN approvals_action a ON a.id = p.action_id WHERE a.tool_name = %s
"""


class Fire:
    """Stands between agent and AgentOps; kills the agent before a request goes on or before its answer comes back."""

    def __init__(self, instance: Instance, seed: int) -> None:
        self.target = urlsplit(instance.url).netloc
        self.rng = random.Random(seed)
        self.agent: subprocess.Popen[bytes] | None = None
        self.kills = 0
        self.claims: list[tuple[str, str]] = []  # that were granted: the path and the key
        fire = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fire.pass_on(self)

            do_POST = do_GET  # noqa: N815 - the library's name

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        when = self.rng.choice(["before", "after", "never"]) if self.kills < KILLS else "never"
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        if when == "before":
            return self.kill()
        line = http.client.HTTPConnection(self.target, timeout=90)
        line.request(asked.command, asked.path, body, dict(asked.headers))
        answer = line.getresponse()
        said = answer.read()
        if asked.path.endswith("/claim") and answer.status == 200:
            self.claims.append((asked.path, asked.headers["Idempotency-Key"]))
        if when == "after":
            return self.kill()
        asked.send_response(answer.status)
        asked.send_header("Content-Length", str(len(said)))
        asked.end_headers()
        asked.wfile.write(said)
        return None

    def kill(self) -> None:
        assert self.agent
        self.agent.kill()
        self.agent.wait()
        self.kills += 1

    def run(self, job: Path, tool_name: str) -> str:
        """Start the agent again and again until it comes to its end; return what it says."""
        environ = clean_environment(AGENTOPS_URL=self.url, AGENTOPS_KEY=json.loads(job.with_suffix(".key").read_text()))
        command = [sys.executable, str(SCRIPT), str(job), tool_name, '{"order_id": 1001}']
        end = time.monotonic() + 120
        while time.monotonic() < end:
            self.agent = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            said, complaint = self.agent.communicate(timeout=90)
            if self.agent.returncode != -signal.SIGKILL:
                assert self.agent.returncode == 0, complaint.decode()
                return said.decode().strip()
        raise AssertionError("the agent did not come to its end")


def approve_soon(person: Person, elsewhere: Elsewhere, tool_name: str, rng: random.Random) -> None:
    """Approve what this tool waits for, at some moment after it was asked."""
    while True:
        listed = elsewhere.call("GET", "/api/v1/approvals?status=pending&limit=200")["results"]
        mine = [one for one in listed if one["tool_name"] == tool_name]
        if mine:
            time.sleep(rng.uniform(0, 0.5))
            person.decide(mine[0])
            return
        time.sleep(0.05)


def test_an_agent_killed_at_any_moment_claims_once_and_reports_once(
    instance: Instance, seed: int, tmp_path: Path
) -> None:
    instance.wait_until_whole()
    person, elsewhere, fire = Person(instance), Elsewhere(instance), Fire(instance, seed)
    jobs = 0
    while fire.kills < KILLS:
        job, tool_name = tmp_path / f"job-{jobs}.json", f"tool_{seed}_{jobs}"
        job.with_suffix(".key").write_text(json.dumps(instance.api_key))
        decider = threading.Thread(target=approve_soon, args=[person, elsewhere, tool_name, random.Random(seed)])
        decider.start()
        assert fire.run(job, tool_name) == "succeeded"
        decider.join(30)
        ((approval_id, status, action_status, _),) = instance.query(STATE, [tool_name])
        assert (status, action_status) == ("approved", "succeeded")
        assert len(Path(f"{job}.effects").read_text().splitlines()) == 1
        granted = {key for path, key in fire.claims if str(approval_id) in path}
        assert len(granted) == 1
        jobs += 1
    fire.server.shutdown()
    fire.server.server_close()
    assert fire.kills * ROUNDS >= 15 or ROUNDS < 3


def test_two_hundred_who_wait_are_all_answered_and_disturb_no_ingest(instance: Instance) -> None:
    instance.wait_until_whole()
    person, elsewhere = Person(instance), Elsewhere(instance)
    asked = [elsewhere.ask(f"many_{number}") for number in range(APPROVALS)]
    with ThreadPoolExecutor(WAITERS) as crowd:
        waiting = [crowd.submit(elsewhere.wait_for, asked[number % APPROVALS]) for number in range(WAITERS)]
        for number in range(BATCHES):
            step = {"trace_id": f"beside-{number}", "step_number": 1, "event_type": "model_response"}
            receipt = elsewhere.call("POST", "/api/v1/traces", {**step, "timestamp": "2026-03-16T12:00:00Z"})
            assert receipt["accepted"] + receipt["duplicates"] == 1
        assert not [one for one in waiting if one.done()]
        for approval in asked:
            person.decide(approval)
        answers = [one.result(120) for one in waiting]
    assert {answer["status"] for answer in answers} == {"approved"}
    assert len({answer["id"] for answer in answers}) == APPROVALS


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_who_waits_while_web_goes_away_asks_again_and_is_answered(instance: Instance, number: signal.Signals) -> None:
    instance.wait_until_whole()
    person, elsewhere = Person(instance), Elsewhere(instance)
    asked = elsewhere.ask(f"restart_{number.name.lower()}")
    first: list[Any] = []

    def wait_once() -> None:
        try:
            first.append(elsewhere.call("GET", f"/api/v1/approvals/{asked['id']}?wait=55")["status"])
        except (OSError, http.client.HTTPException) as error:
            first.append(error)

    once = threading.Thread(target=wait_once)
    with ThreadPoolExecutor(1) as patient:
        answered = patient.submit(elsewhere.wait_for, asked)
        once.start()
        time.sleep(1)
        web = instance.kill("web", number)
        once.join(30)
        assert not once.is_alive()
        instance.wait_until(lambda: instance.pid("web") not in (None, web), 30)
        instance.wait_until_whole(30)
        person.decide(asked)
        assert answered.result(60)["status"] == "approved"
    # Who is told to stop says what it knows; who is killed says nothing.
    assert first == ["pending"] if number == signal.SIGTERM else isinstance(first[0], Exception)
