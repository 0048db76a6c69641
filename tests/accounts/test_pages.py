"""The settings pages of a project as an admin sees them, without a script."""

import re

import pytest

from agentops.accounts.models import ApiKey, Membership, Role
from agentops.audit.ref import Ref
from agentops.audit.services import record
from agentops.web.navigation import counters
from tests.builders import make_key, make_membership, make_project, make_user, signed_in

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202egnp.exe{{7*7}}"


@pytest.fixture
def admin():
    return make_membership(make_project("mine"))


@pytest.fixture
def desk(admin):
    return signed_in(admin)


def text(answer):
    return answer.content.decode()


def test_an_invitation_is_shown_once_and_its_link_works(desk, client):
    form = {"email": "new@example.com", "role": "approver", "project": make_project("foreign").pk, "is_active": "0"}
    (link,) = re.findall(
        r"http://127.0.0.1:8000(/accounts/link/[\w-]+/)<", text(desk.post("/settings/members/add", form))
    )
    assert "/accounts/link/" not in text(desk.get("/settings/members"))
    assert client.post(link).status_code == 302
    assert Membership.objects.get(user__email="new@example.com").role == Role.APPROVER


def test_who_has_an_account_becomes_a_member_at_once(desk):
    user = make_user("known@example.com", "a password of theirs")
    assert desk.post("/settings/members/add", {"email": user.email, "role": "viewer"}).status_code == 302
    assert "known@example.com" in text(desk.get("/settings/members"))


@pytest.mark.parametrize(
    "form", [{}, {"email": "no address", "role": "viewer"}, {"email": "a@b.example", "role": "owner"}]
)
def test_a_faulty_form_comes_back_with_its_fault_and_changes_nothing(desk, form):
    answer = desk.post("/settings/members/add", form)
    assert answer.status_code == 422
    assert 'role="alert"' in text(answer)
    assert Membership.objects.count() == 1


def test_the_last_admin_stays_and_the_page_says_why(desk, admin):
    for path, form in [("remove", {}), ("role", {"role": "viewer"})]:
        answer = desk.post(f"/settings/members/{admin.pk}/{path}", form, follow=True)
        assert "This is the last admin." in text(answer)
    assert Membership.objects.get() == admin


def test_removing_a_member_is_asked_first_and_says_what_stops(desk, admin):
    member = make_membership(admin.project)
    make_key(admin.project, by=member.user)
    path = f"/settings/members/{member.pk}/remove"
    assert "1 API key that they made stops working" in text(desk.get(path))
    assert Membership.objects.filter(pk=member.pk).exists()
    desk.post(path)
    assert not Membership.objects.filter(pk=member.pk).exists()


def test_a_key_is_shown_once(desk, admin):
    answer = desk.post("/settings/keys/create", {"name": "ci", "scopes": ["ingest", "read"], "expires": "never"})
    (token,) = re.findall(r"aop_live_\w+", text(answer))
    assert "no-store" in answer["Cache-Control"]
    assert token not in text(desk.get("/settings/keys"))
    key = ApiKey.objects.get()
    assert (key.name, key.scopes, key.expires_at, key.created_by) == ("ci", ["ingest", "read"], None, admin.user)


@pytest.mark.parametrize("form", [{"name": "x", "expires": "30"}, {"name": "x", "scopes": ["root"], "expires": "30"}])
def test_a_key_without_known_scopes_is_not_made(desk, form):
    assert desk.post("/settings/keys/create", form).status_code == 422
    assert not ApiKey.objects.exists()


def test_a_revoked_key_is_asked_about_first_and_stays_on_the_page(desk, admin):
    key = make_key(admin.project).key
    path = f"/settings/keys/{key.pk}/revoke"
    assert "was never used" in text(desk.get(path))
    desk.post(path)
    assert "revoked" in text(desk.get("/settings/keys"))
    assert desk.post(f"/settings/keys/{key.pk}/rotate").status_code == 404


def test_replacing_a_key_shows_the_new_one(desk, admin):
    key = make_key(admin.project, name="ci").key
    assert len(re.findall(r"aop_live_\w+", text(desk.post(f"/settings/keys/{key.pk}/rotate")))) == 1
    assert ApiKey.objects.of(admin.project).usable().filter(name="ci").count() == 2


def test_names_from_outside_are_text_with_their_hidden_characters_shown(desk, admin):
    make_membership(admin.project, user=make_user(name=HOSTILE))
    make_key(admin.project, name=HOSTILE)
    record("test.happened", actor=Ref("user", "1", HOSTILE), project=admin.project, detail={HOSTILE: HOSTILE})
    for path in ("/settings/members", "/settings/keys", "/settings/audit"):
        page = text(desk.get(path))
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "U+202E" in page
        assert "{{7*7}}" in page


def test_the_trail_is_paged_and_filtered(desk, admin):
    for i in range(60):
        action = "test.even" if i % 2 == 0 else "test.odd"
        record(action, actor=admin.user, project=admin.project, detail={"i": [i, "x"]})
    record("test.other", actor=Ref("user", "2", "eve"), project=admin.project)
    first = desk.get("/settings/audit")
    assert [entry.seq for entry, _ in first.context["entries"]] == list(range(62, 12, -1))
    second = desk.get("/settings/audit" + first.context["older"])
    assert [entry.seq for entry, _ in second.context["entries"]] == list(range(12, 0, -1))
    assert second.context["older"] == ""
    odd = desk.get("/settings/audit?action=test.odd")
    assert {entry.action for entry, _ in odd.context["entries"]} == {"test.odd"}
    (only,) = desk.get("/settings/audit?actor=EVE").context["entries"]
    assert only[0].action == "test.other"
    assert "59, x" in text(first)


FAULTY = ["before=x", "before=-1", "before=99999999999999999999", "before=\u0663", "action=%00", "actor=%00"]


@pytest.mark.parametrize("query", FAULTY)
def test_a_faulty_filter_of_the_trail_is_no_fault_of_the_page(desk, query):
    assert desk.get(f"/settings/audit?{query}").status_code == 200


def test_no_page_shows_what_belongs_to_another_project(desk):
    other = make_membership(make_project("other", name="Other project"), user=make_user("theirs@example.com"))
    make_key(other.project, name="their key")
    for path in ("/settings/members", "/settings/keys", "/settings/audit"):
        page = text(desk.get(path))
        assert "theirs@example.com" not in page
        assert "their key" not in page
        assert "Other project" not in page


@pytest.mark.parametrize(("path", "queries"), [("/settings/members", 4), ("/settings/keys", 4), ("/settings/audit", 5)])
def test_the_number_of_queries_does_not_grow_with_the_rows(desk, admin, django_assert_num_queries, path, queries):
    for _ in range(5):
        make_key(admin.project, by=make_membership(admin.project).user)
    desk.get(path)
    with django_assert_num_queries(queries + len(counters)):  # the rooms count beside their names
        desk.get(path)


def test_an_address_that_leads_nowhere_leaves_no_copy_of_a_persons_navigation(desk):
    answer = desk.get("/nowhere")
    assert answer.status_code == 404
    assert "no-store" in answer["Cache-Control"]
