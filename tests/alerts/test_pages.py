"""The pages of alerts: what they say, what they cost, and what people do on them."""

import re
from typing import Any

import pytest
from django.test import Client

from agentops.accounts.models import Membership, Role
from agentops.web.navigation import counters
from tests.alerts.builders import looping, make_finding, make_trace, raise_one, run_jobs
from tests.builders import make_membership, signed_in
from tests.notify.builders import make_channel
from tests.traces.builders import send, step
from traces.alerts.models import Alert, Verdict
from traces.alerts.services import acknowledge, resolve
from traces.detectors.models import DetectorState, Finding, FindingState

pytestmark = pytest.mark.django_db

SIGNED_IN = 3  # and on a whole page what the rooms count beside their names


@pytest.fixture
def member() -> Membership:
    return make_membership(role=Role.OPERATOR)


@pytest.fixture
def client(member: Membership) -> Client:
    client = signed_in(member)
    client.get("/accounts/profile")  # the first page notes in the session when it began
    return client


def page(client: Client, path: str, **query: str) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_pages_cost_the_same_however_much_they_show(
    client: Client, member: Membership, django_assert_num_queries: Any
) -> None:
    make_channel(member.project)
    for rows in (2, 25):
        for n in range(rows):
            send(member.project, *looping(f"loop {rows} {n}", agent=f"agent {n % 7}"))
        run_jobs()
        alert = Alert.objects.first()
        assert alert is not None
        for path, cost in {
            "/alerts": 2,
            f"/alerts/{alert.pk}": 8,
            "/mttd": 7,  # eight once something was drilled
            f"/traces/loop {rows} 1": 6,
            "/traces": 4,
            "/": 12,
        }.items():
            with django_assert_num_queries(SIGNED_IN + len(counters) + cost):
                page(client, path)
        parts = {"/alerts": 1, f"/alerts/{alert.pk}": 1}
        for path, cost in parts.items():
            with django_assert_num_queries(SIGNED_IN + cost):
                assert client.get(path, headers={"HX-Request": "true"}).status_code == 200


def test_an_alert_tells_what_happened_and_what_to_do(client: Client, member: Membership) -> None:
    make_channel(member.project, name="on call")
    send(member.project, *looping("the run", calls=12))
    run_jobs()
    alert = Alert.objects.get()
    content = page(client, f"/alerts/{alert.pk}")
    for words in (
        "search_database gave the same answer 12 times in a row",
        "open, nobody has it",
        "noticed here",
        "and 4 more, up to",
        "same arguments as step 1, same answer",
        "How <code>tool_loop</code> decides",
        "<code>min_repeats = 5</code>",
        "on call",
        "It has not happened before.",
    ):
        assert words in content, words
    assert f"/traces/{alert.first_trace.id_hex}?step=" in content  # type: ignore[union-attr]


def test_what_happens_on_the_page_is_done_and_said(client: Client, member: Membership) -> None:
    alert = raise_one(member.project)
    url = f"/alerts/{alert.pk}"
    assert f"{member.user} has it until" in say(client, f"{url}/acknowledge", hours="24")
    assert "Silenced until" in say(client, f"{url}/silence", hours="8", reason="The index is being rebuilt.")
    assert "The index is being rebuilt." in page(client, url)
    assert "Silenced until" not in say(client, f"{url}/hear")
    assert "Choose whether it was true" in say(client, f"{url}/resolve")
    content = say(client, f"{url}/resolve", verdict="false_positive", note="A <b>test</b>.")
    assert f"resolved by {member.user}: false alarm" in content
    assert "A &lt;b&gt;test&lt;/b&gt;." in content
    assert f"{member.user} resolved this alert at" in say(client, f"{url}/acknowledge")


