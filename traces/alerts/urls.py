"""Addresses of this room's pages."""

from django.urls import path

from traces.alerts import views

app_name = "alerts"
urlpatterns = [
    path("alerts", views.alert_list, name="list"),
    path("alerts/<uuid:alert_id>", views.alert_detail, name="alert"),
    path("alerts/<uuid:alert_id>/acknowledge", views.alert_acknowledge, name="acknowledge"),
    path("alerts/<uuid:alert_id>/resolve", views.alert_resolve, name="resolve"),
    path("alerts/<uuid:alert_id>/silence", views.alert_silence, name="silence"),
    path("alerts/<uuid:alert_id>/hear", views.alert_hear, name="hear"),
    path("mttd", views.mttd_page, name="mttd"),
]
