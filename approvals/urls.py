"""Addresses of this room's pages."""

from django.urls import path

from approvals import views

app_name = "approvals"
urlpatterns = [
    path("approvals", views.approval_list, name="list"),
    path("approvals/<uuid:approval_id>", views.approval_detail, name="approval"),
    path("approvals/<uuid:approval_id>/decide", views.approval_decide, name="decide"),
]
