"""The ledger: what becomes of each batch adds up, whatever is sent, and can be read on a page and by id."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentops.accounts.models import Membership, Role
from agentops.web.navigation import counters
from tests.builders import make_membership, signed_in
from tests.traces.api import Api
from tests.traces.builders import step
from tests.traces.otlp import JSON, PROTOBUF, Exporter, protobuf, request, span
from traces.models import IngestBatch, Span

pytestmark = pytest.mark.django_db
SIGNED_IN = 3

STEPS = st.builds(
    step,
    st.integers(-1, 3),
    trace=st.sampled_from(["a", "b", "", "x" * 201]),
    text=st.sampled_from([None, "fine", "a\0b", "one", "two"]),
    event_type=st.sampled_from(["tool_call", "error", "thought"]),
    timestamp=st.sampled_from(["2026-03-16T12:00:00Z", "1970-01-01T00:00:00Z", "yesterday"]),
)
STATUSES = st.builds(
    lambda trace, status: {"trace_id": trace, "trace_status": status},
    st.sampled_from(["a", "b"]),
    st.sampled_from(["running", "ok", "error", "done"]),
)
ITEMS = st.lists(STEPS | STATUSES | st.sampled_from([None, 3, {}, []]), max_size=6)
SPANS = st.lists(
    st.builds(
        lambda number, text, fields: span(number, {"a": text}, **fields),
        st.integers(1, 3),
        st.sampled_from(["fine", "a\0b", ""]),
        st.sampled_from([{}, {"spanId": "0" * 16}, {"traceId": "1" * 30}, {"traceId": "2" * 32}, {"spanId": ""}]),
    ),
    max_size=6,
)
ANY_BATCH = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.VIEWER)


@pytest.fixture
def api(member: Membership) -> Api:
    return Api(member.project)


@pytest.fixture
def exporter(member: Membership) -> Exporter:
    return Exporter(member.project)


@pytest.fixture
def client(member: Membership) -> Client:
    client = signed_in(member)
    client.get("/accounts/profile")
    return client


@ANY_BATCH
@given(items=ITEMS)
def test_what_the_native_door_received_is_accepted_duplicate_or_rejected(api: Api, items: list[Any]) -> None:
    before = Span.objects.of(api.project).count()
    said = api.post(items).json()
    assert len(items) == said["accepted"] + said["duplicates"] + len(said["rejected"])
    assert said["repaired"] <= said["accepted"]
    kept = api.get(f"ingest/batches/{said['batch_id']}").json()
    assert kept["received"] == len(items)
    for name in ("accepted", "duplicates", "repaired", "rejected", "traces"):
        assert kept[name] == said[name]
    assert Span.objects.of(api.project).count() - before <= said["accepted"]
    again = api.post(items).json()
    assert again["rejected"] == said["rejected"]
    assert len(items) == again["accepted"] + again["duplicates"] + len(again["rejected"])


@ANY_BATCH
@given(spans=SPANS, kind=st.sampled_from([JSON, PROTOBUF]))
def test_what_the_otlp_door_received_is_accepted_duplicate_or_rejected(
    exporter: Exporter, spans: list[dict[str, Any]], kind: str
) -> None:
    before = Span.objects.of(exporter.project).count()
    sent = request(*spans)
    for nth in range(2):
        assert exporter.post(json.dumps(sent).encode() if kind == JSON else protobuf(sent), kind).status_code == 200
        if not spans:
            continue
        batch = IngestBatch.objects.of(exporter.project).latest("received_at", "id")
        assert batch.received == len(spans) == batch.accepted + batch.duplicates + batch.rejected_count
        assert batch.accepted == (0 if nth else Span.objects.of(exporter.project).count() - before)


def figures(page: str) -> list[int]:
    """Return the sums at the top of the page: received, accepted, duplicates, repaired, rejected."""
    return [int(found.replace(",", "")) for found in re.findall(r'<p class="figure[^"]*">([\d,]+)</p>', page)]


def test_the_page_sums_what_the_filters_leave_and_its_rows_lead_to_each_batch(client: Client, api: Api) -> None:
    page = client.get("/ingest/batches").content.decode()
    assert "Nothing was received" in page
    assert figures(page) == [0, 0, 0, 0, 0]
    first = api.post([step(1), step(1), step(2, text="a\0b"), step(-1), 3]).json()["batch_id"]
    second = api.post(step(3)).json()["batch_id"]
    Exporter(api.project).send(span(1), span(2))
    IngestBatch.objects.create(
        project=api.project, source="import", received=9, accepted=9, duplicates=0, repaired=0, rejected_count=0,
        rejected=[], traces=[], received_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    for query, sums, rows in (
        ("", [8, 5, 1, 1, 2], [second, first]),
        ("?source=native", [6, 3, 1, 1, 2], [second, first]),
        ("?source=otlp", [2, 2, 0, 0, 0], []),
        ("?rejected=1&window=7d", [8, 5, 1, 1, 2], [first]),
        ("?source=other", [8, 5, 1, 1, 2], []),
        ("?window=100y&after=nonsense", [8, 5, 1, 1, 2], [second, first]),
    ):
        page = client.get(f"/ingest/batches{query}").content.decode()
        assert figures(page) == sums, query
        shown = re.findall(r'href="/ingest/batches/([0-9a-f]{32})"', page)
        assert [one for one in shown if one in {first, second}] == rows, query
    assert "No batch matches" in client.get("/ingest/batches?source=other").content.decode()


def test_a_batch_is_found_by_the_id_in_its_answer_with_its_reasons_and_traces(client: Client, api: Api) -> None:
    said = api.post([step(1), step(2, trace="<b>other"), {**step(3), "event_type": "<i>thought"}, 3]).json()
    page = client.get(f"/ingest/batches/{said['batch_id']}").content.decode()
    for trace in said["traces"]:
        assert f'href="/traces/{trace}"' in page
    for words in ("/event_type", "must be one of tool_call", "the whole item", "must be an object", "&lt;b&gt;other"):
        assert words in page
    many = api.post([step(n, trace=f"t-{n}") for n in range(60)] + [3] * 130).json()["batch_id"]
    page = client.get(f"/ingest/batches/{many}").content.decode()
    assert "30 more were rejected" in page
    assert "10 more traces" in page
    for nothing in ("x", "0" * 32, said["batch_id"][:-1]):
        assert client.get(f"/ingest/batches/{nothing}").status_code == 404


def test_the_list_goes_on_by_key_and_costs_the_same_however_long(
    client: Client, api: Api, django_assert_num_queries: Any
) -> None:
    for number in range(55):
        api.post(step(number))
    with django_assert_num_queries(SIGNED_IN + len(counters) + 2):
        page = client.get("/ingest/batches").content.decode()
    after = re.search(r"after=([\w-]+)", page)
    assert after
    with django_assert_num_queries(SIGNED_IN + 1):
        rest = client.get("/ingest/batches", {"after": after[1]}, headers={"HX-Request": "true"}).content.decode()
    assert (page.count('id="b-'), rest.count('id="b-'), "<h1>" in rest) == (50, 5, False)
