"""The settings pages of a project: its members and its API keys."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentops.accounts import keys, members
from agentops.accounts.forms import AddMemberForm, KeyForm, RoleForm
from agentops.accounts.links import link_url
from agentops.accounts.models import ApiKey, Membership, Role
from agentops.accounts.policy import requires
from agentops.accounts.request import ProjectRequest
from agentops.accounts.scoped import get_scoped_or_404

LAST_ADMIN = "This is the last admin. Make somebody else admin first."
ALREADY = "This person is a member already."
INVITED_ELSEWHERE = "This person has an open invitation elsewhere. Add them once they have accepted it."
INVALID = 422


@require_GET
@requires("manage_members")
def member_list(request: ProjectRequest) -> HttpResponse:
    return _members_page(request, AddMemberForm())


@require_POST
@requires("manage_members")
def member_add(request: ProjectRequest) -> HttpResponse:
    form = AddMemberForm(request.POST)
    if not form.is_valid():
        return _members_page(request, form, status=INVALID)
    try:
        added = members.add_member(request.project, by=request.user, request=request, **form.cleaned_data)
    except members.AlreadyAMemberError:
        form.add_error("email", ALREADY)
    except members.InvitedElsewhereError:
        form.add_error("email", INVITED_ELSEWHERE)
    else:
        if added.token is None:
            return redirect("accounts:members")
        return _members_page(request, AddMemberForm(), **_invitation(added.membership, added.token))
    return _members_page(request, form, status=INVALID)


@require_POST
@requires("manage_members")
def member_invite(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Show a fresh invitation link for somebody who has not come yet."""
    membership = get_scoped_or_404(Membership, request.project, pk=pk)
    token = members.renew_invitation(membership, by=request.user, request=request)
    if token is None:
        messages.error(request, "This person has an account already and signs in with it.")
        return redirect("accounts:members")
    return _members_page(request, AddMemberForm(), **_invitation(membership, token))


@require_POST
@requires("manage_members")
def member_role(request: ProjectRequest, pk: UUID) -> HttpResponse:
    membership = get_scoped_or_404(Membership, request.project, pk=pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _members_page(request, AddMemberForm(), status=INVALID)
    try:
        members.change_role(membership, role=form.cleaned_data["role"], by=request.user, request=request)
    except members.LastAdminError:
        messages.error(request, LAST_ADMIN)
    return redirect("accounts:members")


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_members")
def member_remove(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Ask first, then remove."""
    membership = get_scoped_or_404(Membership.objects.select_related("user"), request.project, pk=pk)
    if request.method != "POST":
        usable = ApiKey.objects.of(request.project).usable().filter(created_by=membership.user).count()
        return render(request, "accounts/member_remove.html", {"membership": membership, "keys": usable})
    try:
        members.remove_member(membership, by=request.user, request=request)
    except members.LastAdminError:
        messages.error(request, LAST_ADMIN)
    return redirect("accounts:members")


@require_GET
@requires("manage_keys")
def key_list(request: ProjectRequest) -> HttpResponse:
    return _keys_page(request, KeyForm())


@require_POST
@requires("manage_keys")
def key_create(request: ProjectRequest) -> HttpResponse:
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _keys_page(request, form, status=INVALID)
    new = keys.create_key(
        request.project,
        by=request.user,
        name=form.cleaned_data["name"],
        scopes=form.cleaned_data["scopes"],
        lifetime=form.lifetime(),
        request=request,
    )
    return _keys_page(request, KeyForm(), new=new)


@require_POST
@requires("manage_keys")
def key_rotate(request: ProjectRequest, pk: UUID) -> HttpResponse:
    key = get_scoped_or_404(ApiKey.objects.usable().select_related("project"), request.project, pk=pk)
    new = keys.rotate_key(key, by=request.user, request=request)
    return _keys_page(request, KeyForm(), new=new)


@require_http_methods(["GET", "HEAD", "POST"])
@requires("manage_keys")
def key_revoke(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """Ask first, then revoke."""
    key = get_scoped_or_404(ApiKey.objects.select_related("created_by"), request.project, pk=pk)
    if request.method != "POST":
        return render(request, "accounts/key_revoke.html", {"key": key})
    keys.revoke_key(key, by=request.user, request=request)
    return redirect("accounts:keys")


def _members_page(request: ProjectRequest, form: AddMemberForm, status: int = 200, **more: Any) -> HttpResponse:
    listed = Membership.objects.of(request.project).select_related("user").order_by("user__email")
    context = {"members": listed, "roles": Role.choices, "form": form, **more}
    return render(request, "accounts/members.html", context, status=status)


def _keys_page(request: ProjectRequest, form: KeyForm, status: int = 200, **more: Any) -> HttpResponse:
    listed = ApiKey.objects.of(request.project).with_state().select_related("created_by").order_by("-created_at", "-id")
    return render(request, "accounts/keys.html", {"keys": listed, "form": form, **more}, status=status)


def _invitation(membership: Membership, token: str) -> dict[str, Any]:
    return {"invited": membership.user, "link": link_url(token, base_url=settings.ENV.agentops_public_url)}
