"""Search, as a client with a key and a person at the page meet it: words, beginnings, phrases, and how far it lags."""

from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Role
from agentops.jobs.runner import run_due
from tests.builders import make_membership, make_project, signed_in
from tests.traces.api import Api
from tests.traces.builders import step
from traces.models import DetectJob, IngestBatch, Trace
from traces.search import find, index
from traces.search.models import TraceWords
from traces.search.tasks import index_what_came

pytestmark = pytest.mark.django_db


def catch_up() -> None:
    """Let the clock and the job do what they do each second."""
    index_what_came()
    run_due(["index"], overdue_s=0, for_s=10)


def search(api: Api, text: str, **query: Any) -> list[str]:
    answer = api.get("traces", q=text, **query)
    assert answer.status_code == 200, answer.content
    return [trace["external_trace_id"] for trace in answer.json()["results"]]


@pytest.fixture
def shop(api: Api) -> Api:
    """Three traces about a shop, in the order c, b, a."""
    found = {"q": "order 1001"}, {"note": "was not\ndelivered yet"}
    api.post(step(1, "a", agent="desk", tool_input=found[0], tool_output=found[1]))
    api.post(step(2, "a", event_type="model_response", text="I will refund the Teapot."))
    api.post(step(1, "b", text="Delivered, not refundable.", model_thinking="Hm, zebra"))
    api.post(step(1, "c", tool_name="issue_refund", error="HTTP 502 from shop.example", session_id="session-77"))
    catch_up()
    return api


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("teapot", ["a"]),
        ("TEAPOT", ["a"]),
        ("refund", ["c", "a"]),
        ("refun*", ["c", "b", "a"]),
        ("refund teapot", ["a"]),
        ("refund zebra", []),
        ("delivered 1001", ["a"]),
        ('"not delivered"', ["a"]),
        ('"delivered not"', ["b"]),
        ('"not deliv*"', ["a"]),
        ('"the teapot" 1001', ["a"]),
        ('"the teapot" "not delivered"', ["a"]),
        ('"the teapot" "delivered not"', []),
        ("issue_refund", ["c"]),
        ("refund_issue", []),
        ("shop.example", ["c"]),
        ("502", ["c"]),
        ("desk", ["a"]),
        ("session-77", ["c"]),
        ("zebras", []),
    ],
    ids=str,
)
def test_words_beginnings_and_phrases_are_found_in_whatever_a_step_says(shop: Api, text: str, found: list[str]) -> None:
    assert search(shop, text) == found


def test_words_stand_beside_the_other_filters(shop: Api) -> None:
    assert search(shop, "refund", agent="desk") == ["a"]
    assert search(shop, "refund", tool="issue_refund") == ["c"]
    assert search(shop, "refund", status="ok") == []
    assert search(shop, "refund", session="session-77", since="2020-01-01T00:00:00Z") == ["c"]
    assert search(Api(make_project()), "refund") == []


def test_a_result_shows_the_step_and_the_words_around_them(shop: Api) -> None:
    (trace,) = shop.get("traces", q='"not delivered"').json()["results"]
    match = trace["match"]
    assert (match["field"], match["span_id"]) == (
        "tool_output",
        shop.get("traces/a/steps").json()["results"][0]["span_id"],
    )
    assert [match["snippet"][start:end] for start, end in match["highlights"]] == ["not delivered"]
    assert "match" not in shop.get("traces").json()["results"][0]


LONG = "word " * 200


@pytest.mark.parametrize(
    ("said", "text", "shown"),
    [
        (f"{LONG}needle {LONG}", "needle", ["needle"]),
        ("Caf\u00e9 \u00c4RGER", "\u00e4rger caf\u00e9", ["Caf\u00e9", "\u00c4RGER"]),
        ("\u6211\u8981\u9000\u6b3e\u8ba2\u5355", "\u9000\u6b3e", ["\u9000\u6b3e"]),
        ("x" * 150, "x" * 150, ["x" * 48]),
        ("one two one two", '"one two"', ["one two", "one two"]),
        ("anna anna", "ann* anna", ["anna", "anna"]),
        ('say "no\\yes" \U0001f600', "yes", ["yes"]),
    ],
    ids=[
        "far into a text",
        "accents",
        "writing without spaces",
        "a long word",
        "twice",
        "two terms at one place",
        "escapes",
    ],
)
@pytest.mark.parametrize("field", ["text", "tool_output"])
def test_what_is_marked_is_what_was_looked_for(api: Api, said: str, text: str, shown: list[str], field: str) -> None:
    api.post(step(1, **{field: said}))
    catch_up()
    ((match,),) = [[trace["match"] for trace in api.get("traces", q=text).json()["results"]]]
    assert [match["snippet"][start:end] for start, end in match["highlights"]] == shown
    assert len(match["snippet"]) <= 182


