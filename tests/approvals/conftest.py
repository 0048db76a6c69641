"""Loopback ports as allowed places, as in the room of messages."""

from tests.notify.conftest import allow

__all__ = ["allow"]
