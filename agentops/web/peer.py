"""Who is on the other end of a connection."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_ipv46_address
from django.http import HttpRequest


def client_ip(request: HttpRequest) -> str | None:
    """Return the peer's address, or None for a peer without one (a Unix socket).

    X-Forwarded-For is read only as far as our own proxies wrote it: from the right, AGENTOPS_TRUSTED_PROXIES entries.
    """
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    trusted = settings.TRUSTED_PROXIES
    ip = hops[-trusted] if 0 < trusted <= len(hops) else request.META.get("REMOTE_ADDR", "")
    try:
        validate_ipv46_address(ip)
    except ValidationError:
        return None
    return str(ip)
