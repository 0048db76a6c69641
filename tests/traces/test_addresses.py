"""Addresses that nobody meant to send: each finds what it names, or is refused in order."""

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from agentops.accounts.models import Project, Role
from agentops.web.keyset import encode_cursor
from tests.builders import bearer, make_key, make_membership, make_project
from tests.traces.builders import send, step
from traces.models import Trace

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


@pytest.mark.parametrize("span_id", ["a\nb", "a/steps", "a/steps/b", "steps", "export", "a/export", "50%", "?#", "é"])
def test_a_step_is_found_whatever_its_id(project: Project, get: Any, page: Any, span_id: str) -> None:
    send(project, step(1, span_id=span_id))
    trace_id = Trace.objects.get().id_hex
    assert get(f"traces/{trace_id}/steps/{quote(span_id)}").json()["span_id"] == span_id
    answer = page(f"/traces/{trace_id}", {"step": span_id})
    assert answer.status_code == 200
    assert f"/api/v1/traces/{trace_id}/steps/{quote(span_id)}" in answer.content.decode()


@pytest.mark.parametrize("name", ["a/b", "a\nb", "runs/7/steps/1", "x/steps", "x/export", "é ?"])
def test_a_trace_is_found_whatever_its_sender_calls_it(project: Project, get: Any, page: Any, name: str) -> None:
    send(project, step(1, trace=name, span_id="s"))
    trace_id = Trace.objects.get().id_hex
    assert page(f"/traces/{quote(name)}").status_code == 200
    for below in ("", "/steps", "/steps/s", "/export"):
        assert get(f"traces/{trace_id}{below}").status_code == 200
    if "steps" not in name and "export" not in name:
        assert get(f"traces/{quote(name)}").json()["external_trace_id"] == name


def test_a_session_is_found_whatever_its_sender_calls_it(project: Project, get: Any) -> None:
    send(project, step(1, session_id="a/b\nc"))
    assert get("sessions/a/b%0Ac").json()["session_id"] == "a/b\nc"


def test_a_search_of_more_words_than_anybody_types_is_refused(get: Any) -> None:
    assert get("traces", q="x" * 201).status_code == 400
