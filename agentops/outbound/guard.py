"""Where a request may go: never into our own network, unless AGENTOPS_OUTBOUND_ALLOW names the place.

Decided by networks, not by flags such as `is_private`, which miss several of these.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from django.conf import settings

from agentops.outbound.address import Address
from agentops.outbound.errors import OutboundError, Reason

IP = IPv4Address | IPv6Address
Place = tuple[IPv4Network | IPv6Network, int]

PORTS = frozenset({443, 8443})

_DENIED_4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
]
_DENIED_6 = [
    IPv6Network(network)
    for network in (
        "::/96",  # unspecified, loopback, and IPv4 in its oldest disguise
        "64:ff9b:1::/48",  # NAT64 of one's own network
        "100::/64",
        "2001::/23",  # Teredo and other protocols
        "2002::/16",  # 6to4
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = ip_network("64:ff9b::/96")
# Names that lead inside wherever they resolve, and names without a dot.
_INSIDE = (".localhost", ".internal", ".local", ".localdomain", ".lan", ".home.arpa", ".intranet", ".corp", ".home")


def check(address: Address) -> None:
    """Refuse what can be refused before the name is resolved. Raises OutboundError."""
    is_open = _is_usual(address) or any(port == address.port for _, port in settings.OUTBOUND_ALLOW)
    if not is_open or address.origin in _own_origins():
        raise OutboundError(Reason.NOT_ALLOWED)
    if address.ip:
        check_all(address, [address.ip])


def check_all(address: Address, found: Iterable[IP]) -> None:
    """Refuse the address unless it may be called at every one of the IP addresses that its name has."""
    usual = _is_usual(address)
    for ip in found:
        is_own = (str(unwrapped(ip)), address.port) in _own_origins()
        if is_own or not (is_excepted(ip, address.port) or (usual and not is_denied(ip))):
            raise OutboundError(Reason.NOT_ALLOWED)


def _is_usual(address: Address) -> bool:
    """Whether the address needs no exception to be called where it is public."""
    return address.scheme == "https" and address.port in PORTS and not leads_inside(address.host)


def _own_origins() -> frozenset[tuple[str, int]]:
    """Host and port of this installation and of the services that it stands on."""
    origins: frozenset[tuple[str, int]] = settings.OUTBOUND_OWN_ORIGINS
    return origins


def leads_inside(host: str) -> bool:
    name = host.rstrip(".")
    return ":" not in name and ("." not in name or name.endswith(_INSIDE))


def is_excepted(ip: IP, port: int) -> bool:
    allowed: tuple[Place, ...] = settings.OUTBOUND_ALLOW
    ip = unwrapped(ip)
    return any(port == open_port and ip.version == network.version and ip in network for network, open_port in allowed)


def is_denied(ip: IP) -> bool:
    ip = unwrapped(ip)
    if isinstance(ip, IPv4Address):
        return any(ip in network for network in _DENIED_4)
    return ip.scope_id is not None or any(ip in network for network in _DENIED_6)


def unwrapped(ip: IP) -> IP:
    """Return the IPv4 address that an IPv6 address carries, where the network would go to it."""
    if isinstance(ip, IPv6Address) and (ip in _MAPPED or ip in _NAT64):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
