"""What a model call costs: as its sender says, else by its tokens and list prices, else nobody knows."""

import itertools
import json
import random
import re
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from genai_prices import Usage, calc_price
from genai_prices.data import providers

from agentops.accounts.models import Project, Role
from tests.builders import make_membership, make_project, signed_in
from tests.traces.api import Api
from tests.traces.builders import send, step
from tests.traces.otlp import TOOL, Exporter, child, log, read, span
from traces.export import export
from traces.ingest.cost import NEW_AT_MOST, Estimator, Tokens, money, price
from traces.models import Session, Span, Trace

SONNET = "claude-sonnet-4-5-20250929"  # $3 in, $15 out, $0.30 from the cache, $3.75 to it, a million tokens
AT = datetime(2026, 11, 20, tzinfo=UTC)
# 321 plain, 1,000 read from the cache, 200 written to it, 50 out.
COST = Decimal("0.002763")
ANTHROPIC = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.response.model": SONNET}
USAGE = {"gen_ai.usage.input_tokens": 1521, "gen_ai.usage.output_tokens": 50}


def usage(tokens: int, cached: int, written: int = 0, output: int = 100) -> dict[str, Any]:
    said = {"input_tokens": tokens, "cache_read.input_tokens": cached, "cache_creation.input_tokens": written}
    return {f"gen_ai.usage.{name}": n for name, n in said.items()} | {"gen_ai.usage.output_tokens": output}


def call(number: int, trace: str = "t-1", **fields: Any) -> dict[str, Any]:
    said = {"model": SONNET, "input_tokens": 1_000, "output_tokens": 100, "tool_name": None, **fields}
    return step(number, trace, event_type="model_response", **said)


@pytest.fixture
def exporter(db: None) -> Exporter:
    return Exporter(make_project(), "ingest")


@pytest.mark.parametrize(
    ("sent", "cost"),
    [
        ((5, 128_955, 1_253), "0.04490025"),  # given without the cache
        ((17_903, 17_817, 0), "0.0071031"),  # given with it
        ((19, 39_000, 0), "0.013257"),
    ],
    ids=str,
)
def test_what_a_cache_holds_is_paid_once_and_at_its_own_price(
    exporter: Exporter, sent: tuple[int, int, int], cost: str
) -> None:
    exporter.send(span(1, ANTHROPIC | usage(*sent)))
    (found,) = exporter.spans()
    assert (found.cost_usd, found.estimated_usd) == (None, Decimal(cost))
    trace = exporter.trace()
    assert (trace.cost_usd, trace.estimated_usd, trace.priced, trace.unpriced) == (Decimal(cost), Decimal(cost), 1, 0)


INFERENCE, LANGSMITH, LANGFUSE = "llm.token_count.", "langsmith.", "langfuse.observation."
VERCEL = {"ai.operationId": "ai.generateText.doGenerate", "ai.model.id": SONNET, "ai.usage.inputTokens": 1521,
          "ai.usage.outputTokens": 50, "ai.model.provider": "anthropic.messages"}  # fmt: skip
