"""Addresses of redaction's settings."""

from django.urls import path

from agentops.redaction import views

app_name = "redaction"

urlpatterns = [
    path("settings/redaction", views.rules, name="rules"),
    path("settings/redaction/<uuid:pk>/remove", views.rule_remove, name="rule_remove"),
]
