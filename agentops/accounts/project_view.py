"""What all API views of a project's rows share: whose rows, which parameters, which page of a list."""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.views import APIView

from agentops.accounts.request import ProjectRequest
from agentops.web.keyset import CursorError, keyset_page

LIMIT, MAX_LIMIT = 50, 200
PAGING = [
    OpenApiParameter("limit", int, description="rows a page, up to 200"),
    OpenApiParameter("after", str, description="the `next` of the page before"),
]
CONTEXT = {"base_url": settings.ENV.agentops_public_url.rstrip("/")}


class ListQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=LIMIT)
    after = serializers.CharField(default="")


@cache
def _parameters(kind: type[serializers.Serializer[Any]]) -> frozenset[str]:
    return frozenset({*kind().fields, *ListQuery().fields})


class ProjectView(APIView):
    """A view that reads within the project of the key, or of the signed-in person."""

    scope: ClassVar[str | tuple[str, ...]] = "read"  # of several, one is enough

    @property
    def project(self) -> Any:
        return self.asked.project

    @property
    def asked(self) -> ProjectRequest:
        asked: ProjectRequest = self.request._request  # type: ignore[assignment]
        return asked

    def query(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the checked query parameters. Raises ValidationError, also for a parameter that is not known."""
        given = self.request.query_params
        known = _parameters(kind)
        if unknown := sorted(set(given) - known):
            names = ", ".join(sorted(known))
            raise serializers.ValidationError(
                {name[:80]: f"is no parameter here; known are {names}" for name in unknown}
            )
        checked = kind(data=given)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)

    def page(self, rows: Any, read: Callable[..., Any] = keyset_page, **by: Any) -> Any:
        """Return the page that was asked for, as `read` makes it. Raises ValidationError for a wrong cursor."""
        paging = self.query_page()
        try:
            return read(rows, after=paging["after"], limit=paging["limit"], **by)
        except CursorError as error:
            raise serializers.ValidationError({"after": str(error)}) from None

    def query_page(self) -> dict[str, Any]:
        checked = ListQuery(data=self.request.query_params)
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data)
