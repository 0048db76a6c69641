"""API keys at the door: how they are shown, refused, cached, noted and taken away."""

import time
import zlib

import pytest
from django.db import OperationalError
from django.http import JsonResponse
from django.test import Client, override_settings
from django.urls import path

from agentops.accounts import authenticate as door
from agentops.accounts.access import key_door, public
from agentops.accounts.keys import revoke_key, rotate_key
from agentops.accounts.members import disable_user, remove_member
from agentops.accounts.models import ApiKey, Membership, Role, Scope
from agentops.accounts.secrets import checksum, key_id_of, mint
from agentops.audit.models import Entry
from tests.builders import bearer, expire, make_key, make_membership, make_project, signed_in


@key_door("ingest")
def send(request):
    return JsonResponse({"project": request.project.slug, "by": request.user.email, "role": request.membership.role})


@public
def alive(request):
    return JsonResponse({"ok": True})


def page(request):
    return JsonResponse({"project": request.project.slug})


urlpatterns = [
    path("api/send", send),
    path("alive", alive),
    path("page", page),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture(autouse=True)
def _no_memory():
    door.forget_verified()
    door._used_at.clear()


@pytest.fixture
def key():
    return make_key(make_project("mine"))


def knock(client, token, **more):
    return client.post("/api/send", headers=bearer(token) | more)


def test_a_key_opens_its_project_and_counts_as_its_maker(client, key):
    answer = knock(client, key.token)
    assert answer.status_code == 200
    assert answer.json() == {"project": "mine", "by": key.key.created_by.email, "role": "admin"}
    assert client.post("/api/send", headers={"X-Api-Key": key.token}).status_code == 200


def test_a_key_has_the_promised_shape_and_only_its_hash_is_stored(key):
    kind, key_id, secret, crc = key.token.removeprefix("aop_").split("_")
    assert (kind, len(key_id), len(secret)) == ("live", 10, 43)
    assert crc == checksum(key.token[:-7])
    assert key.key.key_id == key_id
    assert secret.encode() not in bytes(key.key.secret_hash)
    assert make_key(make_project(is_sandbox=True)).token.startswith("aop_test_")


def test_the_checksum_is_crc32_in_base_62():
    number = 0
    for digit in checksum("aop_live_x"):
        number = number * 62 + "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".index(digit)
    assert number == zlib.crc32(b"aop_live_x")


def test_all_wrong_keys_are_refused_alike(client, key):
    other = mint("live").token
    expired, revoked, disabled, removed = (make_key() for _ in range(4))
    expire(expired.key)
    revoke_key(revoked.key, by=revoked.key.created_by)
    disable_user(disabled.key.created_by, by=key.key.created_by)
    make_membership(removed.key.project)
    remove_member(Membership.objects.get(user=removed.key.created_by), by=key.key.created_by)
    last = key.token[:-1] + ("x" if key.token[-1] != "x" else "y")
    other_kind = key.token.replace("aop_live", "aop_test")
    odd = ["", "aop", "x" * 1_000_000, key.token + "\0", key.token.replace("_", "\u0661"), f"{key.token} {key.token}"]
    tokens = [other, last, other_kind, *(one.token for one in (expired, revoked, disabled, removed)), *odd]
    answers = [knock(client, token) for token in tokens]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0]["Content-Type"] == "application/problem+json"
    assert answers[0]["WWW-Authenticate"].startswith("Bearer")


def test_a_key_in_the_address_is_refused_with_advice(client, key):
    answer = client.post(f"/api/send?key={key.token}")
    assert answer.status_code == 400
    assert "header" in answer.json()["detail"]
    assert key.token not in answer.content.decode()


def test_two_keys_in_one_request_are_refused(client, key):
    assert (
        client.post("/api/send", headers={"Authorization": f"Bearer {key.token},Bearer {key.token}"}).status_code == 400
    )
    assert knock(client, key.token, **{"X-Api-Key": key.token}).status_code == 400


def test_a_cookie_beside_a_key_counts_for_nothing(key):
    client = signed_in(make_membership(make_project("other")))
    assert knock(client, key.token).json()["project"] == "mine"
    assert knock(client, mint("live").token).status_code == 401


def test_a_door_for_keys_takes_no_session():
    assert signed_in(make_membership()).post("/api/send").status_code == 401


def test_a_key_without_the_scope_gets_403(client):
    assert knock(client, make_key(make_project(), Scope.READ).token).status_code == 403


@pytest.mark.parametrize("scope", [Scope.MANAGE, Scope.RUN, Scope.GATE])
def test_a_key_never_outranks_its_maker(client, scope, rf):
    from agentops.accounts.policy import request_has_scope

    made = make_key(make_project(), scope)
    Membership.objects.filter(user=made.key.created_by).update(role=Role.VIEWER)
    request = rf.get("/", headers=bearer(made.token))
    door.authenticate(request)
    assert not request_has_scope(request, scope)


