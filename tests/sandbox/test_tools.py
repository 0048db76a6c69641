"""The support desk's tools on a real Postgres and against the real sandbox."""

import socket
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from agentops.accounts.models import Project
from agentops.env import SettingsError, read_env
from agentops.runtime.desk.demo import add_policies, fill, fill_sandboxes
from agentops.runtime.desk.models import DeskCustomer, DeskOrder, DeskRefund
from agentops.runtime.registry import tools_of
from agentops.runtime.tools.base import Call, OutcomeUnknownError, ToolError
from approvals.models import Policy
from approvals.services import save_policy
from tests.builders import make_project
from tests.receivers import Receiver
from tests.sandbox.running import Running

pytestmark = pytest.mark.django_db
REFUND = {"order_id": 1001, "amount_usd": 41.8, "reason": "Broken."}
MOVE = {"order_id": 1003, "shipping_address": "Pier 4"}
MAIL = {"to": "nora.lind@example.com", "subject": "Your order", "text": "It is on its way."}


@pytest.fixture
def project() -> Project:
    project = make_project(is_sandbox=True)
    fill(project)
    return project


def make_call(project: Project, key: str = "", **fields: Any) -> Call:
    given = {"run_id": "run-1", "key": key or f"{project.pk}-1-0", "project_id": str(project.pk), "timeout_s": 5}
    return Call(**{**given, **fields})


def execute(name: str, arguments: dict[str, Any], call: Call) -> Any:
    return tools_of("support-desk")[name].execute(arguments, call)


def order(project: Project, number: int) -> DeskOrder:
    return DeskOrder.objects.of(project).with_refunded().get(number=number)


def test_look_ups_tell_what_is_there(project: Project, django_assert_num_queries: Any) -> None:
    call = make_call(project)
    with django_assert_num_queries(1):
        found = execute("get_order", {"order_id": 1001}, call)
    assert (found["customer_id"], found["total_usd"], found["state"]) == ("C-501", "41.80", "delivered")
    assert "invented" in found["note"]
    with django_assert_num_queries(2):
        orders = execute("list_orders", {"customer_id": "C-502"}, call)["orders"]
    assert [one["order_id"] for one in orders] == [1005, 1004, 1003]
    assert execute("get_customer", {"customer_id": "C-503"}, call)["email"] == "tomas.weber@example.com"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_order", {"order_id": 1001}),
        ("get_customer", {"customer_id": "C-501"}),
        ("list_orders", {"customer_id": "C-501"}),
        ("update_order", MOVE),
        ("issue_refund", REFUND),
    ],
)
def test_another_project_has_no_such_thing(
    tool: str, arguments: dict[str, Any], project: Project, sandbox: Running
) -> None:
    foreign = make_project()
    with pytest.raises(ToolError, match="there is no"):
        execute(tool, arguments, make_call(foreign))
    assert tools_of("support-desk")[tool].preview(arguments, make_call(foreign)).facts == {}
    assert sandbox.effects("payments", make_call(foreign).key)["count"] == 0


def test_a_change_is_put_back(project: Project) -> None:
    tool, call = tools_of("support-desk")["update_order"], make_call(project)
    remembered = tool.remember(MOVE, call)
    assert tool.execute(MOVE, call)["changed"] == {"shipping_address": "Pier 4"}
    assert order(project, 1003).shipping_address == "Pier 4"
    for _ in range(2):
        tool.compensate(MOVE, remembered, call)
        assert order(project, 1003).shipping_address == "Pier 1"


def test_a_change_that_never_happened_is_put_back_without_harm(project: Project) -> None:
    tool, call = tools_of("support-desk")["update_order"], make_call(project)
    assert tool.compensate(MOVE, tool.remember(MOVE, call), call)["put_back"] == []
    assert tool.compensate({**MOVE, "order_id": 9999}, tool.remember({**MOVE, "order_id": 9999}, call), call)
    assert order(project, 1003).shipping_address == "Pier 1"


def test_what_somebody_changed_since_is_left_alone(project: Project) -> None:
    tool, call = tools_of("support-desk")["update_order"], make_call(project)
    arguments = {**MOVE, "note": "Moved."}
    remembered = tool.remember(arguments, call)
    tool.execute(arguments, call)
    DeskOrder.objects.of(project).filter(number=1003).update(shipping_address="Pier 9")
    assert tool.compensate(arguments, remembered, call)["put_back"] == ["note"]
    assert order(project, 1003).shipping_address == "Pier 9"
    assert "Pier 1" in tool.manual_steps(arguments, remembered)


