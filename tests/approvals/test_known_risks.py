"""What policies say of a tool's risk is known to detectors, which see no policy."""

import pytest

from approvals.services import delete_policy
from tests.approvals.builders import make_approver, make_policy
from tests.builders import make_project
from traces.risks import KnownRisks

pytestmark = pytest.mark.django_db


def test_a_policy_sets_the_known_risk_of_the_tools_that_it_catches():
    project = make_project()
    make_policy(project, "*_order", "low")
    make_policy(project, "cancel_*", "high")
    make_policy(project, "get_order", "medium")
    risks = KnownRisks(project.pk)
    assert [risks.of(name) for name in ("get_order", "list_order", "cancel_order", "cancel_all", "refund")] == [
        "medium",
        "low",
        "high",
        "high",
        None,
    ]


def test_it_follows_what_the_policy_says_and_goes_with_it():
    project = make_project()
    make_policy(project, "refund", "high")
    policy = make_policy(project, "refund", "medium")
    assert KnownRisks(project.pk).of("refund") == "medium"
    delete_policy(policy, by=make_approver(project).user)
    assert KnownRisks(project.pk).of("refund") is None


def test_the_risks_of_a_project_are_read_once_when_a_tool_asks(django_assert_num_queries):
    project = make_project()
    make_policy(make_project(), "refund", "low")
    with django_assert_num_queries(1):
        risks = KnownRisks(project.pk)
        assert risks.of("refund") is risks.of("cancel") is None
