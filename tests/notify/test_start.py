"""What the start says about who is told."""

import pytest

from agentops.embedded.prepare import is_anybody_told
from agentops.embedded.up import Options, _announce
from agentops.env import Env
from agentops.notify.services import loopback
from tests.builders import make_project
from tests.notify.builders import make_channel

SENTENCE = "no channel configured: alerts show only here"


@pytest.mark.parametrize("is_told", [True, False])
def test_the_start_says_so_while_nobody_is_told(is_told, capsys, tmp_path):
    env = Env(agentops_data_dir=str(tmp_path))
    _announce(env, {"link": None, "is_anybody_told": is_told}, Options(no_browser=True, host="127.0.0.1"))
    assert (SENTENCE not in capsys.readouterr().out) == is_told


@pytest.mark.django_db
def test_only_an_open_channel_that_reaches_people_counts():
    project = make_project()
    loopback(project)
    for closed in ("paused_at", "gone_at", "deleted_at"):
        make_channel(project, **{closed: "2026-01-01T00:00Z"})
    assert not is_anybody_told()
    make_channel(project)
    assert is_anybody_told()
