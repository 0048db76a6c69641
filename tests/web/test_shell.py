"""The shell of the pages: navigation, theme, errors in words, parts for htmx."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django_htmx.middleware import HtmxDetails

from agentops.accounts.models import Role
from agentops.web import navigation
from agentops.web.errors import problem_page, server_error
from agentops.web.pages import is_part_wanted
from tests.builders import bearer, make_key, make_membership, signed_in

pytestmark = pytest.mark.django_db


def names(client: Client, url: str = "/traces") -> str:
    return client.get(url).content.decode()


@pytest.mark.parametrize(("role", "sees"), [(Role.ADMIN, True), (Role.VIEWER, False), (Role.APPROVER, False)])
def test_rooms_that_would_refuse_somebody_are_not_offered(role: str, sees: bool) -> None:
    html = names(signed_in(make_membership(role=role)))
    assert ("Members and keys" in html) == sees
    assert ">Traces</span>" in html


def test_rooms_that_are_not_built_are_left_out() -> None:
    request = RequestFactory().get("/traces/abc")
    found = navigation.entries(request)
    assert {entry.item.name for entry in found} >= {"Overview", "Traces", "Sessions"}
    assert [entry.item.name for entry in found if entry.is_here] == ["Traces"]


@pytest.mark.parametrize("page", ["members", "keys", "keys/create"])
def test_a_room_of_several_pages_is_marked_on_each_of_them(page: str) -> None:
    request = RequestFactory().get(f"/settings/{page}")
    request.membership = make_membership(role=Role.ADMIN)  # type: ignore[attr-defined]
    assert [entry.item.name for entry in navigation.entries(request) if entry.is_here] == ["Members and keys"]


def test_a_room_may_count_what_waits_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(navigation.counters, "traces:list", lambda request: (1_234, "waiting", "wait"))
    html = names(signed_in(make_membership()))
    assert "1,234" in html
    assert "#mark-waiting" in html


def test_the_phone_has_three_places_and_more() -> None:
    found = navigation.entries(RequestFactory().get("/"))
    assert len(navigation.phone_entries(found)) == navigation.PHONE_PLACES


def test_the_theme_is_remembered_and_only_a_theme() -> None:
    client = signed_in(make_membership())
    response = client.post("/theme", {"theme": "dark", "next": "/traces?status=ok"})
    assert response["Location"] == "/traces?status=ok"
    assert client.cookies["theme"]["samesite"] == "Lax"
    assert '<html lang="en" data-theme="dark">' in names(client)
    client.post("/theme", {"theme": ""})
    assert '<html lang="en">' in names(client)
    client.cookies["theme"] = 'x"><script>'
    assert '<html lang="en">' in names(client)


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "\\\\evil.example", "javascript:alert(1)"]
)
def test_the_theme_form_leads_nowhere_else(target: str) -> None:
    response = signed_in(make_membership()).post("/theme", {"theme": "dark", "next": target})
    assert response["Location"] == "/"


def test_an_address_that_leads_nowhere_says_so_in_words() -> None:
    response = signed_in(make_membership()).get("/nothing-here")
    assert response.status_code == 404
    assert "Nothing is here" in response.content.decode()


def test_a_refusal_says_who_may() -> None:
    response = signed_in(make_membership(role=Role.VIEWER)).get("/settings/members")
    assert response.status_code == 403
    assert "This needs the role admin in this project." in response.content.decode()


def test_a_form_without_its_token_is_explained() -> None:
    client = signed_in(make_membership(), Client(enforce_csrf_checks=True))
    response = client.post("/theme", {"theme": "dark"})
    assert response.status_code == 403
    assert "Open the page again" in response.content.decode()


@pytest.fixture
def no_database(django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    with django_db_blocker.block():
        yield


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_page_needs_no_database(status: int, no_database: None) -> None:
    response = problem_page(RequestFactory().get("/"), status)
    assert response.status_code == status
    assert "<h1>" in response.content.decode()


@pytest.mark.parametrize("where", ["agentops.accounts.middleware.Membership.objects", "traces.views.queries.traces"])
def test_a_page_that_finds_no_database_says_so_and_when_to_come_back(where: str) -> None:
    client = signed_in(make_membership())
    with patch(where, side_effect=OperationalError("gone")) as away:
        away.filter.side_effect = OperationalError("gone")
        page = client.get("/traces")
    assert (page.status_code, page["Retry-After"]) == (503, "2")
    assert "The database does not answer" in page.content.decode()


def test_a_program_that_finds_no_database_is_told_so_and_when_to_come_back() -> None:
    key = make_key()
    with patch("traces.api.read.queries.traces", side_effect=OperationalError("gone")):
        said = Client().get("/api/v1/traces", headers=bearer(key.token))
    assert (said.status_code, said["Retry-After"], said["Content-Type"]) == (503, "2", "application/problem+json")


def test_programs_get_a_problem_document() -> None:
    response = server_error(RequestFactory().get("/api/v1/traces"))
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, False),
        ({"HX-Request": "true"}, True),
        ({"HX-Request": "true", "HX-History-Restore-Request": "true"}, False),
    ],
)
def test_a_page_restored_from_history_is_whole(headers: dict[str, str], wanted: bool) -> None:
    request: HttpRequest = RequestFactory().get("/", headers=headers)
    assert not is_part_wanted(request)  # before the middleware there is nothing to ask
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    assert is_part_wanted(request) == wanted


def test_lists_say_that_they_differ_for_htmx() -> None:
    assert "HX-Request" in signed_in(make_membership()).get("/traces")["Vary"]


@pytest.mark.parametrize("path", ["/accounts/login/", "/api/v1/traces"])
def test_a_name_that_is_not_ours_is_answered_with_the_setting_that_makes_it_ours(path: str) -> None:
    answer = Client(headers={"host": "10.0.0.1"}).get(path)
    assert answer.status_code == 400
    assert b"AGENTOPS_PUBLIC_URL" in answer.content
