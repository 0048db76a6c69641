"""`manage.py up`: Postgres, broker, tables, sandbox, web, worker and sweeper, in this order, from one command."""

import argparse
import errno
import http.client
import json
import os
import socket
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TypedDict

from agentops.embedded import broker, postgres, sandbox
from agentops.embedded.fork import fork, load
from agentops.embedded.home import CREDENTIALS_FILE, Home
from agentops.embedded.output import write_line
from agentops.embedded.process import ServiceError
from agentops.embedded.supervisor import Part, StoppedError, Supervisor
from agentops.env import Env, read_env

CHECKOUT = Path(__file__).resolve().parents[2]
WEB_TIMEOUT_S = 60.0
BACKLOG = 2_048
# What a server that listens on all addresses is called on its own machine.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
LOOPBACK = ("127.0.0.1", "::1")
ELSEWHERE = "Other machines are answered only by the address in AGENTOPS_PUBLIC_URL: set it to the one they use."
LAST_PORT = 65_535


class Options(argparse.Namespace):
    port: int
    host: str
    no_browser: bool


class Prepared(TypedDict):
    """What the process that prepared the installation found: the sign-in link, and whether alerts reach anybody."""

    link: str | None
    is_anybody_told: bool


def up(arguments: Sequence[str]) -> int:
    """Run until someone asks us to stop. Returns the exit code."""
    options = _parse(arguments)
    home = Home(read_env())
    home.make()
    if not home.claim():
        raise ServiceError(f"AgentOps already runs on {home.path} (process {home.owner()}).")
    with ExitStack() as doors:
        door = doors.enter_context(closing(bind(options.host, options.port)))
        home.make_secrets()
        _set_environment(home, door)
        supervisor = Supervisor()
        try:
            if not read_env().agentops_sandbox_url:
                _start_sandbox(supervisor, home, doors.enter_context(closing(sandbox.bind())))
            prepared = _start(supervisor, read_env(), home, door)
            _announce(read_env(), prepared, options)
            supervisor.keep()
        except StoppedError:
            pass
        finally:
            home.prepared.unlink(missing_ok=True)
            write_line("agentops", "stopping.")
            supervisor.stop()
            home.release()
    write_line("agentops", "stopped.")
    return 0


def _parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser("manage.py up", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen on (8000; 0 takes a free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the sign-in link in a browser")
    parser.add_argument("--data-dir", help="where everything is kept (.agentops)")
    options = parser.parse_args(arguments, namespace=Options())
    if not 0 <= options.port <= LAST_PORT:
        parser.error(f"argument --port: {options.port} is no port: they go from 0 to {LAST_PORT}")
    return options


def bind(host: str, port: int) -> socket.socket:
    """Take the port before anything starts. We keep it: while web starts again, callers wait and are not refused.

    Raises ServiceError for one that is taken or that cannot be used.
    """
    where = f"Port {port} on {host}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, socket.SOCK_STREAM)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections have it from their door. Without it each answer, which is written in two pieces, waits 40 ms for
        # the first to be confirmed.
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        door.bind(address)
        door.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise ServiceError(f"{where} is taken: stop what uses it, or choose another with --port.") from None
        raise ServiceError(f"{where} cannot be used: {getattr(error, 'strerror', None) or error}.") from None
    return door


def _set_environment(home: Home, door: socket.socket) -> None:
    """Say to all children, through the environment, what this start decided."""
    host, port = door.getsockname()[:2]
    reachable = EVERYWHERE.get(host, f"[{host}]" if ":" in host else host)
    os.environ.setdefault("AGENTOPS_PUBLIC_URL", f"http://{reachable}:{port}")
    os.environ["AGENTOPS_DATA_DIR"] = str(home.path)
    os.environ.setdefault("AGENTOPS_LOG_FORMAT", "text")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))


