"""Addresses of this room's pages."""

from django.urls import path

from agentops.runtime import views

app_name = "runs"
urlpatterns = [
    path("runs", views.run_list, name="list"),
    path("runs/new", views.run_new, name="new"),
    path("runs/<uuid:run_id>", views.run_detail, name="run"),
    path("runs/<uuid:run_id>/cancel", views.run_cancel, name="cancel"),
]
