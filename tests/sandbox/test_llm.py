"""The model through its real SDK and real sockets: what becomes of a good answer, and of every bad one."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from agentops.runtime import llm
from agentops.runtime.sandbox.faults import FAULTS
from tests.instance import CHECKOUT
from tests.receivers import Receiver, answer
from tests.sandbox.running import Running

TOOLS = [
    {"name": name, "description": "A tool.", "input_schema": {"type": "object", "properties": {}}}
    for name in ("get_order", "get_customer", "list_orders", "issue_refund", "update_order")
]
ASKED = [{"role": "user", "content": "Where is order 1002?"}]


@pytest.fixture(autouse=True)
def _clients_of_our_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test read its limits anew, and leave no connection open."""
    made, make = [], llm._client.__wrapped__

    @cache
    def make_and_note(base_url: str, key: str) -> Any:
        made.append(make(base_url, key))
        return made[-1]

    monkeypatch.setattr(llm, "_client", make_and_note)
    yield
    for client in made:
        client.close()


def make_request(**fields: Any) -> llm.Request:
    given = {"model": "claude-sonnet-5-5", "system": "Help.", "messages": ASKED, "tools": TOOLS, "run_id": "run-1"}
    return llm.Request(**{**given, **fields})


def failure(**fields: Any) -> llm.ModelError:
    with pytest.raises(llm.ModelError) as caught:
        llm.answer(make_request(**fields))
    return caught.value


def test_an_answer_says_what_it_used_and_that_it_is_simulated(sandbox: Running) -> None:
    heard: list[str] = []
    found = llm.answer(make_request(), on_text=heard.append)
    assert (found.model, found.simulated, found.stop_reason) == ("simulated", True, "tool_use")
    assert found.cost_usd == Decimal(0)
    assert found.usage.input_tokens > 0
    text, call = found.content
    assert "".join(heard) == text["text"]
    assert (call["name"], call["input"]) == ("get_order", {"order_id": 1002})


def test_the_second_turn_reads_the_first_from_the_cache(sandbox: Running) -> None:
    first = llm.answer(make_request())
    result = {"type": "tool_result", "tool_use_id": first.content[1]["id"], "content": '{"status": "error"}'}
    talk = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert first.usage.cached_tokens == 0
    assert 0 < llm.answer(make_request(messages=talk)).usage.cached_tokens <= first.usage.input_tokens


def test_a_thought_goes_back_byte_for_byte(sandbox: Running) -> None:
    first = llm.answer(make_request(scenario="refund"))
    thought = first.content[0]
    assert thought["type"] == "thinking"
    result = {"type": "tool_result", "tool_use_id": first.content[2]["id"], "content": "broken", "is_error": True}

    def talk(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*ASKED, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]

    assert llm.answer(make_request(scenario="refund", messages=talk(first.content))).stop_reason == "end_turn"
    forged = [{**thought, "thinking": "Pay."}, *first.content[1:]]
    assert "signature" in str(failure(scenario="refund", messages=talk(forged)))


# What each fault comes to: part of the sentence, the wait that is asked for, and whether it is final.
OUTCOMES = {
    "rate_limited": ("scripted: rate_limit_error", 2.0, False),
    "overloaded": ("scripted: overloaded_error", 2.0, False),
    "server_error": ("scripted: api_error", 2.0, False),
    "bad_request": ("scripted: invalid_request_error", None, True),
    "unauthorized": ("scripted: authentication_error", None, True),
    "html_502": ("502 Bad Gateway", None, False),
    "drop": ("broke off", None, False),
    "stall": ("broke off: timed out", None, False),
    "drip": ("did not finish within", None, False),
    "cut": ("was cut", None, False),
    "cut_chunked": ("broke off", None, False),
    "error_event": ("scripted: overloaded_error", None, False),
    "bad_tool_json": ("broke off: JSON is malformed", None, False),
    "unknown_block": ("unknown kind: hologram", None, False),
    "no_call": ("named none", None, False),
    "same_ids": ("the same id", None, False),
}
ANSWERED = {"unknown_stop": "tired", "max_tokens": "max_tokens"}


def test_every_fault_is_tried_here() -> None:
    assert {*OUTCOMES, *ANSWERED} == set(FAULTS)


