"""Every route, for every role and key, with own and foreign objects: a new route without a row in the matrix fails."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection, transaction
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agentops.accounts.models import Project, Role, Scope
from agentops.web.problems import MACHINE_PATHS
from tests.builders import bearer, make_key, make_membership, make_project, signed_in
from tests.routes.discover import addresses, fill
from tests.routes.matrix import MATRIX
from tests.routes.route import Door, Route

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WHO = ["anonymous", *(f"role:{role}" for role in Role), *(f"key:{scope}" for scope in Scope)]
ROUTES = pytest.mark.parametrize(("address", "route"), MATRIX.items(), ids=MATRIX)
pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("own")


@pytest.fixture(autouse=True)
def _unlimited(settings):
    settings.ACCOUNT_RATE_LIMITS = False


def caller(who: str, project: Project, **options: Any) -> Client:
    kind, _, name = who.partition(":")
    if kind == "key":
        return Client(headers=bearer(make_key(project, name).token), **options)
    client = Client(**options)
    return signed_in(make_membership(project, name), client) if kind == "role" else client


def who_may(route: Route, method: str) -> str:
    return next(who for who in WHO[1:] if route.outcome(who, method) == route.ok[method])


def call(client: Client, method: str, address: str, url: str, data: Mapping[str, Any]) -> HttpResponseBase:
    if method == "GET":
        response = client.get(url)
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            response.getvalue()  # it holds one of a few places until it is read
        return response
    content = {"content_type": "application/json"} if address.startswith(MACHINE_PATHS) else {}
    return getattr(client, method.lower())(url, data, **content) if method == "POST" else client.generic(method, url)


def status(response: HttpResponseBase) -> int | str:
    is_login = response.status_code == 302 and response["Location"].startswith("/accounts/login/")
    return "login" if is_login else response.status_code


def test_every_route_has_a_row_and_every_row_a_route():
    assert set(addresses()) == set(MATRIX)


def test_strangers_are_answered_by_these_routes_only():
    public = {address for address, route in MATRIX.items() if route.door is Door.PUBLIC}
    sign_in = {"/accounts/login/", "/accounts/logout/", "/accounts/link/<str:token>/"}
    assert public == sign_in | ({"/livez", "/readyz"} & set(MATRIX))


@ROUTES
def test_each_role_and_each_key_gets_exactly_what_the_matrix_says(address, route, project):
    make_membership(project)  # so that nobody below is the last admin
    wrong = {}
    for who in WHO:
        for method in route.ok:
            with transaction.atomic():
                url = fill(address, route.objects(project) if route.objects else {})
                got = status(call(caller(who, project), method, address, url, route.body(project)))
                transaction.set_rollback(True)
            if got != route.outcome(who, method):
                wrong[who, method] = f"{got}, not {route.outcome(who, method)}"
    assert not wrong


@ROUTES
def test_what_belongs_to_another_project_was_never_there(address, route, project):
    is_unbuilt = HTTPStatus.NOT_IMPLEMENTED in route.ok.values()
    if route.objects is None or route.door is Door.PUBLIC or is_unbuilt:
        return
    foreign = make_project("foreign")
    make_membership(foreign)
    for method in route.ok:
        client = caller(who_may(route, method), project)
        theirs = route.objects(foreign)
        nothing = route.never_existed(theirs)
        answers = [
            call(client, method, address, fill(address, objects), route.body(project)) for objects in (theirs, nothing)
        ]
        assert [answer.status_code for answer in answers[route.is_shared :]] == [404] * (2 - route.is_shared)
        assert route.is_shared or bare(answers[0], theirs) == bare(answers[1], nothing)


@ROUTES
def test_other_methods_are_refused(address, route, project):
    who = who_may(route, next(iter(route.ok)))
    client = caller(who, project)
    url = fill(address, route.objects(project) if route.objects else {})
    other = {method: status(call(client, method, address, url, {})) for method in METHODS if method not in route.ok}
    assert other == dict.fromkeys(other, 405)


@ROUTES
def test_reading_changes_nothing(address, route, project):
    if "GET" not in route.ok:
        return
    client = caller(who_may(route, "GET"), project)
    url = fill(address, route.objects(project) if route.objects else {})
    call(client, "GET", address, url, {})
    with CaptureQueriesContext(connection) as queries:
        call(client, "GET", address, url, {})
    assert not [q["sql"] for q in queries if re.match(r"\s*(INSERT|UPDATE|DELETE)", q["sql"])]


@ROUTES
def test_a_session_changes_nothing_without_its_csrf_token(address, route, project):
    if route.door is Door.KEY or set(route.ok) == {"GET"}:
        return
    client = caller(f"role:{Role.ADMIN}", project, enforce_csrf_checks=True)
    url = fill(address, route.objects(project) if route.objects else {})
    for method in set(route.ok) - {"GET"}:
        assert call(client, method, address, url, route.body(project)).status_code == 403


def bare(response: HttpResponseBase, objects: Mapping[str, Any]) -> str:
    """Return a page without what differs each time: tokens, nonces and the ids that were asked for."""
    text = response.content.decode()
    for value in objects.values():
        text = text.replace(str(value), "ID")
    return re.sub(r'(nonce|value|X-CSRFToken|content|request.id)[="\\ :&a-z;]+[A-Za-z0-9_+/=-]{20,}', r"\1", text)
