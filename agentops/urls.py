"""All addresses, room by room."""

from django.urls import URLPattern, URLResolver, include, path

from agentops.accounts.urls import sign_in_urlpatterns
from traces.api.urls import otlp_urlpatterns

urlpatterns: list[URLPattern | URLResolver] = [
    # What programs ask most comes first: to look through a hundred addresses of pages costs a third of a millisecond.
    *otlp_urlpatterns,
    path("api/v1/", include("traces.api.urls")),
    path("api/v1/", include("approvals.api_urls")),
    path("api/v1/", include("agentops.runtime.api_urls")),
    *sign_in_urlpatterns,
    path("", include("agentops.accounts.urls")),
    path("", include("agentops.console.urls")),
    path("", include("agentops.notify.urls")),
    path("", include("agentops.redaction.urls")),
    path("", include("traces.alerts.urls")),
    path("", include("traces.tuning.urls")),
    path("", include("approvals.urls")),
    path("", include("agentops.runtime.urls")),
    path("", include("traces.urls")),
]

handler400 = "agentops.web.errors.bad_request"
handler403 = "agentops.web.errors.permission_denied"
handler404 = "agentops.web.errors.not_found"
handler500 = "agentops.web.errors.server_error"
handler429 = "agentops.accounts.adapter.too_many"