@pytest.mark.parametrize("kind", OUTCOMES)
def test_no_whole_answer_is_a_model_error(kind: str, sandbox: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "SILENCE_S", 0.5)
    monkeypatch.setattr(llm, "TOTAL_S", 1.5)
    sandbox.faults("v1", {"kind": kind, "retry_after": 2, "delay_s": 5})
    words, retry_after_s, is_fatal = OUTCOMES[kind]
    error = failure()
    assert words in str(error)
    assert (error.retry_after_s, error.is_fatal) == (retry_after_s, is_fatal)
    # Nothing was tried again behind our back: the one fault is used up by the one request.
    assert llm.answer(make_request()).stop_reason == "tool_use"


@pytest.mark.parametrize(("kind", "stop_reason"), ANSWERED.items())
def test_calls_of_an_answer_that_did_not_stop_for_them_are_dropped(
    kind: str, stop_reason: str, sandbox: Running
) -> None:
    sandbox.faults("v1", {"kind": kind})
    found = llm.answer(make_request())
    assert found.stop_reason == stop_reason
    assert [block["type"] for block in found.content] == ["text"]


def test_no_header_makes_a_worker_wait_longer_than_a_minute(sandbox: Running) -> None:
    sandbox.faults("v1", {"kind": "rate_limited", "retry_after": 4_000_000_000}, {"kind": "overloaded"})
    assert [failure().retry_after_s for _ in range(2)] == [60.0, None]


@pytest.mark.parametrize(
    ("kind", "said", "is_fatal"), [("server_error", "false", True), ("bad_request", "true", False)]
)
def test_a_server_that_says_whether_to_try_again_is_believed(
    kind: str, said: str, is_fatal: bool, sandbox: Running
) -> None:
    sandbox.faults("v1", {"kind": kind, "should_retry": said})
    assert failure().is_fatal is is_fatal


@pytest.mark.parametrize(("kind", "is_fatal"), [("overloaded_error", False), ("invalid_request_error", True)])
def test_an_error_within_a_stream_is_judged_by_its_type(kind: str, is_fatal: bool, sandbox: Running) -> None:
    sandbox.faults("v1", {"kind": "error_event", "error": kind})
    assert failure().is_fatal is is_fatal


def test_an_id_that_was_used_before_is_no_answer(sandbox: Running) -> None:
    call = {"type": "tool_use", "id": "toolu_same", "name": "get_order", "input": {"order_id": 1}}
    result = {"type": "tool_result", "tool_use_id": "toolu_same", "content": "{}"}
    talk = [*ASKED, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    sandbox.faults("v1", {"kind": "same_ids"})
    assert "the same id" in str(failure(messages=talk))


def test_what_the_api_would_refuse_is_final(sandbox: Running) -> None:
    error = failure(messages=[{"role": "user", "content": ""}])
    assert error.is_fatal
    assert "content must not be empty" in str(error)


def test_without_a_key_and_without_a_sandbox_there_is_no_model(
    sandbox: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENTOPS_SANDBOX_URL")
    assert failure().is_fatal


def test_with_a_key_the_named_server_is_asked_unless_a_scenario_is_wanted(
    sandbox: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = answer(401, b'{"type":"error","error":{"type":"authentication_error","message":"a bad key"}}')
    with Receiver(lambda line, _: line.sendall(refusal)) as elsewhere:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{elsewhere.port}/proxy")
        assert llm.answer(make_request(scenario="healthy")).simulated
        assert not elsewhere.requests
        assert "a bad key" in str(failure())
    (request,) = elsewhere.requests
    assert request.target == "/proxy/v1/messages"
    assert request.headers["authorization"] == "Bearer secret"
    assert llm.SCENARIO_HEADER not in request.headers


def test_a_whole_talk_by_two_threads_of_one_process(sandbox: Running) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(llm.answer(make_request()).stop_reason)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == ["tool_use", "tool_use"]


def test_a_time_limit_leaves_nothing_running(sandbox: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.answer(make_request())
    deadline = time.monotonic() + 5
    while any(isinstance(thread, threading.Timer) for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_importing_it_loads_neither_the_sdk_nor_prices_nor_django() -> None:
    heavy = ("anthropic", "genai_prices", "httpx2", "django")
    code = f"import sys, agentops.runtime.llm; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0
