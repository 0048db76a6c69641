"""An agent that asks AgentOps before it acts. Kill it at any moment and start it again: it goes on where it was.

AGENTOPS_URL=http://127.0.0.1:8000 AGENTOPS_KEY=aop_… python3 gate_agent.py job.json issue_refund '{"order_id": 1001}'
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

BUSY = 409  # where a question is concerned: the same one is being answered at this moment


def call(method, path, body=None, key="", again=()):
    """Repeat until there is an answer that counts, and return its status and content."""
    headers = {"Authorization": f"Bearer {os.environ['AGENTOPS_KEY']}", "Content-Type": "application/json"}
    headers |= {"Idempotency-Key": key} if key else {}
    address = f"{os.environ['AGENTOPS_URL']}/api/v1/approvals{path}"
    while True:
        request = urllib.request.Request(address, json.dumps(body).encode() if body else None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in again:
                return error.code, json.load(error)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # no answer, or half of one
        time.sleep(0.5)


def save(place, state):
    """Write the state so that it is on disk, whole, before anything builds on it."""
    with Path(f"{place}.new").open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    Path(f"{place}.new").replace(place)
    return state


def act(arguments, key, place):
    """Stand for your tool. Give it the key: what was begun before a crash is begun again, and must count once."""
    with Path(f"{place}.effects").open("a+") as effects:
        effects.seek(0)
        if key not in effects.read():
            effects.write(f"{key} {json.dumps(arguments)}\n")
    return "done"


def main(place, tool_name, arguments):
    """Ask, wait, claim, act, report; each step may come again, and is answered as before."""
    fresh = {"ask_key": str(uuid.uuid4()), "claim_key": str(uuid.uuid4())}
    state = json.loads(Path(place).read_text()) if Path(place).exists() else save(place, fresh)
    if "id" not in state:
        question = {"tool_name": tool_name, "arguments": json.loads(arguments), "reason": "An example."}
        status, approval = call("POST", "", question, state["ask_key"], again=[BUSY])
        if status != 201:
            sys.exit(f"not asked: {approval}")
        save(place, state | {"id": approval["id"]})
        state["id"] = approval["id"]
    approval = {"status": "pending"}
    while approval["status"] == "pending":
        _, approval = call("GET", f"/{state['id']}?wait=50")
    if approval["status"] != "approved":
        sys.exit(f"{approval['status']}: {approval.get('comment') or approval.get('detail')}")
    if approval["action_status"] in {"succeeded", "failed"}:
        return approval["action_status"]  # reported before a crash
    status, granted = call("POST", f"/{state['id']}/claim", key=state["claim_key"])
    if status != 200:
        sys.exit(f"not mine to do: {granted['detail']}")
    detail = act(granted["arguments"], state["id"], place)
    return call("POST", f"/{state['id']}/result", {"outcome": "succeeded", "detail": detail})[1]["action_status"]


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
