"""What the outbound tests share: loopback ports as allowed places, certificates, and proof that nothing was dialled."""

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agentops.outbound import client

Allow = Callable[..., None]


@pytest.fixture
def allow(settings: Any) -> Allow:
    """Allow loopback at these ports: `allow(receiver.port)`."""

    def allow_ports(*ports: int, network: str = "127.0.0.1/32") -> None:
        settings.OUTBOUND_ALLOW = tuple((ip_network(network), port) for port in ports)

    return allow_ports


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every connection that was tried; none of them succeeds."""
    tried: list[tuple[str, int]] = []

    def dial(place: str, port: int, timeout_s: float) -> socket.socket:
        tried.append((place, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(client, "dial", dial)
    return tried


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context for the name hooks.example.com, which clients trust while the test runs."""
    client._tls.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    yield server_context(tmp_path, "hooks.example.com")
    client._tls.cache_clear()


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
