"""The pages of a person: the one-time link, the own profile, the switch between projects."""

from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from agentops.accounts import trail
from agentops.accounts.access import public
from agentops.accounts.adapter import remember_device, too_many
from agentops.accounts.forms import ProfileForm
from agentops.accounts.links import LinkSpentError, find_link, use_link
from agentops.accounts.middleware import CHOSEN
from agentops.accounts.models import User
from agentops.accounts.policy import requires
from agentops.accounts.request import ProjectRequest


@public
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Sign somebody in once. Opening the address changes nothing; its one button does."""
    if request.method != "POST":
        found = find_link(token)
        return render(request, "accounts/link.html", {"link": found}, status=200 if found else 410)
    try:
        used = use_link(token)
    except LinkSpentError:
        return render(request, "accounts/link.html", {"link": None}, status=410)
    request.by_link = True  # type: ignore[attr-defined]
    login(request, used.user, backend=settings.AUTHENTICATION_BACKENDS[0])
    after = settings.LOGIN_REDIRECT_URL if used.user.has_usable_password() else reverse("accounts:profile")
    response = HttpResponseRedirect(after)
    remember_device(request, response, used.user.email)
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@requires("view")
def profile(request: ProjectRequest) -> HttpResponse:
    if request.method != "POST":
        return _profile_page(request)
    form = ProfileForm(request.POST)
    if not form.is_valid():
        return _profile_page(request, form=form, status=422)
    User.objects.filter(pk=request.user.pk).update(name=form.cleaned_data["name"])
    return redirect("accounts:profile")


@require_POST
@requires("view")
def password(request: ProjectRequest) -> HttpResponse:
    """Set a new password: every other session of this person ends."""
    if not ratelimit.consume(request, action="change_password", user=request.user):
        return too_many(request)
    form = _password_form(request.user, request.POST)
    if not form.is_valid():
        return _profile_page(request, password_form=form, status=422)
    user = form.save()
    update_session_auth_hash(request, user)
    trail.password_changed(request, user)
    messages.success(request, "The password is changed; all other sessions have ended.")
    return redirect("accounts:profile")


@require_POST
@requires("view")
def switch(request: ProjectRequest) -> HttpResponse:
    """Choose the project that all pages show from now on."""
    by_slug = {one.project.slug: one.project for one in request.memberships}
    chosen = by_slug.get(request.POST.get("project", ""))
    if chosen is None:
        raise Http404
    request.session[CHOSEN] = str(chosen.pk)
    after = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(after, allowed_hosts=None)
    return HttpResponseRedirect(after if safe else settings.LOGIN_REDIRECT_URL)


def _password_form(user: User, data: object = None) -> "SetPasswordForm[User]":
    form = PasswordChangeForm if user.has_usable_password() else SetPasswordForm
    made = form(user, data)
    # The page begins with the name; it must not jump past it.
    next(iter(made.fields.values())).widget.attrs.pop("autofocus", None)
    return made


def _profile_page(request: ProjectRequest, status: int = 200, **forms: object) -> HttpResponse:
    context = {
        "form": ProfileForm(initial={"name": request.user.name}),
        "password_form": _password_form(request.user),
        **forms,
    }
    return render(request, "accounts/profile.html", context, status=status)
