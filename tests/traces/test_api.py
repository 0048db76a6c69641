"""The door and the read API, as a client with a key meets them."""

import gzip
import json
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Project
from tests.builders import bearer, make_key, make_project
from tests.traces.builders import step
from traces.models import IngestBatch, Span, Trace

pytestmark = pytest.mark.django_db


class Api:
    """A client of one project."""

    def __init__(self, project: Project, *scopes: str) -> None:
        self.project = project
        self.headers = bearer(make_key(project, *scopes).token)
        self.client = Client(raise_request_exception=False)

    def post(self, body: Any, content_type: str = "application/json", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post("/api/v1/traces", data, content_type, headers={**self.headers, **headers})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query, headers=self.headers)


@pytest.fixture
def api() -> Api:
    return Api(make_project())


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


BODIES = {
    "empty": b"",
    "blank": b" \n",
    "malformed": b'{"trace_id": ',
    "two values": b"{} {}",
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "an object nested 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "not a number": b'[{"step_number": NaN}]',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_body_that_cannot_be_read_is_refused_whole(api: Api, body: bytes) -> None:
    answer = api.post(body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert not IngestBatch.objects.exists()


STEPS: dict[str, tuple[Any, list[str]]] = {
    "not an object": (3, [""]),
    "null": (None, [""]),
    "nothing": ({}, ["/trace_id", "/step_number", "/timestamp", "/event_type"]),
    "wrong types": (
        step(trace_id=7, step_number="1", duration_ms=-1, tools=[{"name": 3}], metadata=[]),
        ["/trace_id", "/step_number", "/duration_ms", "/tools/0/name", "/metadata"],
    ),
    "a trace id too long": (step(trace="x" * 201), ["/trace_id"]),
    "an empty trace id": (step(trace=""), ["/trace_id"]),
    "a number beyond 32 bits": (step(2**31), ["/step_number"]),
    "no time": (step(timestamp="yesterday"), ["/timestamp"]),
    "an unknown status": ({"trace_id": "t", "trace_status": "done"}, ["/trace_status"]),
}


@pytest.mark.parametrize(("item", "pointers"), STEPS.values(), ids=list(STEPS))
def test_a_wrong_step_is_rejected_alone_with_every_fault(api: Api, item: Any, pointers: list[str]) -> None:
    answer = api.post([item, step(1)]).json()
    assert answer["accepted"] == 1
    (rejection,) = answer["rejected"]
    assert rejection["index"] == 0
    assert sorted(error["pointer"] for error in rejection["errors"]) == sorted(pointers)


@pytest.mark.parametrize("number", [b"1e999", b"9" * 5000, b"-1e400"])
def test_a_number_that_no_machine_holds_rejects_its_step_alone(api: Api, number: bytes) -> None:
    bad = json.dumps(step(2, tool_input="HERE")).encode().replace(b'"HERE"', number)
    answer = api.post(b"[" + bad + b"," + json.dumps(step(1)).encode() + b"]").json()
    assert (answer["accepted"], len(answer["rejected"])) == (1, 1)


def test_nul_lone_surrogates_and_bad_utf8_are_repaired_and_counted(api: Api) -> None:
    body = json.dumps(
        [step(1, text="a\0b"), step(2, text="S"), step(3, text="B"), step(4, text="fine \\ud800")]
    ).encode()
    body = body.replace(b'"S"', b'"x\\ud83dy \\ud83d\\ude00"').replace(b'"B"', b'"\xff\xfe"')
    answer = api.post(body).json()
    assert (answer["accepted"], answer["repaired"], answer["rejected"]) == (4, 3, [])
    texts = [found["text"] for found in api.get("traces/t-1/steps").json()["results"]]
    assert texts == ["a\ufffdb", "x\ufffdy \U0001f600", "\ufffd", "fine \\ud800"]


@pytest.mark.parametrize("sent", ["9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
def test_an_absurd_time_becomes_that_of_receipt_and_the_original_is_kept(api: Api, sent: str) -> None:
    assert api.post(step(1, timestamp=sent)).json()["repaired"] == 1
    (found,) = api.get("traces/t-1/steps").json()["results"]
    assert found["timestamp"][:4] not in {"9999", "1970"}
    assert found["original_timestamp"][:10] == sent[:10]


def test_the_last_of_duplicate_keys_wins(api: Api) -> None:
    body = json.dumps(step(1)).encode()[:-1] + b', "tool_name": "first", "tool_name": "last"}'
    api.post(body)
    assert Span.objects.get().tool_name == "last"


def test_a_step_of_ten_megabytes_is_cut_and_says_so(api: Api) -> None:
    answer = api.post([step(1, tool_output="x" * 10_000_000, tool_input={"a": "y" * 10_000_000}), step(2)]).json()
    assert (answer["accepted"], answer["repaired"]) == (2, 1)
    found = api.get("traces/t-1/steps").json()["results"][0]
    assert found["tool_output"].endswith("… [cut: 10,000,002 characters]")
    assert found["tool_input"].endswith("… [cut: 10,000,008 characters]")


@pytest.mark.parametrize("depth", [201, 500, 930, 940, 5_000])
def test_an_item_nested_too_deeply_harms_no_neighbour(api: Api, depth: int) -> None:
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    body = json.dumps([step(1), step(2, metadata="HERE")]).encode().replace(b'"HERE"', nested)
    answer = api.post(body)
    if answer.status_code == 400:
        assert "nested too deeply" in answer.json()["detail"]
    else:
        assert answer.json()["accepted"] == 1
        assert answer.json()["rejected"][0]["errors"][0]["detail"] == "is nested too deeply"


@pytest.mark.parametrize(("body", "kind"), [(b"[" + b"1," * 20_000 + b"1]", "json"), (b"1\n" * 20_001, "x-ndjson")])
def test_a_body_of_too_many_items_is_refused_whole(api: Api, body: bytes, kind: str) -> None:
    assert api.post(body, f"application/{kind}").status_code == 413


def test_a_body_beyond_the_limit_is_refused_unread(api: Api) -> None:
    assert api.post(b"[" + b" " * 33_554_432 + b"]").status_code == 413
    bomb = gzip.compress(b" " * 200_000_000, 9)
    assert api.post(bomb, **{"Content-Encoding": "gzip"}).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"no gzip", 400), (gzip.compress(b"[]")[:-4], 400), (gzip.compress(b"[]") * 2, 400)],
    ids=["no gzip", "cut short", "two members"],
)
def test_broken_gzip_is_refused(api: Api, body: bytes, status: int) -> None:
    assert api.post(body, **{"Content-Encoding": "gzip"}).status_code == status


def test_other_encodings_and_types_are_refused(api: Api) -> None:
    assert api.post(b"x", **{"Content-Encoding": "br"}).status_code == 415
    assert api.post(b"x", "text/csv").status_code == 415


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
    ],
    ids=str,
)
def test_a_wrong_query_is_told_what_is_wrong(api: Api, query: dict[str, Any]) -> None:
    answer = api.get("traces", **query)
    assert answer.status_code == 400
    (name,) = query
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


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
    assert other.post(exported, "application/x-ndjson").json()["rejected"] == []
    for path in ("traces/t-1/steps", "sessions"):
        ours, theirs = (each.get(path).json()["results"] for each in (api, other))
        for row in ours + theirs:
            for moving in ("received_at", "last_received_at", "url"):
                row.pop(moving, None)
        assert ours == theirs
    assert other.get("traces/t-1").json()["status"] == "error"