def _start(supervisor: Supervisor, env: Env, home: Home, door: socket.socket) -> Prepared:
    """Start everything in order and return what there is to say."""
    if not env.broker_url:
        _start_broker(supervisor, home)
    database = None if env.database_url else _launch_postgres(supervisor, home)
    load()  # while Postgres starts
    if database:
        supervisor.wait_for(database, timeout_s=postgres.START_TIMEOUT_S)
    prepared = _prepare(supervisor)
    home.prepared.touch()
    webs = [_web(door, is_shared=env.agentops_web_processes > 1) for _ in range(env.agentops_web_processes)]
    for part in (*webs, _command("worker", "worker"), _command("sweeper", "sweep")):
        supervisor.launch(part)
    supervisor.wait_for(webs[0], timeout_s=WEB_TIMEOUT_S)
    return prepared


def _start_sandbox(supervisor: Supervisor, home: Home, door: socket.socket) -> None:
    """Start what stands in for the model and for what tools reach. Its address stays the same when it starts again."""
    os.environ["AGENTOPS_SANDBOX_URL"] = sandbox.url(door)
    launch = partial(sandbox.launch, door, home.path)
    part = Part("sandbox", launch, lambda _: sandbox.is_ready(door), sandbox.STOP_SIGNAL, stage=1)
    supervisor.start(part, timeout_s=sandbox.START_TIMEOUT_S)


def _start_broker(supervisor: Supervisor, home: Home) -> None:
    messages = broker.Broker(home.path, home.sockets)
    part = Part("broker", messages.launch, lambda _: messages.is_ready(), broker.STOP_SIGNAL, 1.5, stage=1)
    part.mend, part.noise = messages.forget, broker.NOISE
    supervisor.start(part, timeout_s=postgres.START_TIMEOUT_S)


def _launch_postgres(supervisor: Supervisor, home: Home) -> Part:
    database = postgres.Postgres(home.path, home.sockets)
    if database.create():
        write_line("agentops", f"made a Postgres cluster in {database.data}.")
    part = Part("postgres", database.launch, lambda process: database.is_ready(process.pid), postgres.STOP_SIGNAL, 2.5)
    supervisor.launch(part)
    return part


def _prepare(supervisor: Supervisor) -> Prepared:
    """Migrate, and make the installation on a first start; in a process of its own, whose memory goes with it."""
    reading_end, writing_end = os.pipe()
    from agentops.embedded import prepare  # loaded by now

    main = partial(prepare.main, writing_end)
    try:
        supervisor.run_once("prepare", partial(fork, main, "agentops: prepare", keep=[writing_end]))
    finally:
        os.close(writing_end)
    with os.fdopen(reading_end, encoding="utf-8") as answer:
        found: Prepared = json.load(answer)
        return found


def _web(door: socket.socket, *, is_shared: bool) -> Part:
    """Return one of the processes that share the door: who has fewest senders takes the next connection."""
    from agentops.web import server  # loaded by now

    fd = door.fileno()
    main = partial(server.serve, fd, is_shared=is_shared)
    launch = partial(fork, main, "agentops: web", keep=[fd])
    return Part("web", launch, lambda _: _answers(door), stage=2)


def _command(name: str, command: str) -> Part:
    """Return a part that does what `manage.py` does with this command."""
    from agentops.embedded.commands import run

    return Part(name, partial(fork, partial(run, [command]), f"agentops: {name}"), stage=2)


def _answers(door: socket.socket) -> bool:
    """Ask /readyz whether the web process has its database, migrated."""
    host, port = door.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", "/readyz", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _announce(env: Env, prepared: Prepared, options: Options) -> None:
    """Tell the person where to go. The link is for them alone, so it goes to stdout and into no log."""
    credentials, link = env.data_dir / CREDENTIALS_FILE, prepared["link"]
    lines = [
        f"AgentOps is ready: {env.agentops_public_url}",
        ELSEWHERE if options.host in EVERYWHERE and env.public_host in LOOPBACK else "",
        f"Sign in, once and within 10 minutes: {link}" if link else "",
        f"Credentials: {credentials}" if credentials.exists() else "",
        "" if prepared["is_anybody_told"] else "no channel configured: alerts show only here",
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines if line))
    sys.stdout.flush()
    if link and sys.stdout.isatty() and not options.no_browser:
        webbrowser.open(link)