@pytest.mark.parametrize("number", [1001, 1005])
def test_an_order_that_has_left_the_house_takes_a_note_and_nothing_else(number: int, project: Project) -> None:
    call = make_call(project)
    with pytest.raises(ToolError, match="can be changed no more"):
        execute("update_order", {"order_id": number, "state": "cancelled"}, call)
    execute("update_order", {"order_id": number, "note": "Called."}, call)
    assert order(project, number).note == "Called."


def test_a_change_goes_with_the_transaction_it_is_made_in(project: Project) -> None:
    with transaction.atomic():
        execute("update_order", MOVE, make_call(project))
        transaction.set_rollback(True)
    assert order(project, 1003).shipping_address == "Pier 1"


def test_a_refund_is_paid_once_for_each_key(project: Project, sandbox: Running) -> None:
    call = make_call(project)
    first = execute("issue_refund", REFUND, call)
    assert execute("issue_refund", REFUND, make_call(project, attempt=2)) == first
    assert sandbox.effects("payments", call.key)["count"] == 1
    assert order(project, 1001).refunded == Decimal("41.80")


def test_a_crash_after_the_payment_is_made_good_by_the_next_attempt(project: Project, sandbox: Running) -> None:
    call = make_call(project)
    first = execute("issue_refund", REFUND, call)
    DeskRefund.objects.of(project).delete()  # as if it had died before it wrote this down
    assert execute("issue_refund", REFUND, make_call(project, attempt=2)) == first
    assert (sandbox.effects("payments", call.key)["count"], DeskRefund.objects.of(project).count()) == (1, 1)


def test_order_1001_can_be_refunded_by_run_after_run(project: Project, sandbox: Running) -> None:
    for n in range(3):
        execute("issue_refund", REFUND, make_call(project, key=f"{project.pk}-run-{n}"))
    assert order(project, 1001).refunded == Decimal("125.40")


def test_other_orders_are_paid_back_once(project: Project, sandbox: Running) -> None:
    arguments = {**REFUND, "order_id": 1006, "amount_usd": 4000}
    execute("issue_refund", arguments, make_call(project))
    second = make_call(project, key=f"{project.pk}-2-0")
    assert "would fail" in tools_of("support-desk")["issue_refund"].preview(arguments, second).consequences[-1]
    with pytest.raises(ToolError, match=r"180\.00 USD that are left"):
        execute("issue_refund", arguments, second)
    assert sandbox.effects("payments", second.key)["count"] == 0


@pytest.mark.parametrize("amount", [0.001, 1e-9, 41.801, float("nan")])
def test_what_is_no_money_is_not_paid(amount: float, project: Project, sandbox: Running) -> None:
    arguments = {**REFUND, "amount_usd": amount}
    with pytest.raises(ToolError, match="no amount"):
        execute("issue_refund", arguments, make_call(project))
    assert (
        "would fail" in tools_of("support-desk")["issue_refund"].preview(arguments, make_call(project)).consequences[0]
    )
    assert sandbox.effects("payments", make_call(project).key)["requests"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset", "when": "before"},
        {"kind": "reset", "when": "after"},
        {"kind": "error", "when": "after"},
        {"kind": "slow", "when": "before", "delay_s": 1.5},
        {"kind": "slow", "when": "after", "delay_s": 1.5},
    ],
    ids=str,
)
def test_nobody_claims_to_know_what_became_of_a_call_without_an_answer(
    fault: dict[str, Any], project: Project, sandbox: Running
) -> None:
    call = make_call(project, timeout_s=0.5)
    sandbox.faults("payments", fault)
    sandbox.faults("mail", fault)
    with pytest.raises(OutcomeUnknownError):
        execute("issue_refund", REFUND, call)
    with pytest.raises(OutcomeUnknownError):
        execute("send_email", MAIL, call)
    assert not DeskRefund.objects.of(project).exists()
    again = make_call(project, attempt=2)
    execute("issue_refund", REFUND, again)
    assert sandbox.effects("payments", call.key)["count"] == 1


