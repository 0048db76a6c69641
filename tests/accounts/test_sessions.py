"""Who is let in to which project, and when a session ends."""

import runpy
import time
from pathlib import Path

import pytest
from django.test import Client

from agentops.accounts.members import change_role, disable_user, remove_member
from agentops.accounts.models import Role
from agentops.audit.models import Entry
from agentops.web.navigation import counters
from tests.builders import make_membership, make_project, make_user, signed_in

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
PAGE = "/accounts/profile"


@pytest.fixture
def member():
    make_membership(project := make_project("mine"))
    return make_membership(project, Role.OPERATOR)


def is_in(client):
    return client.get(PAGE).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/settings/keys", "/nowhere", "/accounts/", "/%2e%2e/settings/keys", "/settings/keys/"]
)
def test_strangers_are_sent_to_sign_in_even_from_addresses_that_lead_nowhere(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer["Location"][:22]) == (302, "/accounts/login/?next=")


@pytest.mark.parametrize("path", ["/api/v1/traces", "/api/v1/nowhere", "/api/", "/metrics", "/v1/nowhere"])
def test_strange_programs_get_401_even_for_addresses_that_lead_nowhere(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(
    "path", ["/SETTINGS/keys", "//settings/keys", "/settings//keys", "/settings/keys;/x", "/settings/keys."]
)
def test_odd_spellings_of_an_address_lead_nowhere(member, path):
    assert signed_in(member).get(path).status_code == 404


def test_headers_cannot_change_address_or_method(member):
    admin = signed_in(member.project.memberships.admins().get())
    answer = admin.get(PAGE, headers={"X-Original-URL": "/settings/keys", "X-HTTP-Method-Override": "DELETE"})
    assert "Your profile" in answer.content.decode()


@pytest.mark.parametrize("end", [change_role, remove_member, disable_user])
def test_a_session_ends_when_the_role_or_the_person_goes(member, end):
    client = signed_in(member)
    assert is_in(client)
    end(
        *[member.user if end is disable_user else member],
        by=member.user,
        **({"role": "viewer"} if end is change_role else {}),
    )
    assert not is_in(client)


def test_a_new_password_ends_all_other_sessions(member):
    member.user.set_password(PASSWORD)
    member.user.save()
    here, elsewhere = signed_in(member), signed_in(member, Client())
    form = {"old_password": PASSWORD, "new_password1": "another long one 7", "new_password2": "another long one 7"}
    assert here.post("/accounts/password", {**form, "old_password": "wrong"}).status_code == 422
    assert here.post("/accounts/password", form).status_code == 302
    assert is_in(here)
    assert not is_in(elsewhere)
    assert Entry.objects.of(member.project).filter(action="password.changed").count() == 1


def test_the_old_password_cannot_be_guessed_for_long(member):
    member.user.set_password(PASSWORD)
    member.user.save()
    client = signed_in(member)
    answers = [client.post("/accounts/password", {"old_password": f"guess {i}"}).status_code for i in range(7)]
    assert answers == [422] * 5 + [429] * 2


@pytest.mark.parametrize(("name", "age_s"), [("seen_at", 12 * 3600), ("started_at", 7 * 24 * 3600)])
def test_a_session_that_idles_or_grows_old_ends(member, name, age_s):
    client = signed_in(member)
    assert is_in(client)
    for age, inside in [(age_s - 60, True), (age_s + 60, False)]:
        session = client.session
        session["seen_at"] = session["started_at"] = int(time.time())
        session[name] = int(time.time()) - age
        session.save()
        assert is_in(client) == inside
    assert client.session.session_key is None or not client.session.get("_auth_user_id")


def test_a_member_costs_three_queries_and_no_write(member, django_assert_num_queries, rf):
    client = signed_in(member)
    client.get(PAGE)
    with django_assert_num_queries(3 + len(counters)):  # session, user, memberships; the rooms' counts
        client.get(PAGE)


def test_pages_of_members_are_never_stored(member):
    answer = signed_in(member).get(PAGE)
    assert "no-store" in answer["Cache-Control"]
    assert "Cookie" in answer["Vary"]


def test_who_belongs_nowhere_is_told_so(client):
    client.force_login(make_user("alone@example.com"))
    answer = client.get("/settings/keys")
    assert answer.status_code == 403
    assert "alone@example.com" in answer.content.decode()
    assert client.get("/api/v1/traces").status_code == 403


def test_a_person_switches_between_their_projects_only(member):
    other = make_membership(make_project("other"), user=member.user)
    foreign = make_project("foreign")
    client = signed_in(member)
    assert client.post("/accounts/project/", {"project": foreign.slug}).status_code == 404
    assert client.post("/accounts/project/", {"project": other.project.slug, "next": "//evil"})["Location"] == "/"
    assert client.get("/settings/keys").context["request"].project == other.project


def test_a_project_that_was_taken_away_is_no_longer_chosen(member):
    other = make_membership(make_project("other"), user=member.user)
    client = signed_in(other)
    other.delete()
    assert client.get(PAGE).context["request"].project == member.project


@pytest.mark.parametrize(("url", "prefix"), [("https://ops.example.com", "__Host-"), ("http://127.0.0.1:8000", "")])
def test_cookies_are_bound_to_https_where_there_is_https(monkeypatch, url, prefix):
    monkeypatch.setenv("AGENTOPS_PUBLIC_URL", url)
    settings = runpy.run_path(str(Path(__file__).parents[2] / "agentops" / "settings.py"))
    assert settings["SESSION_COOKIE_NAME"] == f"{prefix}sessionid"
    assert settings["CSRF_COOKIE_NAME"] == f"{prefix}csrftoken"
    assert settings["SESSION_COOKIE_SECURE"] == settings["CSRF_COOKIE_SECURE"] == bool(prefix)


def test_the_cookie_of_a_session_is_for_this_site_and_no_script(member):
    client = Client()
    member.user.set_password(PASSWORD)
    member.user.save()
    client.post("/accounts/login/", {"login": member.user.email, "password": PASSWORD})
    for name in ("sessionid", "device"):
        assert client.cookies[name]["httponly"]
        assert client.cookies[name]["samesite"] == "Lax"
