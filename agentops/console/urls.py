"""Addresses of the pages that look at all rooms."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from agentops.console import audit, containment, docs, health, overview, sheet, stopping, stream, theme, unbuilt
from traces import addresses

addresses.register()

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("start", overview.start, name="start"),
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("healthz/deep", health.deep, name="deep"),
    path("stream", stream.stream, name="stream"),
    path("traces/<trace:trace_id>/stop", stopping.stop_run, name="stop"),
    path("settings/containment", containment.rules, name="containment"),
    path("settings/audit", audit.audit, name="audit"),
    path("components", sheet.components, name="components"),
    path("theme", theme.set_theme, name="theme"),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", docs.docs, name="docs"),
    *unbuilt.urlpatterns,
]
