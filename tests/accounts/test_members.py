"""Members and roles: who may be added, changed and removed, and what follows from it."""

import threading
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction

from agentops.accounts import members
from agentops.accounts.links import LinkSpentError, use_link
from agentops.accounts.models import ApiKey, Membership, Project, Role, User
from agentops.accounts.policy import PERMISSIONS, may
from agentops.accounts.scoped import get_scoped_or_404
from agentops.accounts.services import first_start, oldest_admin
from agentops.audit.models import Entry
from tests.builders import make_key, make_membership, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return make_membership(make_project("mine"), Role.ADMIN)


def actions(project):
    return list(Entry.objects.of(project).order_by("seq").values_list("action", flat=True))


def test_a_new_address_becomes_a_member_with_an_invitation(admin):
    added = members.add_member(admin.project, email=" New@Example.com ", role="operator", by=admin.user)
    assert (added.membership.user.email, added.membership.role) == ("new@example.com", "operator")
    assert use_link(added.token).user == added.membership.user
    assert actions(admin.project) == ["member.added"]


def test_who_has_an_account_is_added_without_a_link(admin):
    user = make_user(password="something long")
    make_membership(user=user)
    assert members.add_member(admin.project, email=user.email, role="viewer", by=admin.user).token is None


def test_nobody_is_added_twice(admin):
    with pytest.raises(members.AlreadyAMemberError):
        members.add_member(admin.project, email=admin.user.email, role="viewer", by=admin.user)


def test_an_open_invitation_of_another_project_is_no_way_in(admin):
    invited = members.add_member(admin.project, email="new@example.com", role="viewer", by=admin.user)
    other = make_membership()
    with pytest.raises(members.InvitedElsewhereError):
        members.add_member(other.project, email="new@example.com", role="viewer", by=other.user)
    assert invited.membership.user.memberships.count() == 1


def test_a_renewed_invitation_ends_the_one_before(admin):
    added = members.add_member(admin.project, email="new@example.com", role="viewer", by=admin.user)
    renewed = members.renew_invitation(added.membership, by=admin.user)
    with pytest.raises(LinkSpentError):
        use_link(added.token)
    assert use_link(renewed)


def test_nobody_gets_a_link_that_signs_in_as_somebody_with_a_password(admin):
    member = make_membership(admin.project, user=make_user(password="something long"))
    assert members.renew_invitation(member, by=admin.user) is None


def test_nobody_gets_a_link_that_opens_another_project_too(admin):
    member = make_membership(admin.project, user=make_user())
    make_membership(user=member.user)
    assert members.renew_invitation(member, by=admin.user) is None


def test_the_last_admin_can_be_neither_removed_nor_changed(admin):
    make_membership(admin.project, Role.APPROVER)
    disabled = make_membership(admin.project, Role.ADMIN)
    members.disable_user(disabled.user, by=admin.user)
    with pytest.raises(members.LastAdminError):
        members.remove_member(admin, by=admin.user)
    with pytest.raises(members.LastAdminError):
        members.change_role(admin, role="viewer", by=admin.user)
    assert Membership.objects.get(pk=admin.pk).role == Role.ADMIN


def test_a_change_of_role_ends_sessions_and_is_recorded(admin):
    member = make_membership(admin.project, Role.OPERATOR)
    before = member.user.get_session_auth_hash()
    members.change_role(member, role="viewer", by=admin.user)
    member.user.refresh_from_db()
    assert member.user.get_session_auth_hash() != before
    entry = Entry.objects.of(admin.project).get()
    assert (entry.action, entry.detail) == ("member.role_changed", {"was": "operator", "now": "viewer"})
    assert entry.actor_name == admin.user.email


def test_the_same_role_again_changes_nothing(admin):
    members.change_role(admin, role="admin", by=admin.user)
    assert actions(admin.project) == []


def test_the_keys_of_a_removed_member_stop(admin):
    member = make_membership(admin.project)
    key = make_key(admin.project, by=member.user).key
    assert ApiKey.objects.usable().filter(pk=key.pk).exists()
    members.remove_member(member, by=admin.user)
    assert not ApiKey.objects.usable().filter(pk=key.pk).exists()


@pytest.mark.parametrize("role", Role)
def test_only_an_approver_decides(role):
    assert may(SimpleNamespace(role=role), "decide") == (role == Role.APPROVER)


def test_an_admin_may_all_but_decide():
    assert [name for name, roles in PERMISSIONS.items() if Role.ADMIN not in roles] == ["decide"]


@pytest.mark.parametrize("fields", [{"role": "owner"}, {"role": ""}])
def test_the_database_knows_the_roles(admin, fields):
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.filter(pk=admin.pk).update(**fields)


@pytest.mark.parametrize("scopes", [[], ["approve"], ["read", "root"]])
def test_the_database_knows_the_scopes(scopes):
    key = make_key().key
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).update(scopes=scopes)


def test_addresses_are_kept_in_lower_case():
    assert make_user("Ada@Example.COM").email == "ada@example.com"
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email="Bob@example.com")


@pytest.mark.parametrize("pk", ["01a20dd3-6ab9-714a-9713-09b3a62c6a1f", "no uuid", "\0", ""])
def test_a_foreign_row_a_missing_one_and_nonsense_are_the_same_404(admin, pk):
    from django.http import Http404

    foreign = make_membership()
    with pytest.raises(Http404) as missing:
        get_scoped_or_404(Membership, admin.project, pk=pk)
    with pytest.raises(Http404) as theirs:
        get_scoped_or_404(Membership, admin.project, pk=foreign.pk)
    assert str(missing.value) == str(theirs.value)
    assert get_scoped_or_404(Membership, admin.project, pk=admin.pk) == admin


def test_the_first_start_makes_a_sandbox_its_people_and_a_key_once():
    saved = []
    credentials = first_start(url="http://127.0.0.1:8000", save=saved.append)
    assert saved == [credentials]
    assert set(credentials) == {"url", "project", "api_key", "owner", "approver"}
    project = Project.objects.get()
    assert (project.slug, project.is_sandbox) == ("default", True)
    roles = {member.user.email: member.role for member in project.memberships.select_related("user")}
    assert roles == {credentials["owner"]["email"]: "admin", credentials["approver"]["email"]: "approver"}
    assert User.objects.get(email=credentials["owner"]["email"]).check_password(credentials["owner"]["password"])
    assert ApiKey.objects.get().created_by == oldest_admin()
    assert first_start(url="http://127.0.0.1:8000") is None


def test_a_first_start_that_cannot_save_its_credentials_leaves_nothing():
    def full_disk(credentials):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        first_start(url="http://127.0.0.1:8000", save=full_disk)
    assert not Project.objects.exists()


@pytest.mark.django_db(transaction=True, available_apps=["agentops.accounts", "agentops.audit"])
def test_two_admins_who_remove_each_other_at_once_leave_one():
    project = make_project()
    one, two = make_membership(project), make_membership(project)
    refused = []

    def remove(victim, by):
        try:
            members.remove_member(victim, by=by)
        except members.LastAdminError:
            refused.append(victim)
        finally:
            connection.close()

    threads = [threading.Thread(target=remove, args=pair) for pair in ((one, two.user), (two, one.user))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(refused) == 1
    assert Membership.objects.of(project).admins().count() == 1
