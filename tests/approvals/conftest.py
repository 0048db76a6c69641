"""Loopback ports as allowed places, and two people who may decide."""

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Role
from tests.builders import make_membership, make_user, signed_in
from tests.notify.conftest import allow

__all__ = ["allow"]


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.APPROVER, user=make_user(name="Ines Duarte"))


@pytest.fixture
def other(member: Membership) -> Membership:
    return make_membership(member.project, Role.APPROVER, make_user(name="Tomas Reyes"))


@pytest.fixture
def client(member: Membership) -> Client:
    """The browser of the first of them."""
    client = signed_in(member)
    client.get("/accounts/profile")  # the first page notes in the session when it began
    return client
