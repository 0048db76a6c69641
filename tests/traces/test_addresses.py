"""Addresses that nobody meant to send: each finds what it names, or is refused in order."""

from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Project, Role
from agentops.web.keyset import encode_cursor
from tests.builders import bearer, make_key, make_membership, make_project
from tests.traces.builders import send, step

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def get(project: Project) -> Any:
    client, headers = Client(raise_request_exception=False), bearer(make_key(project).token)
    return lambda path, **query: client.get(f"/api/v1/{path}", query, headers=headers)


@pytest.fixture
def page(project: Project) -> Any:
    client = Client(raise_request_exception=False)
    client.force_login(make_membership(project, Role.VIEWER).user)
    return client.get


@pytest.mark.parametrize("path", ["traces/%00", "traces/t-1/steps/%00", "traces/t-1/steps/a%00b", "sessions/%00"])
def test_an_address_with_nul_leads_nowhere(project: Project, get: Any, path: str) -> None:
    send(project, step(1))
    assert get(path).status_code == 404


def test_a_page_asked_for_a_step_with_nul_says_that_nothing_is_there(project: Project, page: Any) -> None:
    send(project, step(1))
    assert page("/traces/t-1?step=%00").status_code == 404


@pytest.mark.parametrize("place", [-1, 2**31, 10**19, 10**30, "x", "9" * 5_000], ids=lambda place: str(place)[:12])
def test_a_place_that_no_trace_has_is_no_cursor(project: Project, get: Any, place: int | str) -> None:
    send(project, step(1))
    answer = get("traces/t-1/steps", after=encode_cursor([str(place)]))
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "/after", "detail": "The cursor is not one of this list."}]
