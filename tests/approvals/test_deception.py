"""Text that tries to deceive who decides: markup, hidden characters, letters of another script, padding."""

import pytest
from django.test import Client

from agentops.accounts.models import Membership
from approvals import services
from approvals.models import Approval
from tests.approvals.builders import decide, fresh, propose
from tests.approvals.form import send, words_of

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>{{7*7}} https://evil.example \u202egnp.exe \u001b[31mred <form id=edit>"


def test_hostile_text_is_text_wherever_it_stands(client: Client, member: Membership, other: Membership) -> None:
    preview = dict.fromkeys(("title", "target", "undo"), HOSTILE)
    preview |= {"facts": {HOSTILE: HOSTILE}, "consequences": [HOSTILE]}  # type: ignore[dict-item]
    tool = services.ToolFacts(definition_hash="", preview=preview)
    said = {"tool_name": HOSTILE, "agent": HOSTILE, "reason": HOSTILE, "arguments": {HOSTILE: {HOSTILE: [HOSTILE]}}}
    decide(propose(member.project, **said, tool=tool), member, "reject", comment=HOSTILE)
    approval = propose(member.project, **said, tool=tool)
    paths = [approval.get_absolute_url(), f"{approval.get_absolute_url()}?edit=1", "/approvals"]
    paths += ["/approvals?tab=decided", Approval.objects.earliest("id").get_absolute_url()]
    for path in paths:
        content = words_of(client.get(path))
        body = content.partition("<main")[2]
        assert "<script>alert" not in content
        assert "49 " not in body
        assert 'href="https://evil' not in content
        assert "<form id=edit>" not in content
        assert "\u202e" not in body
        assert "\u001b" not in body
        assert "U+202E" in body


def test_what_is_hidden_has_to_be_typed_and_the_server_insists(client: Client, member: Membership) -> None:
    """A target with a character that nobody sees is approved only by who saw it; the bytes are compared."""
    approval = propose(member.project, tool_name="drop", arguments={"target": "prod\u200b-db"})
    content = words_of(client.get(approval.get_absolute_url()))
    assert "Something in this action is not what it looks like" in content
    assert "To approve, type <code>prodU+200B-db</code>" in content
    for typed in ("", "prod-db", "prod\u200b-db"):
        answer = send(client, approval, typed=typed)
        assert (answer.status_code, fresh(approval).status) == (400, "pending")
        assert "type it as prodU+200B-db" in words_of(answer)
    assert send(client, approval, typed=" prodU+200B-db ").status_code == 302
    assert fresh(approval).action.parsed_arguments == {"target": "prod\u200b-db"}


def test_rejecting_what_hides_something_needs_no_typing(client: Client, member: Membership) -> None:
    approval = propose(member.project, arguments={"target": "prod\u200b-db"})
    assert send(client, approval, "reject").status_code == 302


def test_a_name_with_letters_of_another_script_is_marked_and_typed_by_number(
    client: Client, member: Membership
) -> None:
    approval = propose(member.project, tool_name="d\u0435lete_file")
    assert "dU+0435lete_file" in words_of(client.get(approval.get_absolute_url()))
    assert send(client, approval, typed="delete_file").status_code == 400
    assert send(client, approval, typed="dU+0435lete_file").status_code == 302


def test_hidden_characters_in_long_prose_are_marked_and_not_typed(client: Client, member: Membership) -> None:
    text = "Dear customer, \U0001f44d\ufe0f all is well. " * 20
    approval = propose(member.project, arguments={"text": text})
    content = words_of(client.get(approval.get_absolute_url()))
    assert "Something in this action is not what it looks like" in content
    assert 'name="typed"' not in content
    assert send(client, approval).status_code == 302


def test_nothing_of_the_arguments_is_left_out(client: Client, member: Membership) -> None:
    arguments = {f"argument_{n}": "x" * 240 + f" end {n}" for n in range(100)}
    content = words_of(client.get(propose(member.project, arguments=arguments).get_absolute_url()))
    assert all(f"end {n}" in content for n in range(100))
