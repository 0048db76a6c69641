"""The desk of the runtime's tests, whose runs are stopped here."""

from tests.runtime.conftest import desk

__all__ = ["desk"]
