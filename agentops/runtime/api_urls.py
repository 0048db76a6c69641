"""Addresses of runs, under /api/v1/."""

from django.urls import path

from agentops.runtime import api

app_name = "runs-api"
urlpatterns = [
    path("runs", api.RunList.as_view(), name="runs"),
    path("runs/<str:run_id>", api.RunDetail.as_view(), name="run"),
    path("runs/<str:run_id>/cancel", api.RunCancel.as_view(), name="cancel"),
]
