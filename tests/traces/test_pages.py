"""The pages of traces: what they cost, how large they are, and that traced text stays text."""

import html
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from django.test import Client

from agentops.accounts.models import Membership, Role
from agentops.web.navigation import counters
from tests.builders import make_membership, signed_in
from tests.traces.builders import send, step
from traces.ingest.native import read_body
from traces.ingest.record import Origin
from traces.ingest.store import store

pytestmark = pytest.mark.django_db

# What the request itself costs: the session, the person, their memberships.
SIGNED_IN = 3  # and on a whole page what the rooms count beside their names


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.VIEWER)


@pytest.fixture
def client(member: Membership) -> Client:
    client = signed_in(member)
    client.get("/accounts/profile")  # the first page notes in the session when it began
    return client


def part(**headers: str) -> dict[str, str]:
    return {"HX-Request": "true", **headers}


def test_pages_cost_the_same_queries_however_much_they_show(
    client: Client, member: Membership, django_assert_num_queries: Any
) -> None:
    costs = {"/": 12, "/traces": 4, "/sessions": 2, "/traces/t-0": 4, "/start": 5, "/ingest": 3}
    for rows in (3, 30):
        for i in range(rows):
            send(member.project, *(step(n, trace=f"t-{i}", session_id=f"s-{i}") for n in range(rows)))
        for path, cost in costs.items():
            with django_assert_num_queries(SIGNED_IN + len(counters) + cost):
                assert client.get(path).status_code == 200
        with django_assert_num_queries(SIGNED_IN + 2):
            client.get("/traces", headers=part())
        span_id = first_span(client)
        with django_assert_num_queries(SIGNED_IN + 3):
            client.get("/traces/t-0", {"step": span_id}, headers=part())


def first_span(client: Client) -> str:
    found = re.search(r"step=([0-9a-f]{16})", client.get("/traces/t-0").content.decode())
    assert found
    return found[1]


def test_a_trace_of_ten_thousand_steps_opens_in_less_than_200_kb(client: Client, member: Membership) -> None:
    steps = [
        step(i, tool_input={"q": f"query number {i}" * 20}, tool_output="result " * 200, is_error=i % 97 == 0)
        for i in range(10_000)
    ]
    batch = read_body(msgspec.json.encode(steps), now=datetime.now(UTC))
    store(member.project, batch, Origin(source="native"))
    answer = client.get("/traces/t-1")
    assert len(answer.content) <= 200_000
    assert "10,000" in answer.content.decode()
    last = client.get("/traces/t-1", {"from": "9900"}).content.decode()
    assert "query number 9999" in last
    assert "query number 9899" not in last


def test_no_list_and_no_tree_reads_a_body(client: Client, member: Membership, django_assert_num_queries: Any) -> None:
    send(member.project, step(1, tool_output="x" * 500 + "the end of a body", text="t" * 500 + "the end of a text"))
    with django_assert_num_queries(SIGNED_IN + len(counters) + 4) as queries:
        content = client.get("/traces/t-1").content.decode()
    assert "the end of" not in content
    for query in queries.captured_queries:
        assert '"traces_span"."output"' not in query["sql"]
        assert '"traces_span"."text"' not in query["sql"]


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<svg/onload=alert(1)>",
    "</script></title></textarea>",
    "{{7*7}} {% debug %} ${7*7}",
    "javascript:alert(1) data:text/html,x vbscript:x //evil.example",
    "![x](https://evil.example/pixel.png) [link](https://evil.example)",
    '<a hx-get="https://evil.example" hx-trigger="load" hx-on:load="x()">',
    "\u2714 Approved by admin\nINFO request_finished code=200",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_literally_on_every_page(client: Client, member: Membership, text: str) -> None:
    send(
        member.project,
        step(
            1,
            trace=text,
            session_id=text,
            trace_name=text,
            agent=text,
            user=text,
            tool_name=text,
            name=text,
            text=text,
            error=text,
            model=text,
            environment=text,
            release=text,
            model_thinking=text,
            tool_input={text: text},
            tool_output=[text],
            metadata={text: text},
            event_type="error",
        ),
        {"trace_id": text, "trace_status": "error"},
    )
    trace = member.project.trace_set.get()
    span_id = trace.span_set.get().span_id
    session = trace.session.get_absolute_url()
    for path in (
        "/",
        "/traces",
        "/sessions",
        session,
        trace.get_absolute_url(),
        f"/traces/{trace.id_hex}?step={span_id}",
    ):
        content = client.get(path).content.decode()
        assert text == html.escape(text) or text not in content, f"{path} holds it unescaped"
        assert "49" not in re.findall(r">\s*(49)\s*<", content)
        for address in re.findall(r'(?:href|src|hx-get|action)="([^"]*)"', content):
            assert re.match(r"[/#?](?!/)", address), f"{path} leads to {address}"
        first_word = text.split(maxsplit=1)[0]
        assert html.escape(first_word) in content or first_word in content, f"{path} does not show {first_word}"


CHIPS = {
    "\u202e": "U+202E",
    "\u2066": "U+2066",
    "\u200b": "U+200B",
    "\u00ad": "U+00AD",
    "\u3164": "U+3164",
    "\u2800": "U+2800",
    "\ufe0f": "U+FE0F",
    "\U000e0041": "U+E0041",
    "\x1b]8;;http://evil.example\x07": "ESC]",
    "\r": "U+000D",
}


@pytest.mark.parametrize("hidden", CHIPS, ids=CHIPS.values())
def test_hidden_characters_become_chips(client: Client, member: Membership, hidden: str) -> None:
    send(member.project, step(1, span_id="s", tool_output=f"prod{hidden}-db", text=f"a{hidden}b"))
    content = client.get("/traces/t-1", {"step": "s"}).content.decode()
    assert CHIPS[hidden] in content
    assert hidden not in content.replace("\r\n", "\n")


def test_a_homoglyph_in_a_tool_name_is_marked(client: Client, member: Membership) -> None:
    send(member.project, step(1, tool_name="d\u0435lete_file"))
    assert "CYRILLIC" in client.get("/traces/t-1").content.decode().upper()


def test_one_word_of_a_megabyte_and_a_storm_of_marks_stay_bounded(client: Client, member: Membership) -> None:
    send(member.project, step(1, span_id="s", tool_output="x" * 1_000_000, text="a" + "\u0301" * 10_000))
    content = client.get("/traces/t-1", {"step": "s"}).content.decode()
    assert content.count("\u0301") < 100
    assert len(content) < 300_000


def test_the_filter_field_reads_words_and_the_form_works_without_script(client: Client, member: Membership) -> None:
    send(member.project, step(1, trace="a", agent="desk", tool_name="search"), step(1, trace="b", agent="bot"))
    for query in ({"q": "agent:desk"}, {"agent": "desk"}, {"q": "tool:search"}, {"tool": "search"}):
        content = client.get("/traces", query).content.decode()
        assert "/traces/" + member.project.trace_set.get(agent="desk").id_hex in content
        assert member.project.trace_set.get(agent="bot").id_hex not in content
    words = client.get("/traces", {"q": "nothing like it"}).content.decode()
    assert "No trace matches" in words
    assert (
        client.get("/traces", {"q": "a"}).headers["Location"]
        == member.project.trace_set.get(agent="desk").get_absolute_url()
    )
    assert client.get("/traces", {"after": "nonsense", "q": "x" * 5000 + "\x00", "status": "?"}).status_code == 200
