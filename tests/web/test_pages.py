"""Pages of traces and sessions with hostile content in every field; sizes and queries are in tests/traces."""

import re

import pytest
from django.test import Client

from agentops.accounts.models import Project
from tests.builders import make_membership, signed_in
from tests.traces.builders import send, step
from tests.web.reading import read

pytestmark = pytest.mark.django_db

HOSTILE = (
    '<script>alert(1)</script><b onclick=x>{{7*7}} "><img src=x> \u202egnp.exe\u200b \x1b]8;;http://evil.example\x07'
)
OURS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "div", "header", "main", "nav", "h1", "h2",
    "h3", "p", "span", "svg", "use", "details", "summary", "form", "input", "button", "hr", "strong", "small",
    "dialog", "dl", "dt", "dd", "kbd", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure",
    "figcaption", "path", "rect", "line", "bdi", "b", "pre", "code", "section", "aside", "footer", "label",
    "ul", "ol", "li", "time",
}  # fmt: skip


@pytest.fixture
def project() -> Project:
    return make_membership().project


@pytest.fixture
def client(project: Project) -> Client:
    return signed_in(make_membership(project))


def hostile_steps(trace: str = "t-1") -> list[dict[str, object]]:
    common = {"agent": HOSTILE, "user": HOSTILE, "name": HOSTILE, "session_id": "s" + HOSTILE, "environment": HOSTILE}
    return [
        step(1, trace, trace_name=HOSTILE, release=HOSTILE, metadata={HOSTILE: HOSTILE}, **common)
        | {"tool_name": HOSTILE, "tool_input": {HOSTILE: HOSTILE}, "tool_output": HOSTILE, "error": HOSTILE},
        step(2, trace, **common) | {"event_type": "model_response", "text": HOSTILE, "model_thinking": HOSTILE},
        step(3, trace, **common) | {"event_type": "human_gate", "text": HOSTILE, "decision": HOSTILE},
        step(4, trace, **common) | {"event_type": "error", "error": HOSTILE, "model": HOSTILE},
    ]


def check(html: str) -> None:
    reader = read(html)
    assert set(reader.tags) <= OURS
    assert len(re.findall("<script", html)) == len(re.findall(r'<script[^>]* src="/static/', html))
    assert not re.search("[\u202e\u200b\x1b\x07]", re.sub(r'(value|data-copy)="[^"]*"', "", html))
    assert "49" not in "".join(reader.chips)


@pytest.mark.parametrize("address", ["/", "/traces", "/sessions", "/start", "/traces?q=agent:nobody"])
def test_lists_draw_hostile_text_as_text(client: Client, project: Project, address: str) -> None:
    send(project, *hostile_steps())
    check(client.get(address).content.decode())


def test_a_filter_with_hostile_words_is_drawn_as_text(client: Client) -> None:
    for query in ("?agent=%3Cscript%3E%E2%80%AE", "?q=agent:%3Cscript%3E", "?session=%22%3E%3Cb%3E&status=ok"):
        check(client.get(f"/traces{query}").content.decode())


def test_a_trace_draws_each_of_its_steps_and_their_bodies_as_text(client: Client, project: Project) -> None:
    send(project, *hostile_steps())
    page = client.get("/traces/t-1").content.decode()
    check(page)
    links = re.findall(r'class="step"[^>]* href="([^"]+)"', page)
    assert len(links) == 4
    for link in links:
        check(client.get(f"/traces/t-1{link}").content.decode())
        part = client.get(f"/traces/t-1{link}", headers={"HX-Request": "true"}).content.decode()
        check(part)
        assert "<html" not in part
        assert "As sent" in part


def test_a_session_draws_hostile_text_as_text(client: Client, project: Project) -> None:
    send(project, *hostile_steps())
    link = re.search(r'href="(/sessions/[^"]+)"', client.get("/sessions").content.decode())
    assert link
    check(client.get(link[1]).content.decode())


def test_no_container_of_outside_text_listens_to_htmx(client: Client, project: Project) -> None:
    send(project, *hostile_steps())
    for tag in re.findall(r'<(?:bdi|pre)[^>]*class="traced"[^>]*>', client.get("/traces/t-1").content.decode()):
        assert "hx-disable" in tag


def test_a_long_run_is_drawn_in_windows_and_links_to_all_of_them(client: Client, project: Project) -> None:
    send(project, *[step(n) for n in range(1, 251)])
    first = client.get("/traces/t-1").content.decode()
    assert first.count('class="step"') == 100
    assert all(f'href="?from={n}"' in first for n in (0, 100, 200))
    last = client.get("/traces/t-1?from=200").content.decode()
    assert last.count('class="step"') == 50
    assert "Earlier steps, from 101" in last
    part = client.get("/traces/t-1?from=100", headers={"HX-Request": "true"}).content.decode()
    assert part.count('class="step"') == 100
    assert 'hx-get="?from=200"' in part


def test_older_rows_are_a_link_that_keeps_the_filter(client: Client, project: Project) -> None:
    send(project, *[step(1, f"t-{n}", agent="desk") for n in range(55)])
    html = client.get("/traces?agent=desk").content.decode()
    older = re.search(r'<a href="(\?agent=desk&amp;after=[^"]+)">Older rows', html)
    assert older
    address = "/traces" + older[1].replace("&amp;", "&")
    part = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert part.count("<tr id=") == 5
    assert "data-live=" in html
    assert "data-live=" not in client.get(address).content.decode()


def test_empty_lists_say_why(client: Client, project: Project) -> None:
    assert "No trace yet" in client.get("/traces").content.decode()
    assert "No trace matches" in client.get("/traces?agent=nobody").content.decode()
    assert "No session yet" in client.get("/sessions").content.decode()
    assert "Listening for the first trace" in client.get("/").content.decode()
