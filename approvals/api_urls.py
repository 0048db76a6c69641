"""Addresses of the gate under /api/v1/."""

from django.urls import path

from approvals import api

app_name = "approvals-api"
urlpatterns = [
    path("approvals", api.ApprovalList.as_view(), name="approvals"),
    path("approvals/<str:approval_id>", api.ApprovalDetail.as_view(), name="approval"),
    path("approvals/<str:approval_id>/claim", api.ApprovalClaim.as_view(), name="claim"),
    path("approvals/<str:approval_id>/result", api.ApprovalResult.as_view(), name="result"),
    path("approvals/<str:approval_id>/cancel", api.ApprovalCancel.as_view(), name="cancel"),
]
