"""What is forgotten in time, and how errors of the API are written."""

import json
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.utils import timezone
from rest_framework.exceptions import Throttled, ValidationError

from agentops.accounts.housekeeping import forget_expired
from agentops.accounts.links import make_link
from agentops.accounts.models import LinkPurpose, SignInLink
from agentops.accounts.services import create_project
from agentops.jobs.registry import chores
from agentops.web.problems import exception_handler
from tests.builders import make_membership, make_user, signed_in


@pytest.mark.django_db
def test_only_what_has_expired_is_forgotten():
    client, old = signed_in(make_membership()), make_user()
    for age in (timedelta(days=31), timedelta(days=1), timedelta(days=-1)):
        make_link(old, purpose=LinkPurpose.SIGN_IN, lifetime=-age)
    Session.objects.create(session_key="old", expire_date=timezone.now() - timedelta(minutes=1))
    cache.set("old", 1, 0.001)
    cache.set("new", 1, 60)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_cache SET expires = now() - interval '1 hour' WHERE cache_key LIKE '%old%'")
        forget_expired()
        cursor.execute("SELECT count(*) FROM accounts_cache")
        assert cursor.fetchone() == (1,)
    assert SignInLink.objects.count() == 2
    assert client.get("/accounts/profile").status_code == 200
    assert not Session.objects.filter(session_key="old").exists()


def test_the_clock_forgets_and_exports_by_itself():
    assert {"agentops.console.tasks.export_audit_heads", "agentops.console.tasks.forget_what_expired"} <= set(chores)


def test_faults_of_a_request_are_listed_with_pointers():
    raised = ValidationError({"steps": [{}, {"a/b": ["wrong"]}], "limit": ["too big", "too odd"]})
    answer = exception_handler(raised, {})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(answer.content)["errors"] == [
        {"pointer": "/steps/1/a~1b", "detail": "wrong"},
        {"pointer": "/limit", "detail": "too big"},
        {"pointer": "/limit", "detail": "too odd"},
    ]


def test_who_asks_too_often_is_told_when_to_come_back():
    assert exception_handler(Throttled(wait=3.2), {})["Retry-After"] == "4"


def test_what_nobody_foresaw_is_not_dressed_up():
    assert exception_handler(RuntimeError(), {}) is None


@pytest.mark.django_db
def test_who_makes_a_project_is_its_first_admin():
    ada = make_user()
    project = create_project(slug="new", name="New", by=ada)
    assert project.memberships.get().role == "admin"