CACHE = "gen_ai.usage."
SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "semconv": ("", ANTHROPIC | usage(1521, 1000, 200, 50)),
    "anthropic_sdk": ("com.anthropic.sdk.python", ANTHROPIC | USAGE | {
        f"{CACHE}cache_read.input_tokens": 1000, f"{CACHE}cache_write.input_tokens": 200}),
    "openllmetry": ("", {
        "llm.request.type": "chat", "gen_ai.system": "Anthropic", "gen_ai.request.model": SONNET,
        f"{CACHE}prompt_tokens": 1521, f"{CACHE}completion_tokens": 50,
        f"{CACHE}cache_read_input_tokens": 1000, f"{CACHE}cache_creation_input_tokens": 200}),
    "openinference": ("", {
        "openinference.span.kind": "LLM", "llm.model_name": SONNET, "llm.system": "anthropic",
        f"{INFERENCE}prompt": 1521, f"{INFERENCE}completion": 50, f"{INFERENCE}prompt_details.cache_read": 1000,
        f"{INFERENCE}prompt_details.cache_write": 200}),
    "pydantic_ai": ("pydantic-ai", ANTHROPIC | USAGE | {
        f"{CACHE}details.cache_read_tokens": 1000, f"{CACHE}details.cache_write_tokens": 200}),
    "vercel_ai": ("ai", VERCEL | {
        "ai.usage.cachedInputTokens": 1000, "ai.usage.inputTokenDetails.cacheWriteTokens": 200}),
    "langsmith": ("", USAGE | {
        f"{LANGSMITH}span.kind": "llm", f"{LANGSMITH}metadata.ls_model_name": SONNET,
        f"{LANGSMITH}metadata.ls_provider": "anthropic", f"{LANGSMITH}metadata.usage_metadata": json.dumps(
            {"input_token_details": {"cache_read": 1000, "cache_creation": 0, "ephemeral_5m_input_tokens": 200}})}),
    "langfuse": ("", {
        f"{LANGFUSE}type": "generation", f"{LANGFUSE}model.name": SONNET, f"{LANGFUSE}usage_details": json.dumps(
            {"input": 321, "input_cache_read": 1000, "input_cache_creation": 200, "output": 50})}),
    "claude_code": ("com.anthropic.claude_code.tracing", {
        "span.type": "llm_request", "model": SONNET, "input_tokens": 321, "cache_read_tokens": 1000,
        "cache_creation_tokens": 200, "output_tokens": 50}),
}  # fmt: skip


@pytest.mark.parametrize("dialect", SENT)
def test_each_dialect_gives_the_same_cost_for_the_same_call(exporter: Exporter, dialect: str) -> None:
    scope, said = SENT[dialect]
    found = read(said, scope)
    assert (found.input_tokens, found.cached_tokens, found.cache_written_tokens) == (1521, 1000, 200)
    exporter.send(span(1, said), scope=scope)
    assert [one.estimated_usd for one in exporter.steps()] == [COST]


@pytest.mark.parametrize(
    ("provider", "model", "known"),
    [
        ("anthropic", SONNET, True),
        (None, SONNET, True),
        ("azure.ai.openai", "gpt-4o-2024-11-20", True),
        ("gcp.gen_ai", "gemini-2.5-pro", True),
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("openai", SONNET, True),  # through a proxy that speaks its protocol
        ("Langchain", "openai/gpt-4o", True),
        ("openai", "m-1", False),
        ("anthropic", "claude-unheard-of", False),
        ("ollama", "deepseek-r1", False),  # a machine of one's own
        ("openai", "deepseek-r1:8b", False),
        ("", "\x00" * 200, False),
    ],
)
def test_a_price_is_that_of_the_provider_and_what_nobody_knows_is_not_zero(
    provider: str | None, model: str, known: bool
) -> None:
    found = Estimator().price(model, Tokens(1_000, 100), provider=provider, at=AT)
    assert (found is not None and found > 0) if known else found is None


