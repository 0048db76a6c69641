"""Addresses that are promised and not built yet: each says so, behind the key that it will need."""

from typing import NamedTuple

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

from agentops.accounts.access import key_door
from agentops.accounts.policy import View
from agentops.web.problems import problem


class Unbuilt(NamedTuple):
    path: str
    scope: str
    methods: tuple[str, ...] = ("POST",)


UNBUILT = [
    Unbuilt("metrics", "read", ("GET",)),
]


def _view(one: Unbuilt) -> View:
    @key_door(one.scope)
    @require_http_methods(one.methods)
    def unbuilt(request: HttpRequest, rest: str = "") -> HttpResponseBase:
        return problem(501, detail="This is not built yet.")

    return unbuilt


urlpatterns: list[URLPattern] = [path(one.path, _view(one)) for one in UNBUILT]
