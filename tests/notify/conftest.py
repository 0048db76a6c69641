"""Loopback ports as allowed places, and what the room announces."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from agentops.notify import signals
from tests.receivers import Receiver


@pytest.fixture
def allow(settings: Any) -> Callable[..., None]:
    """Allow these receivers: `allow(receiver, another)`."""

    def allow_receivers(*receivers: Receiver) -> None:
        settings.OUTBOUND_ALLOW = tuple((ip_network("127.0.0.1/32"), receiver.port) for receiver in receivers)

    return allow_receivers


@pytest.fixture
def announced() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every announcement, by the name of its signal."""
    heard: list[tuple[str, dict[str, Any]]] = []
    receivers = []
    for name in ("delivered", "channel_failing", "channel_recovered"):

        def hear(signal: Any, sender: Any, _name: str = name, **said: Any) -> None:
            heard.append((_name, said))

        receivers.append((getattr(signals, name), hear))
        getattr(signals, name).connect(hear)
    yield heard
    for signal, hear in receivers:
        signal.disconnect(hear)
