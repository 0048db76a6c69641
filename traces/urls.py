"""Addresses of this room's pages."""

from django.urls import path

from traces import addresses, views

addresses.register()

app_name = "traces"
urlpatterns = [
    path("traces", views.trace_list, name="list"),
    path("traces/<trace:trace_id>", views.trace_detail, name="trace"),
    path("ingest", views.ingest, name="ingest"),
    path("ingest/batches", views.batch_list, name="batches"),
    path("ingest/batches/<str:batch_id>", views.batch_detail, name="batch"),
    path("sessions", views.session_list, name="sessions"),
    path("sessions/<uuid:session_id>", views.session_detail, name="session"),
]
