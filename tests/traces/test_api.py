"""The door and the read API, as a client with a key meets them."""

import gzip
import json
from typing import Any

import pytest
from django.test import Client

from tests.builders import bearer, make_key, make_project
from tests.traces.api import Api
from tests.traces.builders import step
from traces.api.serializers import TraceOut
from traces.models import Trace

pytestmark = pytest.mark.django_db


def test_a_step_goes_in_and_comes_out_as_it_was_sent(api: Api) -> None:
    sent = step(
        3,
        trace="any string",
        session_id="s-1",
        tool_input={"b": 1, "a": [1.5, None, "x"]},
        tool_output={"rows": []},
        model_thinking="hm",
        context_token_count=812,
        duration_ms=120,
        metadata={"a.b": 1, "__proto__": {"x": 1}},
        is_error=False,
        tools=[{"name": "search_database", "schema": {"type": "object"}, "risk": "low"}],
    )
    answer = api.post(sent)
    assert answer.status_code == 200
    assert {"accepted": 1, "duplicates": 0, "repaired": 0, "rejected": []}.items() <= answer.json().items()
    (trace_id,) = answer.json()["traces"]
    (found,) = api.get(f"traces/{trace_id}/steps").json()["results"]
    assert {**sent, "trace_id": trace_id}.items() <= found.items()
    assert list(found["tool_input"]) == ["b", "a"]
    for address in (trace_id, "any string"):
        trace = api.get(f"traces/{address}").json()
        assert (trace["external_trace_id"], trace["session_id"], trace["steps"]) == ("any string", "s-1", 1)
    assert api.get("traces", session="s-1").json()["results"][0]["trace_id"] == trace_id


@pytest.mark.parametrize(
    "body",
    [step(), [step()], {"steps": [step()]}],
    ids=["one", "a list", "an object of steps"],
)
def test_each_form_of_a_body_is_read(api: Api, body: Any) -> None:
    assert api.post(body).json()["accepted"] == 1
    assert api.post(body, "application/json; charset=utf-8").json()["duplicates"] == 1


def test_gzip_is_unpacked(api: Api) -> None:
    packed = gzip.compress(json.dumps([step()]).encode())
    assert api.post(packed, **{"Content-Encoding": "gzip"}).json()["accepted"] == 1


def test_a_broken_line_harms_no_neighbour(api: Api) -> None:
    lines = [json.dumps(step(1)), "{broken", json.dumps(step(2)), "", json.dumps({**step(3), "event_type": "thought"})]
    answer = api.post("\n".join(lines).encode(), "application/x-ndjson").json()
    assert answer["accepted"] == 2
    assert [item["index"] for item in answer["rejected"]] == [1, 3]
    assert answer["rejected"][1]["errors"] == [
        {"pointer": "/event_type", "detail": "must be one of tool_call, model_response, error, human_gate"}
    ]
    batch = api.get(f"ingest/batches/{answer['batch_id']}").json()
    assert (batch["received"], batch["accepted"], batch["rejected_count"]) == (4, 2, 2)
    assert batch["rejected"] == answer["rejected"]


def test_a_key_is_needed_and_must_have_the_scope() -> None:
    project = make_project()
    assert Client().post("/api/v1/traces", b"[]", "application/json").status_code == 401
    assert Api(project, "read").post([step()]).status_code == 403
    assert Api(project, "ingest").get("traces").status_code == 403
    assert not Trace.objects.exists()


def test_nothing_of_another_project_can_be_seen(api: Api) -> None:
    other = Api(make_project())
    answer = api.post(step(session_id="s-1")).json()
    missing = other.get("traces/none")
    paths = ["traces/t-1", "traces/t-1/steps", "traces/t-1/export", "sessions/s-1"]
    for path in [*paths, f"traces/{answer['traces'][0]}", f"ingest/batches/{answer['batch_id']}"]:
        assert api.get(path).status_code == 200
        refused = other.get(path)
        assert (refused.status_code, refused.content) == (404, missing.content)
    assert other.get("traces", session="s-1").json()["results"] == []


def test_a_list_is_walked_by_key_without_gaps_while_rows_arrive(api: Api) -> None:
    for i in range(7):
        api.post(step(trace=f"t-{i}", agent="desk" if i % 2 else "bot"))
    seen: list[str] = []
    after = ""
    while after is not None:
        page = api.get("traces", limit=2, after=after).json()
        seen += [trace["external_trace_id"] for trace in page["results"]]
        after = page["next"]
        api.post(step(trace=f"late-{len(seen)}"))
    assert seen == [f"t-{i}" for i in reversed(range(7))]
    assert len(api.get("traces", agent="desk").json()["results"]) == 3


