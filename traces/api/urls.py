"""Addresses under /api/v1/."""

from django.urls import path

from traces.api import read

app_name = "traces-api"
urlpatterns = [
    path("traces", read.TraceList.as_view(), name="traces"),
    path("traces/<path:trace_id>/steps", read.StepList.as_view(), name="steps"),
    path("traces/<path:trace_id>/steps/<path:span_id>", read.StepDetail.as_view(), name="step"),
    path("traces/<path:trace_id>/export", read.TraceExport.as_view(), name="export"),
    path("traces/<path:trace_id>", read.TraceDetail.as_view(), name="trace"),
    path("sessions", read.SessionList.as_view(), name="sessions"),
    path("sessions/<path:session_id>", read.SessionDetail.as_view(), name="session"),
    path("ingest/batches/<str:batch_id>", read.BatchDetail.as_view(), name="batch"),
]
