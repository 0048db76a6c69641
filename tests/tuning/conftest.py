"""An admin, their project, and their browser."""

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Project
from tests.builders import make_membership, signed_in


@pytest.fixture
def admin() -> Membership:
    return make_membership()


@pytest.fixture
def project(admin: Membership) -> Project:
    return admin.project


@pytest.fixture
def client(admin: Membership) -> Client:
    return signed_in(admin)
