"""Addresses of the pages that look at all rooms."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from agentops.console import audit, docs, health, overview, sheet, stream, theme, unbuilt

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("start", overview.start, name="start"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("healthz/deep", health.deep, name="deep"),
    path("stream", stream.stream, name="stream"),
    path("settings/audit", audit.audit, name="audit"),
    path("components", sheet.components, name="components"),
    path("theme", theme.set_theme, name="theme"),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", docs.docs, name="docs"),
    *unbuilt.urlpatterns,
]
