"""A project's own rules: what may be one, who may add it, what it takes out, and that it can cost little."""

import json
import time

import pytest
from django.urls import reverse

from agentops.accounts.models import Membership
from agentops.audit.models import Entry
from agentops.redaction.models import RedactionRule
from agentops.redaction.redactor import Redactor
from agentops.redaction.rules import MOST, Budget, PatternError, Rules, check
from agentops.redaction.services import TooManyRulesError, add_rule, forget, remove_rule
from tests.builders import make_membership, signed_in
from tests.traces.builders import send, step
from traces.models import IngestBatch, Span, Trace

RULES = reverse("redaction:rules")
EMPLOYEE = {"name": "employee_id", "pattern": r"\bEMP-\d{6}\b"}


def with_rules(*rules: tuple[str, str]) -> Redactor:
    return Redactor(b"key", Rules(rules))


@pytest.fixture
def admin() -> Membership:
    return make_membership()


def add(admin: Membership, name: str, pattern: str) -> RedactionRule:
    rule = add_rule(admin.project, name=name, pattern=pattern, by=admin.user)
    forget(admin.project_id)  # as on commit
    return rule


def test_a_rule_takes_out_what_it_matches_in_texts_keys_and_numbers() -> None:
    redactor = with_rules(("card", r"\b\d{4}[ -]?\d{4}\b"), ("host", r"\w+\.corp\.example"))
    value = {"n": 12345678, "db.corp.example": ["1234-5678", {"x": json.dumps({"y": "1234 5678"})}], "ok": True, "k": 7}
    new = redactor.value(value)
    assert not any(part in json.dumps(new) for part in ("12345678", "1234-5678", "1234 5678", "corp.example"))
    assert (new["ok"], new["k"], redactor.found) == (True, 7, {"card": 3, "host": 1})


def test_rules_leave_marks_alone_and_redacting_again_changes_nothing() -> None:
    rules = Rules([("word", r"[a-z]+"), ("digits", r"\d+")])
    once = Redactor(b"key", rules).text("call 555 with password=hunter2")
    assert "[redacted:password:" in once
    assert Redactor(b"key", rules).text(once) == once


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(a", "missing"),
        (r"(?<=x)y", "Look-arounds"),
        (r"(a)\1", "back-references"),
        (r"\d*", "empty text"),
        (r"\b", "empty text"),
        (r"(?:\pL{1,200}){5}", "RE2 cannot read it"),
        (r"(?:[a-z]{1,30} ?){1,30}=\d", "too large"),
        ("a" * 301, "300 characters"),
    ],
)
def test_a_pattern_that_cannot_be_a_rule_is_refused_with_what_would_be_right(pattern: str, says: str) -> None:
    with pytest.raises(PatternError, match=says):
        check(pattern)


@pytest.mark.parametrize(
    "pattern", [r"(a+)+$", r"(\w+\s?)*!", r"(?:.*a){20}b", r"[ab]*a[ab]{12}c", r"(?:a?){50}a{50}b"]
)
def test_a_pattern_that_is_catastrophic_elsewhere_costs_linear_time(pattern: str) -> None:
    check(pattern)

    def cpu_s(length: int) -> float:
        began = time.thread_time()
        with_rules(("rule", pattern)).text("a" * length + "!b")
        return time.thread_time() - began

    cpu_s(50_000)
    assert min(cpu_s(200_000) for _ in range(3)) < 10 * min(cpu_s(50_000) for _ in range(3)) + 0.005


def test_what_could_not_be_looked_at_within_the_budget_is_withheld() -> None:
    rules, redactor = Rules([("digits", r"\d+")]), Redactor(b"key")
    assert Budget(0.0).spend(rules, "no digit at all", redactor.mark).startswith("[redacted:over_budget:")


@pytest.mark.django_db
def test_rules_of_a_project_hold_for_what_it_receives_and_for_nobody_else(admin: Membership) -> None:
    add(admin, **EMPLOYEE)
    other = make_membership()
    sent = step(
        1, span_id="EMP-123456", text="ask EMP-123456", tool_input={"id": ["EMP-123456"]}, trace_name="EMP-123456"
    )
    for member in (admin, other):
        assert send(member.project, sent).accepted == 1
    assert send(admin.project, sent).duplicates == 1
    ours, theirs = (Span.objects.of(member.project).get() for member in (admin, other))
    assert "EMP-123456" not in f"{ours.text} {ours.input} {ours.input_preview} {ours.attributes}"
    assert "EMP-123456" not in Trace.objects.of(admin.project).get().name
    assert (ours.span_id, ours.revised) == ("EMP-123456", False)  # what rules take for equal, ids keep apart
    assert theirs.text == "ask EMP-123456"
    assert IngestBatch.objects.of(admin.project).latest("id").redacted == {"employee_id": 1}


@pytest.mark.django_db
def test_an_admin_tries_a_rule_adds_it_and_removes_it(admin: Membership) -> None:
    browser = signed_in(admin)
    tried = browser.post(RULES, {**EMPLOYEE, "sample": "it was EMP-123456", "try": "1"}).content.decode()
    assert "it was [redacted:employee_id:" in tried
    assert not RedactionRule.objects.exists()
    assert browser.post(RULES, EMPLOYEE).status_code == 302
    assert r"\bEMP-\d{6}\b" in browser.get(RULES).content.decode()
    rule = RedactionRule.objects.get()
    remove = reverse("redaction:rule_remove", args=[rule.pk])
    assert "employee_id" in browser.get(remove).content.decode()
    assert browser.post(remove).status_code == 302
    assert not RedactionRule.objects.exists()
    actions = Entry.objects.of(admin.project).filter(action__startswith="redaction_rule.").order_by("seq")
    assert [(entry.action, entry.target_name) for entry in actions] == [
        ("redaction_rule.added", "employee_id"),
        ("redaction_rule.removed", "employee_id"),
    ]


@pytest.mark.django_db
def test_a_wrong_form_says_what_would_be_right(admin: Membership) -> None:
    browser = signed_in(admin)
    add(admin, **EMPLOYEE)
    for sent, says in [
        ({**EMPLOYEE}, "Another rule has this name."),
        ({**EMPLOYEE, "name": "Employee Id"}, "Use small letters"),
        ({**EMPLOYEE, "name": "other", "pattern": "(?<=a)b"}, "RE2 cannot read it"),
        ({}, "This field is required."),
    ]:
        answer = browser.post(RULES, sent)
        assert answer.status_code == 422
        assert says in answer.content.decode()
    RedactionRule.objects.bulk_create(
        RedactionRule(project=admin.project, name=f"r{n}", pattern="x") for n in range(MOST - 1)
    )
    assert "at most 20 rules" in browser.post(RULES, {"name": "one_more", "pattern": "y"}).content.decode()
    with pytest.raises(TooManyRulesError):
        add(admin, "one_more", "y")


@pytest.mark.django_db
def test_a_rule_that_was_removed_holds_no_more(admin: Membership) -> None:
    remove_rule(add(admin, **EMPLOYEE), by=admin.user)
    forget(admin.project_id)
    send(admin.project, step(1, text="ask EMP-123456"))
    assert Span.objects.get().text == "ask EMP-123456"