WRONG = {
    '"open phrase': "A phrase has no closing quote",
    "?! *": "There is no word in it",
    "a*": "A beginning has at least 2 characters",
    "a b c d e f g h i j k": "These are more than 10 words",
    "x" * 201: "no more than 200 characters",
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=list(WRONG.values()))
def test_what_nothing_can_be_looked_for_by_is_told(api: Api, text: str, said: str) -> None:
    answer = api.get("traces", q=text)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/q"
    assert said in error["detail"]


@pytest.mark.parametrize("text", ["' OR 1=1 --", "a:b & !c | (d", "a{}[]()<->", "100%_", "x\u202e\ud7ff"], ids=str)
def test_any_text_can_be_looked_for(api: Api, text: str) -> None:
    api.post(step(1, text=text))
    catch_up()
    assert search(api, text) == ["t-1"]


def test_steps_that_come_later_are_found_with_the_first(api: Api) -> None:
    api.post(step(1, text="alpha"))
    catch_up()
    api.post(step(2, text="beta"))
    assert search(api, "alpha beta") == []
    assert api.get("traces", q="alpha").json()["search_lag_s"] > 0
    catch_up()
    assert search(api, "alpha beta") == ["t-1"]
    assert api.get("traces", q="alpha").json()["search_lag_s"] == 0
    api.post(step(2, text="beta", error="gamma"))  # a merge that adds something
    catch_up()
    assert search(api, "gamma alpha") == ["t-1"]
    assert TraceWords.objects.count() == 1


def test_a_trace_of_very_many_words_is_found_by_each_of_them(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_IN_ROW", 100)
    for start in range(0, 1_000, 250):
        api.post([step(start + i, text=f"w{start + i} v{start + i}") for i in range(250)])
        catch_up()
    assert TraceWords.objects.count() > 10
    assert search(api, "w0 v999") == search(api, "w500 v250 w749") == ["t-1"]
    assert search(api, "w1000") == []


def test_pages_are_walked_without_gaps_whether_a_word_is_common_or_rare(api: Api) -> None:
    api.post(
        [step(1, f"t-{i}", text=f"common {'rare' if i < 3 else ''} not {'so' if i % 7 else ''} far") for i in range(30)]
    )
    catch_up()
    everywhere = [f"t-{i}" for i in range(30)]
    for text, found in (
        ("common", everywhere),
        ("rare", everywhere[:3]),
        ('"not far"', everywhere[::7]),
        ('"far not"', []),
    ):
        seen: list[str] = []
        after = ""
        while after is not None:
            page = api.get("traces", q=text, limit=8, after=after).json()
            seen += [trace["external_trace_id"] for trace in page["results"]]
            after = page["next"]
        assert sorted(seen) == sorted(found)
        assert seen == [
            trace["external_trace_id"]
            for trace in api.get("traces", limit=200).json()["results"]
            if trace["external_trace_id"] in found
        ]


def test_a_backlog_is_worked_off_by_runs_that_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "STEPS_AT_ONCE", 3)
    monkeypatch.setattr(index, "RUN_S", -1)
    for i in range(5):
        api.post([step(n, f"t-{i}") for n in range(2)])
    assert find.lag_s() > 0
    catch_up()
    assert find.lag_s() == 0
    assert not IngestBatch.objects.filter(is_indexed=False).exists()
    assert len(search(api, "search_database")) == 5


def test_the_words_of_a_trace_go_with_it(shop: Api) -> None:
    assert TraceWords.objects.exists()
    DetectJob.objects.all().delete()
    Trace.objects.all()._raw_delete(using="default")  # as retention does, in SQL
    assert not TraceWords.objects.exists()


def test_a_search_costs_the_same_queries_whatever_it_finds(shop: Api, django_assert_num_queries: Any) -> None:
    shop.get("traces")  # the key is known from here on
    for text, cost in (("refund", 9), ("zebras", 7), ('"the teapot"', 9), ('"the teapot" "not delivered"', 10)):
        with django_assert_num_queries(cost):
            shop.get("traces", q=text)


@pytest.fixture
def person(shop: Api) -> Client:
    return signed_in(make_membership(shop.project, role=Role.VIEWER))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("refund", ["<mark>", "will", "All steps that were received are searched"]),
        ('agent:desk "not delivered"', ["not delivered"]),
        ('tool:"issue_refund" shop', ["<mark>"]),
        ("nowhere", ["No trace matches", "refun*"]),
        ('"open', ["This cannot be looked for", "no closing quote"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_marks_what_it_found_and_helps_where_it_found_nothing(
    person: Client, field: str, expected: list[str]
) -> None:
    answer = person.get("/traces", {"q": field})
    content = answer.content.decode()
    assert answer.status_code == 200
    for text in expected:
        assert text in content


def test_the_page_says_how_far_search_is_behind(person: Client, shop: Api) -> None:
    shop.post(step(9, "late", text="refund"))
    IngestBatch.objects.filter(is_indexed=False).update(received_at="2026-01-01T00:00:00Z")
    assert "s behind" in person.get("/traces", {"words": "refund"}).content.decode()