def test_a_key_goes_on_sending_steps_when_its_maker_becomes_a_viewer(client, key):
    Membership.objects.filter(user=key.key.created_by).update(role=Role.VIEWER)
    assert knock(client, key.token).status_code == 200


def test_keys_open_no_pages(client, key):
    assert client.get("/page", headers=bearer(key.token)).status_code == 403
    assert client.get("/alive", headers=bearer(key.token)).status_code == 200


def test_credentials_for_a_proxy_in_front_are_not_ours():
    client = signed_in(make_membership(make_project("mine")))
    assert client.get("/page", headers={"Authorization": "Basic eDp5"}).json() == {"project": "mine"}


def test_a_key_seen_a_moment_ago_costs_no_query(client, key, django_assert_num_queries):
    knock(client, key.token)
    with django_assert_num_queries(0):
        assert knock(client, key.token).status_code == 200


def test_another_process_forgets_a_revoked_key_within_five_seconds(client, key, monkeypatch):
    knock(client, key.token)
    ApiKey.objects.filter(pk=key.key.pk).update(revoked_at=key.key.created_at)
    later = time.monotonic() + 4.9
    monkeypatch.setattr(door.time, "monotonic", lambda: later)
    assert knock(client, key.token).status_code == 401


def test_this_process_forgets_a_revoked_key_at_once(client, key, django_capture_on_commit_callbacks):
    knock(client, key.token)
    with django_capture_on_commit_callbacks(execute=True):
        assert revoke_key(key.key, by=key.key.created_by)
    assert knock(client, key.token).status_code == 401
    assert not revoke_key(key.key, by=key.key.created_by)


def test_last_use_is_noted_once_a_minute(client, key, monkeypatch):
    knock(client, key.token)
    key.key.refresh_from_db()
    first = key.key.last_used_at
    assert first
    assert key.key.last_used_ip == "127.0.0.1"
    door._used_at.clear()
    knock(client, key.token)
    key.key.refresh_from_db()
    assert key.key.last_used_at == first


def test_a_door_stays_open_when_the_use_cannot_be_noted(client, key, monkeypatch):
    knock(client, key.token)
    door._used_at.clear()

    def broken(*args, **kwargs):
        raise OperationalError("disk full")

    monkeypatch.setattr(ApiKey.objects, "filter", broken)
    assert knock(client, key.token).status_code == 200


def test_while_the_database_is_away_the_api_says_when_to_come_back(client, key, monkeypatch):
    def away(*args):
        raise OperationalError("connection refused")

    monkeypatch.setattr(door, "_verify", away)
    answer = knock(client, key.token)
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")


def test_a_rotated_key_works_on_for_the_overlap(client, key):
    new = rotate_key(key.key, by=key.key.created_by)
    assert knock(client, key.token).status_code == knock(client, new.token).status_code == 200
    key.key.refresh_from_db()
    assert key.key.expires_at < new.key.expires_at
    assert new.key.scopes == key.key.scopes


def test_what_happens_to_keys_is_in_the_trail_without_their_secret(key):
    revoke_key(rotate_key(key.key, by=key.key.created_by).key, by=key.key.created_by)
    rows = Entry.objects.of(key.key.project).order_by("seq")
    assert [row.action for row in rows] == ["key.created", "key.created", "key.rotated", "key.revoked"]
    assert all(key.token.split("_")[3] not in str(row.__dict__) for row in rows)


def test_wrong_keys_cost_the_same_work_whatever_is_wrong(client, key, monkeypatch, django_assert_num_queries):
    wrong_secret = mint("live").token
    known_id = key.token[:20] + wrong_secret[20:]
    wrong_crc = key.token[:-1] + ("x" if key.token[-1] != "x" else "y")
    assert key_id_of(known_id) == key.key.key_id
    knock(client, key.token)  # a key in use is remembered; a wrong one must not profit from it
    compared = []
    monkeypatch.setattr(door.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    for token in (wrong_secret, known_id, wrong_crc):
        with django_assert_num_queries(1):
            assert knock(client, token).status_code == 401
    assert compared == [(32, 32)] * 3


@override_settings(TRUSTED_PROXIES=1)
def test_the_address_of_the_peer_is_what_our_own_proxy_wrote(client, key):
    client.post("/api/send", headers=bearer(key.token) | {"X-Forwarded-For": "6.6.6.6, 10.1.2.3"})
    key.key.refresh_from_db()
    assert key.key.last_used_ip == "10.1.2.3"


def test_the_address_of_the_peer_is_never_what_the_peer_says(client, key):
    Client().post("/api/send", headers=bearer(key.token) | {"X-Forwarded-For": "6.6.6.6"})
    key.key.refresh_from_db()
    assert key.key.last_used_ip == "127.0.0.1"
