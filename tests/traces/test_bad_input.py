"""Bad input at the native door: a clear answer, and no harm to its neighbours."""

import gzip
import json
from typing import Any

import pytest

from tests.traces.api import Api
from tests.traces.builders import step
from traces.models import IngestBatch, Span

pytestmark = pytest.mark.django_db


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


KEYS = [
    "__proto__",
    "constructor.prototype.x",
    "__class__",
    "a.b.c",
    "a",
    "",
    "😀",
    "\u202e",
    "line\nbreak",
    "k" * 10_000,
]


def test_keys_of_metadata_are_kept_flat_and_a_nul_in_one_is_repaired(api: Api) -> None:
    sent = dict.fromkeys(KEYS, "v")
    answer = api.post([step(1, metadata=sent), step(2, metadata={"n\0ul": 1})]).json()
    assert (answer["accepted"], answer["repaired"]) == (2, 1)
    first, second = api.get("traces/t-1/steps").json()["results"]
    assert (first["metadata"], second["metadata"]) == (sent, {"n\ufffdul": 1})
    assert api.get(f"ingest/batches/{answer['batch_id']}").json()["repaired"] == 1


def test_numbers_at_the_edge_are_kept_or_rejected_with_their_place(api: Api) -> None:
    kept, wide, far = step(1, tool_input={"a": -0.0, "b": 2**64}), step(2, input_tokens=2**64), step(3, cost_usd=1e300)
    answer = api.post([kept, wide, far]).json()
    assert answer["accepted"] == 1
    pointers = [one["errors"][0]["pointer"] for one in answer["rejected"]]
    assert pointers == ["/input_tokens", "/cost_usd"]
    assert api.get("traces/t-1/steps").json()["results"][0]["tool_input"] == {"a": 0, "b": 2**64}


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


@pytest.mark.parametrize("inside", [b"[],", b"0,", b'"\\"",'], ids=["lists", "numbers", "texts"])
def test_a_body_of_a_million_values_is_refused_before_it_is_decoded(api: Api, inside: bytes) -> None:
    body = json.dumps(step(metadata={"a": "HERE"})).encode().replace(b'"HERE"', b"[" + inside * 1_000_000 + b"0]")
    answer = api.post(body)
    assert (answer.status_code, "1,000,000 values" in answer.json()["detail"]) == (413, True)


@pytest.mark.parametrize("text", ["a, [b], {c} " * 200_000, '\\",' * 1_000_000], ids=["commas", "quotes"])
def test_what_separates_values_does_not_count_within_a_text(api: Api, text: str) -> None:
    assert api.post(step(text=text)).json()["accepted"] == 1


def test_a_text_without_an_end_takes_no_longer_to_refuse(api: Api) -> None:
    assert api.post(b"," * 1_000_001 + b'\\"' * 1_000_000).status_code in {400, 413}


def test_a_body_beyond_the_limit_is_refused_unread(api: Api) -> None:
    assert api.post(b"[" + b" " * 33_554_432 + b"]").status_code == 413
    bomb = gzip.compress(b" " * 64_000_000, 9)
    assert api.post(bomb, **{"Content-Encoding": "gzip"}).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no gzip", 400),
        (gzip.compress(b"[]")[:-4], 400),
        (gzip.compress(b"[]") * 2, 400),
        (gzip.compress(b"[]") + b"more", 400),
        (gzip.compress(gzip.compress(b"[]")), 400),
        (b"\x1f\x8c" + gzip.compress(b"[]")[2:], 400),
    ],
    ids=["no gzip", "cut short", "two members", "something behind", "packed twice", "a wrong head"],
)
def test_broken_gzip_is_refused(api: Api, body: bytes, status: int) -> None:
    assert api.post(body, **{"Content-Encoding": "gzip"}).status_code == status


def test_other_encodings_and_types_are_refused(api: Api) -> None:
    for encoding in ("br", "deflate", "zstd", "gzip, gzip"):
        assert api.post(b"x", **{"Content-Encoding": encoding}).status_code == 415
    assert api.post(b"x", "text/csv").status_code == 415
