"""Addresses of this room's pages."""

from django.urls import path

from traces import addresses
from traces.alerts import mttd_views, silence_views, views, why

addresses.register()

app_name = "alerts"
urlpatterns = [
    path("alerts", views.alert_list, name="list"),
    path("alerts/<uuid:alert_id>", views.alert_detail, name="alert"),
    path("alerts/<uuid:alert_id>/acknowledge", views.alert_acknowledge, name="acknowledge"),
    path("alerts/<uuid:alert_id>/resolve", views.alert_resolve, name="resolve"),
    path("alerts/<uuid:alert_id>/silence", views.alert_silence, name="silence"),
    path("alerts/<uuid:alert_id>/hear", views.alert_hear, name="hear"),
    path("alerts/<uuid:alert_id>/why", why.alert_why, name="why"),
    path("why/<trace:trace_id>", why.trace_why, name="trace-why"),
    path("silences", silence_views.silence_list, name="silences"),
    path("silences/add", silence_views.silence_add, name="silence-add"),
    path("silences/<uuid:silence_id>", silence_views.silence_detail, name="silence-page"),
    path("silences/<uuid:silence_id>/end", silence_views.silence_end, name="silence-end"),
    path("mttd", mttd_views.mttd_page, name="mttd"),
    path("demotions/<uuid:demotion_id>/lift", mttd_views.demotion_lift, name="lift"),
]
