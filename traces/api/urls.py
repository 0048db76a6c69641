"""Addresses under /api/v1/, and those where OTLP is spoken."""

from django.urls import path

from traces import addresses
from traces.api import alerts, detectors, drills, mttd, otlp, read

addresses.register()

app_name = "traces-api"
otlp_urlpatterns = [
    path("v1/traces", otlp.post_traces),
    path("v1/logs", otlp.post_logs),
    path("v1/metrics", otlp.post_metrics),
    path("api/public/otel/v1/traces", otlp.post_traces),
]
urlpatterns = [
    path("traces", read.TraceList.as_view(), name="traces"),
    # In this order a step is found whatever its id ends in.
    path("traces/<trace:trace_id>/steps/<any:span_id>", read.StepDetail.as_view(), name="step"),
    path("traces/<trace:trace_id>/steps", read.StepList.as_view(), name="steps"),
    path("traces/<trace:trace_id>/export", read.TraceExport.as_view(), name="export"),
    path("traces/<trace:trace_id>", read.TraceDetail.as_view(), name="trace"),
    path("sessions", read.SessionList.as_view(), name="sessions"),
    path("sessions/<any:session_id>", read.SessionDetail.as_view(), name="session"),
    path("findings", alerts.FindingList.as_view(), name="findings"),
    path("alerts", alerts.AlertList.as_view(), name="alerts"),
    path("alerts/<str:alert_id>", alerts.AlertDetail.as_view(), name="alert"),
    path("alerts/<str:alert_id>/acknowledge", alerts.AlertAcknowledge.as_view(), name="acknowledge"),
    path("alerts/<str:alert_id>/resolve", alerts.AlertResolve.as_view(), name="resolve"),
    path("detectors", detectors.DetectorList.as_view(), name="detectors"),
    path("detectors/<str:name>", detectors.DetectorDetail.as_view(), name="detector"),
    path("drills", drills.Drills.as_view(), name="drills"),
    path("mttd", mttd.Mttd.as_view(), name="mttd"),
    path("ingest/batches/<str:batch_id>", read.BatchDetail.as_view(), name="batch"),
]
