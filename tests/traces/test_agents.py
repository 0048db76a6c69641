"""A project has so many agents and no more: a name for each run drowns neither lists nor alerts, and loses no step."""

import pytest

from tests.builders import make_project
from tests.traces.api import Api
from tests.traces.builders import step
from tests.traces.otlp import AGENT, Exporter, span
from traces.ingest import agents
from traces.models import Trace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "MAX_AGENTS", 3)


def agent_of(api: Api, trace: str) -> str:
    agent: str = api.get(f"traces/{trace}").json()["agent"]
    return agent


def test_traces_of_further_agents_go_under_one_name_and_their_steps_say_so(api: Api) -> None:
    said = api.post([step(1, trace=name, agent=name) for name in "abcdeb"]).json()
    assert (said["accepted"], said["duplicates"], said["repaired"], said["rejected"]) == (5, 1, 2, [])
    assert [agent_of(api, name) for name in "abcde"] == ["a", "b", "c", "other agents", "other agents"]
    assert api.get("traces/d/steps").json()["results"][0]["agent"] == "d"
    assert len(api.get("traces", agent="other agents").json()["results"]) == 2
    other = Api(make_project())
    assert other.post(step(1, trace="d", agent="d")).json()["repaired"] == 0, "each project has its own"


def test_a_process_that_starts_knows_the_agents_there_are(api: Api) -> None:
    api.post([step(1, trace=name, agent=name) for name in "abc"])
    agents._known.clear()
    assert api.post(step(2, trace="new", agent="b")).json()["repaired"] == 0
    assert api.post(step(1, trace="d", agent="d")).json()["repaired"] == 1


def test_an_agent_whose_traces_are_gone_makes_room_within_a_minute(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.post([step(1, trace=name, agent=name) for name in "abc"])
    Trace.objects.filter(agent="b").delete()
    assert api.post(step(1, trace="d", agent="d")).json()["repaired"] == 1
    monkeypatch.setattr(agents, "FRESH_S", 0)
    agents._known[api.project.pk].fresh_until = 0
    assert api.post(step(1, trace="e", agent="e")).json()["repaired"] == 0
    assert [agent_of(api, name) for name in "de"] == ["other agents", "e"]


def test_services_and_agents_of_spans_are_counted_alike() -> None:
    exporter = Exporter(make_project())
    for number, name in enumerate("abcd"):
        exporter.send(span(1, traceId=f"{number + 1:032x}"), service_name=name)
    exporter.send(span(1, AGENT | {"gen_ai.agent.name": "e"}, traceId=f"{9:032x}"), service_name="a")
    found = Trace.objects.of(exporter.project).order_by("trace_id").values_list("agent", flat=True)
    assert list(found) == ["a", "b", "c", "other agents", "other agents"]
    assert [one.repaired for one in exporter.spans()].count(True) == 2


def test_names_are_looked_up_once_a_minute_and_not_for_each_batch(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    look = agents.Known._look
    monkeypatch.setattr(agents.Known, "_look", lambda known: (looked.append(1), look(known)))
    for number in range(4):
        api.post([step(number, trace=name, agent=name) for name in "abcde"])
    assert len(looked) == 1


def test_a_key_lends_its_name_until_a_step_says_who_the_agent_is(api: Api) -> None:
    api.post(step(1, event_type="human_gate", tool_name=None, text="Where is my order?", agent="Ada"))
    assert agent_of(api, "t-1") == "test"
    api.post(step(2, agent="support"))
    api.post(step(3, agent="helper"))
    assert agent_of(api, "t-1") == "support"


def test_an_agent_that_is_called_like_its_key_keeps_its_name(api: Api) -> None:
    api.post(step(1, agent="test"))
    api.post(step(2, agent="helper"))
    assert agent_of(api, "t-1") == "test"
