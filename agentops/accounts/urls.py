"""Addresses of sign-in, of a person's own pages and of a project's members and keys."""

from allauth.account import views as allauth_views
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods, require_POST

from agentops.accounts import profile, views
from agentops.accounts.access import public

app_name = "accounts"

urlpatterns = [
    path("accounts/link/<str:token>/", profile.link, name="link"),
    path("accounts/profile", profile.profile, name="profile"),
    path("accounts/password", profile.password, name="password"),
    path("accounts/project/", profile.switch, name="switch"),
    path("settings/members", views.member_list, name="members"),
    path("settings/members/add", views.member_add, name="member_add"),
    path("settings/members/<uuid:pk>/invite", views.member_invite, name="member_invite"),
    path("settings/members/<uuid:pk>/role", views.member_role, name="member_role"),
    path("settings/members/<uuid:pk>/remove", views.member_remove, name="member_remove"),
    path("settings/keys", views.key_list, name="keys"),
    path("settings/keys/create", views.key_create, name="key_create"),
    path("settings/keys/<uuid:pk>/rotate", views.key_rotate, name="key_rotate"),
    path("settings/keys/<uuid:pk>/revoke", views.key_revoke, name="key_revoke"),
]

# allauth looks these up by their own names, outside any namespace; nothing else of it is mounted.
sign_in_urlpatterns: list[URLPattern] = [
    path(
        "accounts/login/",
        public(require_http_methods(["GET", "HEAD", "POST"])(allauth_views.login)),
        name="account_login",
    ),
    path("accounts/logout/", public(require_POST(allauth_views.logout)), name="account_logout"),
]
