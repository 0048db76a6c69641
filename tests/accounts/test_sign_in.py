"""Signing in and out: by password, by link, within limits that spare the owner of an account."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client

from agentops.accounts.adapter import DEVICE_COOKIE
from agentops.accounts.links import find_link, make_link, make_sign_in_link
from agentops.accounts.models import LinkPurpose, SignInLink
from agentops.audit.models import Entry
from tests.builders import make_membership, make_user

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
PASSWORD = "correct horse battery"
WRONG = "The email address and/or password you specified are not correct."


@pytest.fixture
def member():
    return make_membership(user=make_user("ada@example.com", PASSWORD))


def sign_in(client, password=PASSWORD, login="ada@example.com", **more):
    address = more.pop("address", "127.0.0.1")
    return client.post(LOGIN, {"login": login, "password": password, **more}, REMOTE_ADDR=address)


def is_signed_in(client):
    return client.get("/accounts/profile").status_code == 200


def actions(project=None):
    return list(Entry.objects.of(project).order_by("seq").values_list("action", flat=True))


def test_a_member_signs_in_by_password(client, member):
    assert sign_in(client, login=" Ada@Example.com ")["Location"] == "/"
    assert is_signed_in(client)
    assert actions(member.project) == ["sign_in.succeeded"]


def test_signing_in_gives_the_session_a_new_id(client, member):
    client.get(LOGIN)
    client.session.save()
    before = client.session.session_key
    sign_in(client)
    assert client.session.session_key != before


def test_signing_out_ends_the_session_and_needs_a_post(client, member):
    sign_in(client)
    stolen = Client()
    stolen.cookies["sessionid"] = client.cookies["sessionid"].value
    assert client.get("/accounts/logout/").status_code == 405
    assert is_signed_in(stolen)
    client.post("/accounts/logout/")
    assert not is_signed_in(client)
    assert not is_signed_in(stolen)
    assert actions(member.project) == ["sign_in.succeeded", "sign_out"]


def test_a_wrong_password_an_unknown_address_and_a_disabled_account_look_alike(client, member):
    make_user("off@example.com", PASSWORD, is_active=False)
    answers = [
        sign_in(client, "wrong"),
        sign_in(client, login="nobody@example.com"),
        sign_in(client, login="off@example.com"),
        sign_in(client, "wrong", login="off@example.com"),
    ]
    pages = {re.sub(r'value="[^"]*"|nonce="[^"]*"|"X-CSRFToken": "[^"]*"', "", one.content.decode()) for one in answers}
    assert len(pages) == 1
    assert WRONG in pages.pop()


def test_failures_are_recorded_where_they_belong(client, member):
    sign_in(client, "wrong")
    sign_in(client, login="nobody@example.com")
    (entry,) = Entry.objects.of(member.project)
    assert (entry.action, entry.actor_kind, entry.target_name) == ("sign_in.failed", "anonymous", "ada@example.com")
    assert entry.ip == "127.0.0.1"
    assert Entry.objects.of(None).get().target_name == "nobody@example.com"


@pytest.mark.parametrize("login", ["ada@example.com", "nobody@example.com", "invited@example.com", "off@example.com"])
def test_every_failure_costs_one_hash_whether_the_address_is_known_or_not(client, member, monkeypatch, login):
    make_user("invited@example.com")
    make_user("off@example.com", PASSWORD, is_active=False)
    hashed, encode = [], MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *args: hashed.append(1) or encode(*args))
    sign_in(client, "wrong", login=login)
    assert len(hashed) == 1


def test_guessing_is_stopped_whatever_addresses_it_pretends_to_come_from(client, member):
    for i in range(5):
        client.post(
            LOGIN,
            {"login": "ada@example.com", "password": "wrong"},
            headers={"X-Forwarded-For": f"6.6.6.{i}, 7.7.7.{i}"},
        )
    answer = sign_in(client)
    assert "Too many failed login attempts" in answer.content.decode()
    assert not is_signed_in(client)
    assert actions(member.project) == ["sign_in.failed"] * 5 + ["sign_in.throttled"]


def test_one_peer_that_tries_many_accounts_is_stopped(client):
    answers = [sign_in(client, login=f"person-{i}@example.com") for i in range(15)]
    assert WRONG in answers[9].content.decode()
    assert all("Too many failed" in answer.content.decode() for answer in answers[10:])


def test_who_only_asks_too_often_gets_429_and_the_trail_no_flood(client, member, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login": "2/m/ip"}
    answers = [sign_in(client, "wrong") for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200, 200] + [429] * 8
    assert answers[-1]["Retry-After"] == "60"
    assert actions(member.project).count("sign_in.throttled") == 1


def test_an_attacker_elsewhere_cannot_lock_the_owner_out_of_a_browser_they_know(client, member):
    sign_in(client)
    client.post("/accounts/logout/")
    attacker = Client()
    for _ in range(8):
        sign_in(attacker, "wrong", address="9.9.9.9")
    assert sign_in(Client(), address="8.8.8.8").status_code == 200  # strangers wait
    assert sign_in(client)["Location"] == "/"


@pytest.mark.parametrize("cookie", ["", "forged", "x:y:z"])
def test_a_forged_device_cookie_gives_no_count_of_its_own(member, cookie):
    attacker = Client()
    attacker.cookies[DEVICE_COOKIE] = cookie
    for _ in range(5):
        sign_in(attacker, "wrong")
    assert "Too many" in sign_in(attacker).content.decode()


def test_a_device_cookie_of_one_account_counts_for_no_other(client, member):
    make_membership(user=make_user("eve@example.com", PASSWORD))
    sign_in(client, login="eve@example.com")
    client.post("/accounts/logout/")
    for _ in range(5):
        sign_in(Client(), "wrong", address="9.9.9.9")
    assert "Too many" in sign_in(client).content.decode()


@pytest.mark.parametrize(
    "after", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "http:///x"]
)
def test_after_signing_in_nobody_lands_elsewhere(client, member, after):
    assert sign_in(client, next=after)["Location"] == "/"


def test_after_signing_in_one_lands_where_one_wanted_to_go(client, member):
    sent = client.get("/settings/keys?x=1&y=%2F")
    assert sent["Location"] == "/accounts/login/?next=%2Fsettings%2Fkeys%3Fx%3D1%26y%3D%252F"
    assert sign_in(client, next="/settings/keys?x=1")["Location"] == "/settings/keys?x=1"


def test_there_is_no_signing_up_and_no_other_page_of_allauth(client, member):
    sign_in(client)
    for path in ("signup", "password/reset", "email", "reauthenticate", "login/code", "inactive"):
        assert client.get(f"/accounts/{path}/").status_code == 404


def test_opening_a_link_changes_nothing_and_its_button_signs_in_once(client, member):
    path = make_sign_in_link(member.user, base_url="http://testserver/").removeprefix("http://testserver")
    for _ in range(3):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200
    assert client.post(path)["Location"] == "/"
    assert is_signed_in(client)
    again = Client()
    assert again.post(path).status_code == 410
    assert again.get(path).status_code == 410
    assert not is_signed_in(again)
    assert Entry.objects.of(member.project).get().detail == {"method": "link"}


def test_a_link_is_kept_only_as_a_hash_and_runs_out(member, settings):
    from django.utils import timezone

    token = make_sign_in_link(member.user, base_url="http://x").rstrip("/").rpartition("/")[2]
    assert token.encode() not in bytes(SignInLink.objects.get().token_hash)
    assert find_link(token)
    SignInLink.objects.update(expires_at=timezone.now())
    assert find_link(token) is None
    assert find_link("made up") is None


def test_an_invited_person_sets_a_password_first(client):
    member = make_membership(role="viewer")
    token = make_link(member.user, purpose=LinkPurpose.INVITE, lifetime=timedelta(days=1))
    assert client.post(f"/accounts/link/{token}/")["Location"] == "/accounts/profile"
    new = "never seen before 7"
    assert client.post("/accounts/password", {"new_password1": new, "new_password2": new}).status_code == 302
    assert is_signed_in(client)
    assert sign_in(Client(), new, login=member.user.email)["Location"] == "/"
