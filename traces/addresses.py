"""Ids in addresses: senders choose them, so that any character may stand in one."""

from functools import cache

from django.urls import register_converter
from django.urls.converters import StringConverter


class AnyText(StringConverter):
    """An id as it was sent, with slashes and line breaks."""

    regex = "(?s:.+)"


class TraceAddress(StringConverter):
    """A trace by its id of the wire, which is tried first and always leads there, or by the sender's own string."""

    regex = "(?:[0-9a-f]{32}|(?s:.+))"


@cache
def register() -> None:
    """Make both known to routes, once."""
    register_converter(AnyText, "any")
    register_converter(TraceAddress, "trace")