@pytest.mark.parametrize(
    "query",
    [
        {"after": "nonsense"},
        {"after": "WzEsMl0"},
        {"after": "WyJ4IiwieSJd"},
        {"limit": 201},
        {"limit": 0},
        {"since": "x"},
        {"agnet": "x"},
        {"status": "x"},
        {"name__regex": "x"},
        {"id) OR 1=1--": "x"},
        {'"a""b"': "x"},
        {"agent;DROP": "x"},
    ],
    ids=str,
)
def test_a_wrong_query_is_told_what_is_wrong(api: Api, query: dict[str, Any]) -> None:
    answer = api.get("traces", **query)
    assert answer.status_code == 400
    (name,) = query
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize(
    "value", ["x' OR '1'='1", "%", "a;DROP TABLE traces_trace", '"a""b"', "{x}", "__regex", "\u202e"]
)
def test_the_value_of_a_filter_is_compared_as_it_is(api: Api, value: str) -> None:
    api.post([step(1, trace="that", agent=value, session_id=value, tool_name=value), step(1, trace="other", agent="b")])
    for name in ("agent", "session", "tool"):
        found = api.get("traces", **{name: value}).json()["results"]
        assert [trace["external_trace_id"] for trace in found] == ["that"], name


def test_a_trace_has_the_fields_that_the_document_says(api: Api) -> None:
    api.post(step(1))
    (listed,) = api.get("traces").json()["results"]
    one = api.get(f"traces/{listed['trace_id']}").json()
    assert listed == one
    assert list(listed) == list(TraceOut().fields)
    assert (listed["started_at"][-1], listed["ended_at"][-1], listed["stopped_at"]) == ("Z", "Z", None)


def test_steps_come_in_step_order_page_by_page(api: Api) -> None:
    api.post([step(i) for i in (5, 1, 4, 2, 3)])
    first = api.get("traces/t-1/steps", limit=3).json()
    second = api.get("traces/t-1/steps", limit=3, after=first["next"]).json()
    assert [found["step_number"] for found in first["results"] + second["results"]] == [1, 2, 3, 4, 5]
    assert second["next"] is None


def test_a_list_costs_two_queries_whatever_its_length(api: Api, django_assert_num_queries: Any) -> None:
    for i in range(5):
        api.post([step(1, trace=f"t-{i}", session_id=f"s-{i}"), step(2, trace=f"t-{i}")])
    api.get("traces")  # the key is known from here on
    with django_assert_num_queries(2):
        api.get("traces")
    with django_assert_num_queries(2):
        api.get("sessions")
    with django_assert_num_queries(2):
        api.get("traces/t-1/steps")


def test_the_export_keeps_the_agent_that_no_step_names(api: Api) -> None:
    api.post(step(1, agent=None))
    agent = api.get("traces/t-1").json()["agent"]
    assert agent
    exported = b"".join(api.get("traces/t-1/export").streaming_content)
    other = Client(headers=bearer(make_key(make_project(), name="another").token))
    other.post("/api/v1/traces", exported, "application/x-ndjson")
    assert other.get("/api/v1/traces/t-1").json()["agent"] == agent


def test_the_export_of_a_trace_read_by_another_project_is_the_same_trace(api: Api) -> None:
    api.post(
        [
            step(
                1, session_id="s", agent="desk", trace_name="Refund", text="x\u202e", tool_input={"q": [1, {"a": None}]}
            ),
            step(2, span_id="abc", parent_span_id="root", event_type="model_response", cost_usd=0.1, model="m"),
            step(3, event_type="human_gate", decision="approved", approval_id="a-1", duration_ms=0.5),
            {"trace_id": "t-1", "trace_status": "error"},
        ]
    )
    exported = b"".join(api.get("traces/t-1/export").streaming_content)
    other = Api(make_project())
    first, again = (other.post(exported, "application/x-ndjson").json() for _ in range(2))
    assert (first["accepted"], first["duplicates"], first["rejected"]) == (5, 0, [])
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 5, [])
    for path in ("traces/t-1/steps", "sessions"):
        ours, theirs = (each.get(path).json()["results"] for each in (api, other))
        for row in ours + theirs:
            for moving in ("received_at", "last_received_at", "url"):
                row.pop(moving, None)
        assert ours == theirs
    assert other.get("traces/t-1").json()["status"] == "error"
