"""All addresses, room by room."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from agentops.accounts.urls import sign_in_urlpatterns
from agentops.console.docs import docs

urlpatterns: list[URLPattern | URLResolver] = [
    *sign_in_urlpatterns,
    path("", include("agentops.accounts.urls")),
    path("", include("agentops.console.urls")),
    path("", include("traces.urls")),
    path("api/v1/", include("traces.api.urls")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", docs, name="docs"),
]

handler429 = "agentops.accounts.adapter.too_many"
