"""The command that makes keys."""

import pytest
from django.core.management import CommandError, call_command

from agentops.accounts.authenticate import authenticate
from agentops.accounts.models import ApiKey
from tests.builders import bearer, make_membership, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def admin():
    return make_membership(make_project("default"))


def test_a_key_is_printed_alone_on_stdout_and_works(capsys, rf, admin):
    call_command("createkey", "ci", "--scopes", "ingest,read")
    printed = capsys.readouterr()
    assert printed.out.startswith("aop_live_")
    assert authenticate(rf.get("/", headers=bearer(printed.out.strip()))).scopes == ["ingest", "read"]
    assert ApiKey.objects.get().created_by == admin.user
    assert "ingest, read in default" in printed.err


def test_without_scopes_a_key_may_everything_a_key_may(capsys):
    call_command("createkey", "all", "--days", "0")
    assert ApiKey.objects.get().scopes == ["gate", "ingest", "manage", "read", "run"]
    assert ApiKey.objects.get().expires_at is None


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (["--scopes", "approve"], "--scopes takes", 2),
        (["--days", "-1"], "--days takes", 2),
        (["--project", "nowhere"], "no project nowhere", 1),
    ],
)
def test_wrong_use_is_one_sentence(arguments, says, code):
    with pytest.raises(CommandError, match=says) as error:
        call_command("createkey", "x", *arguments)
    assert error.value.returncode == code
