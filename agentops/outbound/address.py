"""Addresses as people type them: what is an https address, and what only looks like one."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from agentops.outbound.errors import OutboundError, Reason

LONGEST = 2_000
DEFAULT_PORTS = {"https": 443, "http": 80}

_PRINTABLE = re.compile(r"[!-~]+")  # no space, tab, newline or NUL, nothing beyond ASCII
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
# `0`, `0x7f.1`, `017700000001`, `2130706433`: names that resolvers take for IPv4 addresses.
_NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?")


@dataclass(frozen=True, slots=True)
class Address:
    """`host` is lower case and has no brackets; `target` is path and query, as the request line has it."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        return literal(self.host)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, int]:
        return self.host.rstrip("."), self.port


def parse(url: str) -> Address:
    """Return the address, or raise OutboundError with a sentence for the person who typed it.

    Refused is whatever two readers could understand differently: credentials, backslashes, spaces, fragments, hosts
    beyond ASCII.
    """
    if len(url) > LONGEST:
        raise _bad(f"An address has at most {LONGEST} characters.")
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise _bad("Write the address in plain ASCII, without spaces; a name beyond ASCII in its xn-- form.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad("The port is not a number, or the brackets do not close.") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise _bad("An address starts with https:// and the name of a host.")
    if "@" in parts.netloc:
        raise _bad("Leave name and password out of the address.")
    if "#" in url:
        raise _bad("Leave out what follows #: it is never sent.")
    if port == 0:
        raise _bad("There is no port 0.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, _host(parts.hostname), port or DEFAULT_PORTS[parts.scheme], target)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that the host is written as, if it is."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _host(host: str) -> str:
    if literal(host):
        return host
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise _bad("The name of the host has characters that no name has.")
    if _NUMERIC.fullmatch(host):
        raise OutboundError(Reason.NOT_ALLOWED)
    return host


def _bad(sentence: str) -> OutboundError:
    return OutboundError(Reason.BAD_ADDRESS, sentence)
