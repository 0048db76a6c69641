"""The settings a person may give, read from the environment once, typed, with one clear sentence for a bad value."""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec


class SettingsError(Exception):
    """Raised for a setting that cannot be used; the message is one sentence for the person who starts the server."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """The server that takes our mail; `security` says when the line is encrypted: from the start, after a greeting."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    security: Literal["", "starttls", "tls"] = ""
    sender: str


class Env(msgspec.Struct, frozen=True, kw_only=True):
    """One field for each variable; every variable may also be given as NAME_FILE, the path of a file that holds it."""

    database_url: str = ""
    broker_url: str = ""
    agentops_secret_key: str = ""
    agentops_audit_key: str = ""
    agentops_encryption_key: str = ""
    agentops_public_url: str = "http://127.0.0.1:8000"
    agentops_data_dir: str = ".agentops"
    agentops_web_processes: int = 2
    agentops_retention_days: int = 90
    agentops_outbound_allow: str = ""
    agentops_drill_every_s: int = 600
    agentops_deadman_url: str = ""
    agentops_debug: bool = False
    agentops_trusted_proxies: int = 0
    agentops_log_format: Literal["auto", "json", "text"] = "auto"
    agentops_sandbox_url: str = ""
    agentops_tool_packs: str = "support_desk"
    anthropic_api_key: str = ""
    anthropic_base_url: str = ""
    email_url: str = ""

    @property
    def data_dir(self) -> Path:
        return Path(self.agentops_data_dir).expanduser().absolute()

    @property
    def logs_are_text(self) -> bool:
        """People read a terminal, programs read the rest."""
        return self.agentops_log_format == "text" or (self.agentops_log_format == "auto" and sys.stderr.isatty())

    @property
    def is_https(self) -> bool:
        return self.agentops_public_url.startswith("https://")

    @property
    def public_host(self) -> str:
        return urlsplit(self.agentops_public_url).hostname or ""

    @property
    def outbound_allow(self) -> tuple[tuple[IPv4Network | IPv6Network, int], ...]:
        """Places in our own network that may be called although they are: networks, each with one port."""
        return tuple(_place(place) for place in self.agentops_outbound_allow.replace(",", " ").split())

    @property
    def tool_packs(self) -> tuple[str, ...]:
        return tuple(self.agentops_tool_packs.replace(",", " ").split())

    @property
    def mail(self) -> Mail | None:
        """The mail server, if there is one. Raises SettingsError."""
        return _mail(self.email_url, self.public_host) if self.email_url else None

    @property
    def own_origins(self) -> frozenset[tuple[str, int]]:
        """Host and port of this installation and of its services: no address that somebody typed leads there."""
        places = (
            self.agentops_public_url,
            self.database_url,
            self.broker_url,
            self.agentops_sandbox_url,
            self.email_url,
        )
        urls = map(urlsplit, places)
        return frozenset((url.hostname, url.port or DEFAULT_PORTS.get(url.scheme, 0)) for url in urls if url.hostname)

    @property
    def socket_dir(self) -> Path:
        """Where the embedded services listen. The name of a Unix socket has at most 103 bytes on some systems."""
        path = self.data_dir / "run"
        if len(os.fsencode(path / ".s.PGSQL.5432.lock")) <= 100:
            return path
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"agentops-{os.getuid()}-{digest}"


BROKER_SOCKET = "broker.sock"
SHORTEST_DRILLS_S = 60
DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "smtp": 25,
    "smtp+tls": 587,
    "smtps": 465,
}
MOST_WEB_PROCESSES = 4  # each may hold eighteen of the embedded Postgres's connections
SECRETS_FILE = "secrets.json"
SECRET_NAMES = ("agentops_secret_key", "agentops_audit_key", "agentops_encryption_key")


