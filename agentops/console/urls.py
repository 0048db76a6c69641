"""Addresses of the pages that look at all rooms."""

from django.urls import path

from agentops.console import audit, health, stream

app_name = "console"
urlpatterns = [
    path("livez", health.livez, name="livez"),
    path("readyz", health.readyz, name="readyz"),
    path("stream", stream.stream, name="stream"),
    path("settings/audit", audit.audit, name="audit"),
]
