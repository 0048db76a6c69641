"""Addresses of the feed and of the channels' settings."""

from django.urls import path

from agentops.notify import feed, route_views, views

app_name = "notify"

urlpatterns = [
    path("feed", feed.feed, name="feed"),
    path("feed/read", feed.read, name="read"),
    path("settings/channels", views.channel_list, name="channels"),
    path("settings/channels/add", views.channel_add, name="channel_add"),
    path("settings/channels/routing", route_views.routing_page, name="routing"),
    path("settings/channels/routing/fallback", route_views.fallback_choose, name="fallback"),
    path("settings/channels/routing/add", route_views.route_add, name="route_add"),
    path("settings/channels/routing/<uuid:pk>/remove", route_views.route_remove, name="route_remove"),
    path("settings/channels/<uuid:pk>/takes", route_views.channel_takes, name="channel_takes"),
    path("settings/channels/<uuid:pk>", views.channel_detail, name="channel"),
    path("settings/channels/<uuid:pk>/edit", views.channel_edit, name="channel_edit"),
    path("settings/channels/<uuid:pk>/test", views.channel_test, name="channel_test"),
    path("settings/channels/<uuid:pk>/pause", views.channel_pause, name="channel_pause"),
    path("settings/channels/<uuid:pk>/resume", views.channel_resume, name="channel_resume"),
    path("settings/channels/<uuid:pk>/secret", views.channel_secret, name="channel_secret"),
    path("settings/channels/<uuid:pk>/delete", views.channel_delete, name="channel_delete"),
]