def say(client: Client, url: str, **form: str) -> str:
    """Send a form and return the page that it leads to."""
    answer = client.post(url, form, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_who_may_only_read_is_told_who_may_act(member: Membership) -> None:
    viewer = signed_in(make_membership(member.project, Role.VIEWER))
    alert = raise_one(member.project)
    content = page(viewer, f"/alerts/{alert.pk}")
    assert "Your role in this project may read alerts" in content
    assert "/acknowledge" not in content
    assert viewer.post(f"/alerts/{alert.pk}/acknowledge").status_code == 403


def test_the_list_shows_what_is_not_resolved_and_the_rest_when_asked(client: Client, member: Membership) -> None:
    assert "No alert waits for anybody" in page(client, "/alerts")
    trace = make_trace(member.project)
    alerts = {name: raise_one(member.project, trace, tool_name=name, explanation=f"{name} it.") for name in "abc"}
    acknowledge(alerts["b"], by=member.user)
    resolve(alerts["c"], by=member.user, verdict=Verdict.TRUE_POSITIVE)
    for query, expected in [
        ({}, "ab"),
        ({"state": "open"}, "a"),
        ({"state": "acknowledged"}, "b"),
        ({"state": "resolved"}, "c"),
        ({"state": "all"}, "abc"),
        ({"state": "nonsense"}, "ab"),
        ({"pattern": "tool_loop"}, "ab"),
        ({"pattern": "budget"}, ""),
    ]:
        content = page(client, "/alerts", **query)
        assert "".join(name for name in "abc" if f"{name} it" in content) == expected, query


def test_the_navigation_counts_open_alerts(client: Client, member: Membership) -> None:
    assert beside_alerts(client) == ""
    alert = raise_one(member.project)
    raise_one(member.project, tool_name="another")
    assert beside_alerts(client) == "2"
    acknowledge(alert, by=member.user)
    assert beside_alerts(client) == "1"


def beside_alerts(client: Client) -> str:
    item = page(client, "/mttd").partition('href="/alerts"')[2].partition("</a>")[0]
    return item.partition('class="nav-count"')[2].rpartition("</svg>")[2].partition("</span>")[0].strip()


def test_a_trace_shows_its_findings_and_brackets_their_steps(client: Client, member: Membership) -> None:
    calm = [step(n, trace="t", tool_name=f"tool_{n}", tool_output=str(n)) for n in (1, 2)]
    send(member.project, *calm, *({**each, "step_number": n} for n, each in enumerate(looping("t"), 3)))
    run_jobs()
    content = page(client, "/traces/t")
    finding = Finding.objects.get()
    assert "1 finding" in content
    assert "steps 3–8: " in content
    assert f"#step-{finding.onset_number - 1}" in content
    before, inside = content.split('<section class="loop"')
    inside, after = inside.split("</section>", 1)
    assert (before.count('class="step"'), inside.count('class="step"'), after.count('class="step"')) == (2, 6, 0)
    assert f"/alerts/{Alert.objects.get().pk}" in inside
    assert "data-open" in inside


def test_the_chip_of_a_finding_is_red_while_its_alert_is_open(client: Client, member: Membership) -> None:
    alert = raise_one(member.project)
    assert 'class="finding" data-open>' in page(client, "/traces")
    acknowledge(alert, by=member.user)
    content = page(client, "/traces")
    assert 'class="finding">' in content
    assert 'class="finding" data-open>' not in content


def test_a_finding_about_one_step_is_a_chip_on_that_step(client: Client, member: Membership) -> None:
    trace = make_trace(member.project, "t")
    span_id = first_span(client)
    make_finding(member.project, trace, pattern="bad_signature", onset_span_id=span_id, last_span_id=span_id)
    content = page(client, "/traces/t")
    assert 'class="loop"' not in content
    assert content.count("bad_signature") == 4  # glyph and name, in the strip and on the step
    assert "no alert by itself" in content


def test_a_finding_about_a_run_as_a_whole_is_said_without_a_place(client: Client, member: Membership) -> None:
    trace = make_trace(member.project, "t")
    make_finding(
        member.project,
        trace,
        pattern="observability_gap",
        explanation="No step came.",
        onset_span_id="",
        onset_number=0,
    )
    content = page(client, "/traces/t")
    assert "1 finding" in content
    assert "No step came." in content


def test_a_trace_says_what_could_not_be_judged_in_it(client: Client, member: Membership) -> None:
    trace = make_trace(member.project, "t")
    assert "not judged" not in page(client, "/traces/t")
    said = {"ToolLoop": ["no result was recorded: off"], "OneThatIsGone": ["nothing"]}
    DetectorState.objects.create(trace=trace, coverage=said)
    (strip,) = re.findall(r'aria-label="Not judged">(.*?)</section>', page(client, "/traces/t"), re.DOTALL)
    assert "tool_loop" in strip
    assert "no result was recorded: off" in strip
    assert "nothing" not in strip


def first_span(client: Client) -> str:
    content = page(client, "/traces/t")
    return content.partition('href="?step=')[2].partition('"')[0]


def test_retracted_findings_are_gone_from_the_trace_and_said_on_the_alert(client: Client, member: Membership) -> None:
    send(member.project, *looping("t"))
    run_jobs()
    Finding.objects.update(state=FindingState.RETRACTED)
    assert "loop" not in page(client, "/traces/t").partition("<h1>")[2].partition("</main>")[0]
    assert "the finding is retracted" in page(client, f"/alerts/{Alert.objects.get().pk}")


def test_text_from_outside_stays_text(client: Client, member: Membership) -> None:
    hostile = "<script>alert(1)</script>\u202e"
    send(member.project, *looping("t", agent=hostile))
    Finding.objects.all().delete()
    alert = raise_one(
        member.project,
        make_trace(member.project, "u", agent=hostile),
        explanation=hostile,
        tool_name=hostile,
        next_step=hostile,
    )
    for path in ("/alerts", f"/alerts/{alert.pk}", "/", "/traces", "/traces/u"):
        content = page(client, path)
        assert "<script>alert" not in content
        assert "\u202e" not in content, path


def test_the_time_to_detect_is_drawn_with_its_misses(client: Client, member: Membership) -> None:
    assert "no failure yet" in page(client, "/mttd")
    alert = raise_one(member.project)
    Alert.objects.filter(pk=alert.pk).update(onset_at=alert.onset_at.replace(year=2020))
    raise_one(member.project, tool_name="another")
    content = page(client, "/mttd", window="24h")
    assert 'aria-label="2 failures, 1 missed"' in content
    assert 'class="miss"' in content
    assert 'class="dot"' in content
    assert f"/alerts/{alert.pk}" in content