def test_what_was_never_sent_is_known_not_to_have_happened(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("AGENTOPS_SANDBOX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    for tool, arguments in (("issue_refund", REFUND), ("send_email", MAIL)):
        with pytest.raises(ToolError, match="was not asked"):
            execute(tool, arguments, make_call(project))
    monkeypatch.delenv("AGENTOPS_SANDBOX_URL")
    with pytest.raises(ToolError, match="AGENTOPS_SANDBOX_URL is not set"):
        execute("send_email", MAIL, make_call(project))


def test_an_email_is_sent_as_often_as_it_is_asked_for(project: Project, sandbox: Running) -> None:
    before = sandbox.effects("mail")["count"]
    sent = [execute("send_email", MAIL, make_call(project))["message_id"] for _ in range(2)]
    assert len(set(sent)) == 2
    found = sandbox.effects("mail")
    assert found["count"] == before + 2
    assert found["effects"][0]["subject"] == "Your order"


def test_a_preview_says_how_much_to_whom_and_that_it_cannot_be_undone(project: Project) -> None:
    seen = tools_of("support-desk")["issue_refund"].preview({**REFUND, "amount_usd": 20.9}, make_call(project))
    assert seen.title == "Refund $20.90"
    assert "Nora Lind (demo)" in seen.target
    assert seen.facts["Share of the order"] == "50 % of $41.80"
    assert any("cannot be undone" in one for one in seen.consequences)
    assert not seen.undo
    changed = tools_of("support-desk")["update_order"].preview(MOVE, make_call(project))
    assert changed.facts == {"Shipping address": "Pier 1 → Pier 4"}
    assert changed.undo


def test_tools_reach_the_sandbox_and_nothing_else_whatever_their_arguments_say(
    project: Project, sandbox: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = []
    connect = socket.socket.connect

    def note(line: socket.socket, address: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            reached.append(address)
        connect(line, address)

    with Receiver() as own:
        monkeypatch.setenv("AGENTOPS_PUBLIC_URL", own.url.removesuffix("/hook"))
        monkeypatch.setattr(socket.socket, "connect", note)
        text = f"{own.url}/api/v1/approvals Host: {own.url}\r\n\r\nPOST {own.url}"
        call = make_call(project, key=f"{project.pk}-1-1")
        execute("issue_refund", {**REFUND, "reason": text}, call)
        execute("send_email", {"to": f"a@127.0.0.1:{own.port}", "subject": text, "text": text}, call)
        execute("update_order", {"order_id": 1003, "note": text}, call)
        assert own.connections == 0
    host, port = sandbox.door.getsockname()
    assert set(reached) == {(host, port)}


def test_tools_cannot_be_pointed_at_this_installation() -> None:
    own = {"AGENTOPS_PUBLIC_URL": "http://127.0.0.1:8000", "AGENTOPS_SANDBOX_URL": "http://127.0.0.1:8000"}
    with pytest.raises(SettingsError, match="tools would call this installation"):
        read_env(own)
    named = read_env({**own, "AGENTOPS_SANDBOX_URL": "http://127.0.0.1:8100"})
    assert ("127.0.0.1", 8100) in named.own_origins  # so nothing that a person typed leads there


def test_filling_again_changes_nothing_and_brings_back_no_policy(project: Project) -> None:
    add_policies(project)
    assert dict(Policy.objects.of(project).values_list("tool_pattern", "tier")) == {
        "get_order": "low",
        "get_customer": "low",
        "list_orders": "low",
        "update_order": "medium",
        "issue_refund": "high",
        "send_email": "high",
    }
    save_policy(project, by=None, name="Refund money", tool_pattern="issue_refund", tier="high", mode="deny")
    Policy.objects.of(project).filter(tool_pattern="send_email").update(deleted_at="2026-01-01T00:00:00Z")
    DeskOrder.objects.of(project).filter(number=1003).update(shipping_address="Elsewhere")
    DeskOrder.objects.of(project).filter(number=1004).delete()
    untouched = make_project()
    fill_sandboxes()
    assert Policy.objects.of(project).kept().get(tool_pattern="issue_refund").mode == "deny"
    assert not Policy.objects.of(project).kept().filter(tool_pattern="send_email").exists()
    assert order(project, 1003).shipping_address == "Elsewhere"
    assert order(project, 1004).items == "6 umbrellas"
    assert not DeskCustomer.objects.of(untouched).exists()