def read_env(environ: Mapping[str, str] | None = None) -> Env:
    """Return the settings. Raises SettingsError.

    Secrets that the environment does not give come from `<data dir>/secrets.json`, written by the first `up`.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name in Env.__struct_fields__ if (value := _read(environ, name.upper())) is not None}
    try:
        env = msgspec.convert(given, Env, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    _check(env)
    missing = [name for name in SECRET_NAMES if not getattr(env, name)]
    return msgspec.structs.replace(env, **_saved_secrets(env.data_dir, missing)) if missing else env


def _read(environ: Mapping[str, str], name: str) -> str | None:
    path = environ.get(f"{name}_FILE")
    if path and name in environ:
        raise SettingsError(f"{name} and {name}_FILE are both set; keep one of them.")
    if not path:
        return environ.get(name)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE names {path}, which cannot be read: {error}.") from None


def _sentence(error: msgspec.ValidationError) -> str:
    problem, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`').upper()} has a value of the wrong kind: {problem[:1].lower()}{problem[1:]}."


def _check(env: Env) -> None:
    _check_ports(env)
    url = urlsplit(env.agentops_public_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise SettingsError("AGENTOPS_PUBLIC_URL must look like https://agentops.example.com.")
    _check_services(env)
    if env.agentops_drill_every_s and env.agentops_drill_every_s < SHORTEST_DRILLS_S:
        raise SettingsError(f"AGENTOPS_DRILL_EVERY_S must be 0, for no drills, or at least {SHORTEST_DRILLS_S}.")
    deadman = urlsplit(env.agentops_deadman_url)
    if deadman.geturl() and (deadman.scheme not in {"http", "https"} or not deadman.hostname):
        raise SettingsError("AGENTOPS_DEADMAN_URL must look like https://watch.example.com/ping.")
    if not 1 <= env.agentops_web_processes <= MOST_WEB_PROCESSES:
        raise SettingsError(f"AGENTOPS_WEB_PROCESSES must be from 1 to {MOST_WEB_PROCESSES}.")
    if env.agentops_retention_days < 1:
        raise SettingsError("AGENTOPS_RETENTION_DAYS must be 1 or more.")
    if env.database_url and urlsplit(env.database_url).scheme not in {"postgres", "postgresql"}:
        raise SettingsError("DATABASE_URL must start with postgresql:// and name a Postgres of version 15 or newer.")
    if env.broker_url and urlsplit(env.broker_url).scheme not in BROKER_SCHEMES:
        raise SettingsError(f"BROKER_URL must start with one of {', '.join(sorted(BROKER_SCHEMES))} and ://.")


def _check_services(env: Env) -> None:
    """Check whom the built-in agent calls. Its tools never call this installation: a tool could approve itself."""
    for name in ("agentops_sandbox_url", "anthropic_base_url"):
        url = urlsplit(getattr(env, name))
        if url.geturl() and (url.scheme not in {"http", "https"} or not url.hostname):
            raise SettingsError(f"{name.upper()} must look like http://127.0.0.1:8100.")
    public, sandbox = urlsplit(env.agentops_public_url), urlsplit(env.agentops_sandbox_url)
    if sandbox.hostname and (sandbox.hostname, sandbox.port) == (public.hostname, public.port):
        raise SettingsError("AGENTOPS_SANDBOX_URL must not be AGENTOPS_PUBLIC_URL: tools would call this installation.")


def _check_ports(env: Env) -> None:
    for name in (
        "agentops_public_url",
        "agentops_deadman_url",
        "database_url",
        "broker_url",
        "agentops_sandbox_url",
        "anthropic_base_url",
    ):
        try:
            _ = urlsplit(getattr(env, name)).port
        except ValueError:
            raise SettingsError(f"{name.upper()} is not an address: its port must be a number.") from None
    _ = env.outbound_allow, env.mail


def _mail(email_url: str, public_host: str) -> Mail:
    try:
        url = urlsplit(email_url)
        port = url.port or DEFAULT_PORTS.get(url.scheme)
    except ValueError:
        port = None
    if port is None or url.scheme not in MAIL_SECURITY or not url.hostname:
        raise SettingsError("EMAIL_URL must look like smtp+tls://user:password@mail.example.com:587.")
    return Mail(
        host=url.hostname,
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        security=MAIL_SECURITY[url.scheme],
        sender=parse_qs(url.query).get("from", [f"agentops@{public_host}"])[0],
    )


def _place(text: str) -> tuple[IPv4Network | IPv6Network, int]:
    network, _, port = text.rpartition(":")
    try:
        if ":" in network and "/" not in network and not network.startswith("["):
            raise ValueError("an IPv6 address needs its prefix length or brackets")
        place = ip_network(network.strip("[]")), int(port)
        if not 0 < place[1] < 65_536:
            raise ValueError("there is no such port")
    except ValueError as error:
        raise SettingsError(
            f"AGENTOPS_OUTBOUND_ALLOW lists networks with a port, such as 10.1.0.0/16:8443; {text} is not one: {error}."
        ) from None
    return place


MAIL_SECURITY: dict[str, Literal["", "starttls", "tls"]] = {"smtp": "", "smtp+tls": "starttls", "smtps": "tls"}
BROKER_SCHEMES = {"redis", "rediss", "redis+socket", "amqp", "amqps"}


def require_secrets(env: Env) -> None:
    """Raise SettingsError where a server would run on secrets that nobody gave and nobody keeps."""
    if missing := [name.upper() for name in SECRET_NAMES if not getattr(env, name)]:
        raise SettingsError(f"{', '.join(missing)} must be set, or `manage.py up` must have made {SECRETS_FILE}.")


def _saved_secrets(data_dir: Path, names: list[str]) -> dict[str, str]:
    path = data_dir / SECRETS_FILE
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from None
    return {name: saved[name] for name in names if name in saved}