def test_prices_are_those_of_the_package_for_every_model_at_every_length() -> None:
    rng, known = random.Random(7), 0
    models = [(seller, model) for seller in providers for model in seller.models if model.id]
    for seller, model in rng.sample(models, 150):
        total = rng.choice([900, 150_000, 250_000, 1_100_000])
        tokens = Tokens(total, 700, total // 3, total // 5)
        at = AT - timedelta(hours=rng.randrange(10_000))
        try:
            used = Usage(input_tokens=total, output_tokens=700, cache_read_tokens=tokens.cached,
                         cache_write_tokens=tokens.written)  # fmt: skip
            theirs = calc_price(used, model.id, provider_id=seller.id, genai_request_timestamp=at).total_price
        except LookupError:
            continue
        ours = Estimator().price(model.id, tokens, provider=seller.id, at=at)
        assert ours is None or ours == theirs.quantize(Decimal("1e-9")), (seller.id, model.id)
        known += ours is not None
    assert known > 120  # the others embed, are paid by the hour or the page, or have no price


def test_a_cache_larger_than_the_input_is_not_within_it() -> None:
    within, beside = Tokens(130_213, 100, 128_955, 1_253), Tokens(5, 100, 128_955, 1_253)
    found = [price(SONNET, tokens, provider="anthropic", at=AT) for tokens in (within, beside)]
    assert found == [Decimal("0.04490025")] * 2
    longer = Tokens(100_000, 0, 200_001)  # and counts for prices that go by the length of the request
    assert price(SONNET, longer, provider="anthropic", at=AT) == Decimal("0.7200006")


def test_names_that_a_sender_makes_up_are_not_looked_up_for_ever() -> None:
    estimator = Estimator()
    for number in range(NEW_AT_MOST + 1):
        estimator.price(f"made-up-{number}-{random.random()}", Tokens(1, 1), provider="anthropic", at=AT)
    assert estimator.price("claude-opus-4-5-20991231", Tokens(1, 1), provider="anthropic", at=AT) is None
    assert price("claude-opus-4-5-20991231", Tokens(1, 1), provider="anthropic", at=AT) is not None


def test_no_price_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("somebody asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert Estimator().price("gpt-4.1-mini", Tokens(10, 1), provider=None, at=AT) is not None


# A call that is told of piece by piece: by its span when it begins and when it has ended, by a record, by a bill.
PIECES: list[dict[str, Any]] = [
    {"model": None, "input_tokens": None, "output_tokens": None},
    {"model": SONNET, "provider": None, "input_tokens": 1521, "output_tokens": None},
    {"model": SONNET, "provider": "anthropic", "input_tokens": None, "output_tokens": 50},
    {"model": None, "input_tokens": None, "output_tokens": None, "cached_tokens": 1000, "cache_written_tokens": 200},
]
BILL = {"model": None, "input_tokens": None, "output_tokens": None, "cost_usd": 0.005}


def assert_sums(project: Project) -> None:
    """Assert that the sums on each trace's row are those of its spans."""
    effective = Coalesce("cost_usd", "estimated_usd")
    for trace in Trace.objects.of(project):
        spans = Span.objects.of(project).filter(trace_ref=trace)
        unknown = Q(event_type="model_response", cost_usd=None, estimated_usd=None) & ~Q(is_error=True)
        found = spans.aggregate(
            cost=Sum(effective), estimated=Coalesce(Sum("estimated_usd"), Decimal(0)), priced=Count(effective),
            unpriced=Count("span_id", filter=unknown), tokens=Sum("input_tokens"),
        )  # fmt: skip
        told = (trace.cost_usd, trace.estimated_usd, trace.priced, trace.unpriced, trace.input_tokens or None)
        assert told == tuple(found.values())
        assert not spans.filter(cost_usd__isnull=False, estimated_usd__isnull=False).exists()


@pytest.mark.django_db
def test_a_call_that_is_told_of_in_pieces_costs_the_same_in_any_order() -> None:
    for number, order in enumerate([*itertools.permutations(range(len(PIECES)))][::2]):
        project = make_project()
        send(project, *(call(1, **PIECES[place]) for place in order[: number % 3]))
        for place in order[number % 3 :]:
            send(project, call(1, **PIECES[place]))
            assert_sums(project)
        assert [one.estimated_usd for one in Span.objects.of(project)] == [COST]


@pytest.mark.django_db
@pytest.mark.parametrize("order", [1, -1])
def test_what_a_sender_says_of_the_cost_wins_over_the_estimate(order: int) -> None:
    project = make_project()
    for sent in [call(1), call(1, **BILL)][::order]:
        send(project, sent, call(2))
        assert_sums(project)
    first, second = Span.objects.of(project).order_by("step_number")
    assert (first.cost_usd, first.estimated_usd, second.cost_usd) == (Decimal("0.005"), None, None)
    trace = Trace.objects.of(project).get()
    assert (trace.cost_usd, trace.estimated_usd) == (Decimal("0.0095"), second.estimated_usd)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("at_once", [True, False])
def test_the_cost_in_a_log_record_wins_over_the_estimate_of_its_span(
    exporter: Exporter, order: int, at_once: bool
) -> None:
    scope = "com.anthropic.claude_code.tracing"
    spans = [
        span(1, {"span.type": "interaction"}),
        child(2, SENT["claude_code"][1] | {"request_id": "req_" + "a" * 20}),
    ]
    said = {"event.name": "api_request", "cost_usd": 0.0042, **SENT["claude_code"][1], "request_id": "req_" + "a" * 20}
    ways = [
        lambda: exporter.send(*spans, scope=scope),
        lambda: exporter.say(log(2, said), scope="com.anthropic.claude_code.events"),
    ]
    for way in ways[::order]:
        way()
        assert_sums(exporter.project)
    (found,) = exporter.steps()
    assert (found.cost_usd, found.estimated_usd) == (Decimal("0.0042"), None)
    trace = exporter.trace()
    assert (trace.cost_usd, trace.estimated_usd, trace.priced, trace.unpriced) == (Decimal("0.0042"), 0, 1, 0)


def test_a_call_that_two_libraries_tell_of_is_paid_once(exporter: Exporter) -> None:
    known = ANTHROPIC | usage(1521, 1000, 200, 50) | {"gen_ai.response.id": "msg_" + "b" * 20}
    aliased = known | {"gen_ai.response.model": "our-own-name"}
    exporter.send(span(1), child(2, known), scope="com.anthropic.sdk.python")
    assert exporter.trace().cost_usd == COST
    exporter.send(child(3, aliased))  # the span of the call, under a name that no price is known for
    assert_sums(exporter.project)
    trace = exporter.trace()
    assert (trace.cost_usd, trace.priced, trace.unpriced) == (None, 0, 1)


def test_a_trace_whose_only_call_another_trace_tells_of_costs_nothing_that_is_known(exporter: Exporter) -> None:
    known = ANTHROPIC | usage(1521, 1000, 200, 50) | {"gen_ai.response.id": "msg_" + "b" * 20}
    exporter.send(span(1), child(2, known), scope="com.anthropic.sdk.python")
    other = {"traceId": "f" * 32}
    exporter.send(span(3, **other), span(4, known, parentSpanId=f"{3:016x}", **other))
    first, second = Trace.objects.of(exporter.project).order_by("id")
    assert (first.cost_usd, first.estimated_usd, first.priced, first.steps) == (None, 0, 0, 0)
    assert (second.cost_usd, second.priced) == (COST, 1)
    assert_sums(exporter.project)


def test_a_trace_that_moves_takes_its_costs_along(exporter: Exporter) -> None:
    said = ANTHROPIC | usage(1521, 1000, 200, 50)
    exporter.send(span(1, said | {"gen_ai.conversation.id": "c-1"}, traceId=f"{1:032x}"))
    for number, known in ((3, said), (4, {**said, "gen_ai.response.model": "m-1"})):  # within what comes after them
        exporter.send(span(number, known, traceId=f"{2:032x}", parentSpanId=f"{2:016x}"))
    exporter.send(span(2, TOOL | {"gen_ai.conversation.id": "c-1"}, traceId=f"{2:032x}"))
    trace = exporter.trace()
    assert (trace.cost_usd, trace.estimated_usd, trace.priced, trace.unpriced) == (2 * COST, 2 * COST, 2, 1)
    assert_sums(exporter.project)


def test_threads_add_up(exporter: Exporter) -> None:
    said = ANTHROPIC | usage(1521, 1000, 200, 50) | {"gen_ai.conversation.id": "c-1"}
    for number in range(1, 4):
        unknown = {"gen_ai.response.model": "m-1"} if number == 2 else {}
        exporter.send(span(number, said | unknown, traceId=f"{number:032x}"))
    trace = exporter.trace()
    assert (trace.cost_usd, trace.priced, trace.unpriced) == (2 * COST, 2, 1)
    assert_sums(exporter.project)


@pytest.mark.django_db
def test_sums_are_those_of_the_spans_whatever_comes_in_whichever_order() -> None:
    rng = random.Random(11)
    choices: list[dict[str, Any]] = [
        *PIECES, BILL, {}, {"model": "m-1"}, {"provider": "ollama"}, {"is_error": True}, {"cost_usd": 1e-10},
        {"event_type": "tool_call"}, {"cost_usd": 0.1234567891234}, {"input_tokens": 7}, {"model": None},
    ]  # fmt: skip
    for _ in range(8):
        project = make_project()
        for _ in range(4):
            items = [call(rng.randrange(4), rng.choice("ab")) | rng.choice(choices) for _ in range(5)]
            send(project, *items)
            assert_sums(project)


@pytest.mark.django_db
def test_an_export_is_read_back_to_the_same_costs() -> None:
    project, other = make_project(), make_project()
    send(project, call(1, cached_tokens=700, cache_written_tokens=200), call(2, cost_usd=0.5), call(3, model="m-1"))
    lines = [json.loads(line) for line in export(Trace.objects.of(project).get())]
    assert not any("estimated_usd" in line for line in lines)
    again = send(other, *lines)
    columns = ("step_number", "cost_usd", "estimated_usd", "cache_written_tokens", "provider")
    assert list(Span.objects.of(other).values_list(*columns)) == list(Span.objects.of(project).values_list(*columns))
    assert_sums(other)
    assert send(other, *lines).accepted == 0
    assert again.accepted == 4


@pytest.mark.django_db
def test_the_api_says_what_is_estimated_and_what_is_unknown(api: Api) -> None:
    send(api.project, call(1), call(2, model="m-1"), call(3, cost_usd=0.5))
    send(api.project, call(1, "t-2", model="m-1"), call(1, "t-3", cost_usd=0.25), call(1, "t-4"))
    told = {one["external_trace_id"]: one for one in api.get("traces").json()["results"]}
    sums = {key: (one["cost_usd"], one["estimated_usd"], one["unpriced"]) for key, one in told.items()}
    assert sums == {"t-1": (0.5045, 0.0045, 1), "t-2": (None, 0, 1), "t-3": (0.25, 0, 0), "t-4": (0.0045, 0.0045, 0)}
    steps = api.get("traces/t-1/steps").json()["results"]
    assert [(one["cost_usd"], one["estimated_usd"]) for one in steps] == [(None, 0.0045), (None, None), (0.5, None)]


@pytest.mark.django_db
def test_pages_say_what_is_estimated_and_what_is_unknown() -> None:
    member = make_membership(role=Role.VIEWER)
    client = signed_in(member)
    send(member.project, *(call(n, session_id="s-1", **said) for n, said in enumerate(({}, {"model": "m"}, BILL))))
    send(member.project, call(0, "t-2", session_id="s-2", model="m"), call(0, "t-3"), call(0, "t-4", cost_usd=1))

    def cost(path: str, **query: str) -> list[str]:
        page = client.get(path, query).content.decode()
        return [re.sub(r"<[^>]+>", "", one) for one in re.findall(r"<dt>Cost</dt><dd>(.*?)</dd>", page)]

    partly, unknown, known = "at least $0.010 partly estimated", "unknown", "$1.00"
    assert [cost(f"/traces/{one}")[0] for one in ("t-1", "t-2", "t-4")] == [partly, unknown, known]
    assert cost("/traces/t-3")[0] == "$0.004 estimated"
    spans = Span.objects.of(member.project).filter(trace_ref__external_trace_id="t-1").order_by("step_number")
    shown = [cost("/traces/t-1", step=one.span_id)[1] for one in spans]
    assert shown == ["$0.004 estimated from tokens and list prices", unknown, "$0.005"]
    assert cost(Session.objects.of(member.project).get(session_id="s-1").get_absolute_url()) == [partly]
    for path in ("/traces", "/sessions"):
        page = client.get(path).content.decode()
        assert "≥$0.010" in page
        assert ">unknown<" in page


@pytest.mark.django_db
def test_money_is_as_exact_as_the_row_that_keeps_it() -> None:
    assert money(0.1234567891234) == Decimal("0.123456789")
    project = make_project()
    send(project, *(call(n, cost_usd=4e-10) for n in range(5)))
    assert_sums(project)
    assert Trace.objects.of(project).get().cost_usd == 0
