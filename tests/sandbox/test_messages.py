"""The scripted Messages API: what it refuses as the real one would, and how its scenarios end."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agentops.runtime.sandbox.scenarios import scenarios
from tests.sandbox.running import Running

ORDER = {"order_id": 1001, "customer_id": "C-501", "items": "1 tea pot", "total_usd": "41.80", "state": "delivered"}
RESULTS: dict[str, Any] = {
    "get_order": ORDER,
    "get_customer": {"customer_id": "C-501", "name": "Nora Lind (demo)"},
    "list_orders": {"customer_id": "C-501", "orders": [ORDER]},
    "issue_refund": {"refund_id": "re_1", "order_id": 1001, "amount_usd": "41.80"},
    "update_order": {"order_id": 1003, "changed": {}},
}
TOOLS = [{"name": name, "description": "A tool.", "input_schema": {"type": "object"}} for name in RESULTS]
VERSION = {"anthropic_version": "2026-10-21", "Authorization": "Bearer any"}
HELLO = [{"role": "user", "content": "Hello."}]
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_order", "input": {"order_id": 1001}}
DONE = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "{}"}


def ask(sandbox: Running, messages: Any, scenario: str = "healthy", **fields: Any) -> tuple[int, Any]:
    body = {"model": "m", "max_tokens": 100, "messages": messages, "tools": TOOLS, **fields}
    return sandbox.ask("POST", "/v1/messages", body, x_agentops_scenario=scenario, **VERSION)


def after_call(*user: Any, assistant: Any = None) -> list[Any]:
    return [*HELLO, {"role": "assistant", "content": assistant or [CALL]}, {"role": "user", "content": [*user]}]


REFUSED: dict[str, dict[str, Any]] = {
    "temperature: Extra inputs": {"temperature": 1},
    "max_tokens: Input should be": {"max_tokens": 0},
    "messages: at least one": {"messages": []},
    "roles must alternate": {"messages": [*HELLO, *HELLO]},
    "prefill is not supported": {"messages": [*HELLO, {"role": "assistant", "content": "I"}]},
    "content must not be empty": {"messages": [{"role": "user", "content": []}]},
    "must be non-empty": {"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]},
    "not permitted here": {"messages": [{"role": "user", "content": [CALL]}]},
    "without `tool_result` blocks": {"messages": after_call({"type": "text", "text": "Well?"})},
    "unexpected `tool_use_id`": {"messages": after_call(DONE, {**DONE, "tool_use_id": "toolu_2"})},
    "must have a single result": {"messages": after_call(DONE, DONE)},
    "must come before": {"messages": after_call({"type": "text", "text": "Well?"}, DONE)},
    "ids must be unique": {"messages": after_call(DONE, assistant=[CALL, CALL])},
    "a valid dictionary": {"messages": after_call(DONE, assistant=[{**CALL, "input": "1"}])},
    "parsed_output: Extra inputs": {"messages": after_call(DONE, assistant=[{**CALL, "parsed_output": None}])},
    "Tool names must be unique": {"tools": [TOOLS[0], TOOLS[0]]},
    "should be 'object'": {"tools": [{"name": "a", "input_schema": {}}]},
    "String should match pattern": {"tools": [{"name": "a b", "input_schema": {"type": "object"}}]},
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_the_real_api_refuses_is_refused_in_its_words(words: str, sandbox: Running) -> None:
    status, answer = ask(sandbox, **{"messages": HELLO, **REFUSED[words]})
    assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error")
    assert words in answer["error"]["message"]


def test_a_good_request_is_answered_whole(sandbox: Running) -> None:
    status, answer = ask(sandbox, after_call(DONE, {"type": "text", "text": "Well?"}))
    assert (status, answer["role"], answer["stop_sequence"]) == (200, "assistant", None)
    assert answer["id"] != ask(sandbox, after_call(DONE, {"type": "text", "text": "Well?"}))[1]["id"]


@pytest.mark.parametrize(
    ("headers", "status"), [({"anthropic_version": "1"}, 401), ({"Authorization": "Bearer a"}, 400)]
)
def test_a_key_and_a_version_are_required(headers: dict[str, str], status: int, sandbox: Running) -> None:
    assert sandbox.ask("POST", "/v1/messages", {}, **headers)[0] == status


def test_a_form_of_a_page_in_a_browser_gets_nothing(sandbox: Running) -> None:
    assert sandbox.ask("POST", "/mail", {"to": "a@example.com"}, Content_Type="text/plain")[0] == 415
    assert sandbox.effects("mail")["count"] == 0


def test_an_unknown_scenario_is_named(sandbox: Running) -> None:
    status, answer = ask(sandbox, HELLO, "unheard_of")
    assert status == 400
    assert "there is no scenario unheard_of" in answer["error"]["message"]


def test_the_sdk_counts_lists_and_reads_without_streaming(sandbox: Running) -> None:
    import anthropic  # two seconds, which only the process that runs this shall pay

    with anthropic.Anthropic(api_key="any", base_url=sandbox.url, max_retries=0) as client:
        assert client.messages.count_tokens(model="m", messages=HELLO).input_tokens > 0  # type: ignore[arg-type]
        assert [model.id for model in client.models.list()] == ["simulated"]
        answer = client.messages.create(model="m", max_tokens=10, messages=HELLO)  # type: ignore[arg-type]
        assert answer.stop_reason == "end_turn"


def test_a_fault_can_be_asked_for_by_a_header(sandbox: Running) -> None:
    body = {"model": "m", "max_tokens": 100, "messages": HELLO}
    assert sandbox.ask("POST", "/v1/messages", body, x_sandbox_fault="overloaded", **VERSION)[0] == 529


def test_a_fault_of_one_run_waits_for_it(sandbox: Running) -> None:
    sandbox.faults("v1", {"kind": "overloaded", "key": "run-2"})
    assert ask(sandbox, HELLO, metadata={"user_id": "run-1"})[0] == 200
    assert ask(sandbox, HELLO, metadata={"user_id": "run-2"})[0] == 529


Results = Callable[[str, dict[str, Any]], tuple[Any, bool]]


def well(name: str, _: dict[str, Any]) -> tuple[Any, bool]:
    return RESULTS[name], False


def play(sandbox: Running, scenario: str, results: Results = well) -> tuple[list[str], dict[str, Any]]:
    """Play a scenario to its end; return the calls, each as its name, and the last answer."""
    messages: list[Any] = [{"role": "user", "content": "Order 1001, please."}]
    called: list[str] = []
    for _ in range(12):
        status, answer = ask(sandbox, messages, scenario)
        assert status == 200, answer
        if answer["stop_reason"] != "tool_use":
            return called, answer
        blocks = []
        for call in (block for block in answer["content"] if block["type"] == "tool_use"):
            called.append(call["name"])
            result, is_error = results(call["name"], call["input"])
            block = {"type": "tool_result", "tool_use_id": call["id"], "content": json.dumps(result)}
            blocks.append({**block, "is_error": True} if is_error else block)
        messages += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": blocks}]
    raise AssertionError(f"{scenario} does not end: {called}")


def last_words(answer: dict[str, Any]) -> str:
    return str(answer["content"][-1]["text"])


@pytest.mark.parametrize("scenario", scenarios())
def test_every_scenario_ends_well_when_its_tools_do(scenario: str, sandbox: Running) -> None:
    called, answer = play(sandbox, scenario)
    assert called
    assert answer["stop_reason"] == "end_turn"
    assert 'STATUS: "COMPLETE"' in last_words(answer)


@pytest.mark.parametrize("scenario", scenarios())
@pytest.mark.parametrize("status", ["rejected_by_human", "denied", "expired", "error", "invalid_arguments"])
def test_no_scenario_repeats_a_call_that_was_refused(scenario: str, status: str, sandbox: Running) -> None:
    seen: list[str] = []

    def refuse(name: str, arguments: dict[str, Any]) -> tuple[Any, bool]:
        seen.append(json.dumps([name, arguments]))
        return {"status": status, "reason": "not today"}, True

    _, answer = play(sandbox, scenario, refuse)
    assert len(seen) == len(set(seen))
    assert "not today" in last_words(answer)


@pytest.mark.parametrize("result", ["", "plain words", None, [], {"unexpected": 1}])
def test_no_scenario_falls_over_odd_results(result: Any, sandbox: Running) -> None:
    for scenario in scenarios():
        play(sandbox, scenario, lambda *_: (result, True))


def test_refund_asks_for_what_the_order_cost_and_thanks(sandbox: Running) -> None:
    asked: list[dict[str, Any]] = []

    def results(name: str, arguments: dict[str, Any]) -> tuple[Any, bool]:
        asked.extend([arguments] if name == "issue_refund" else [])
        return well(name, arguments)

    called, answer = play(sandbox, "refund", results)
    assert called == ["get_order", "get_customer", "issue_refund"]
    assert (asked[0]["order_id"], asked[0]["amount_usd"]) == (1001, 41.8)
    assert "Thank you" in last_words(answer)


def test_a_rejected_refund_is_taken_as_the_last_word(sandbox: Running) -> None:
    rejected = {"status": "rejected_by_human", "reason": "Too much.", "retry": "do not repeat this call"}
    called, answer = play(
        sandbox, "refund", lambda name, _: (rejected, True) if name == "issue_refund" else well(name, {})
    )
    assert called.count("issue_refund") == 1
    assert answer["stop_reason"] == "end_turn"
    assert "sorry" in last_words(answer)
    assert "Too much." in last_words(answer)


def test_missing_rollback_changes_two_orders_and_gives_up_at_the_third(sandbox: Running) -> None:
    def results(name: str, arguments: dict[str, Any]) -> tuple[Any, bool]:
        if arguments.get("order_id") == 1005:
            return {"status": "error", "reason": "order 1005 is shipped"}, True
        return well(name, arguments)

    called, answer = play(sandbox, "missing_rollback", results)
    assert called == ["list_orders", "update_order", "update_order", "update_order"]
    assert answer["stop_reason"] == "refusal"
    assert 'STATUS: "FAILED"' in last_words(answer)


def test_a_turn_that_is_asked_for_again_is_answered_alike_with_fresh_ids(sandbox: Running) -> None:
    (_, first), (_, second) = ask(sandbox, HELLO, "refund"), ask(sandbox, HELLO, "refund")
    calls = [next(block for block in answer["content"] if block["type"] == "tool_use") for answer in (first, second)]
    assert calls[0]["id"] != calls[1]["id"]
    assert {**calls[0], "id": ""} == {**calls[1], "id": ""}


def test_a_request_without_tools_gets_a_summary(sandbox: Running) -> None:
    _, answer = ask(sandbox, HELLO, "refund", tools=[])
    assert answer["content"][0]["text"].startswith("Summary. Asked: Hello.")
