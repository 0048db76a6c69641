"""Secrets that agents send are in no row, page or export, whatever door they came by."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from agentops.accounts.models import Project
from agentops.runtime.models import Run
from agentops.runtime.story import tell
from tests.approvals.builders import approved
from tests.builders import make_membership, make_project, signed_in
from tests.redaction.samples import SHAPED
from tests.traces import otlp
from tests.traces.api import Api
from tests.traces.builders import send, step
from traces.activity import ledger
from traces.ingest import redact
from traces.models import GateFact, IngestBatch, Span, Toolset, Trace

pytestmark = pytest.mark.django_db

SHORT = [secret for secret in SHAPED.values() if len(secret) < 100]  # fit in an id and in a name


@pytest.fixture
def project() -> Project:
    return make_project("p")


def dump() -> str:
    """Return every row of every table as text."""
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
        rows = []
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" t')  # noqa: S608
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


def leaks(text: str) -> list[str]:
    """Return what a text holds of the secrets: the start or the end of one."""
    ends = {part for secret in SHAPED.values() for part in (secret[:24], secret[-24:])}
    return [text[max(place - 80, 0) : place + 40] for part in ends if (place := text.find(part)) >= 0]


def everywhere(secret: str) -> dict[str, Any]:
    """Return a step that says a secret wherever a sender can say anything."""
    said = f"the key is {secret} and no other"
    words = dict.fromkeys(("text", "model_thinking", "error", "agent", "user", "name", "tool_name", "model"), said)
    ids = dict.fromkeys(("trace_id", "span_id", "parent_span_id", "session_id", "approval_id"), secret)
    return {
        **step(1),
        **words,
        **ids,
        "decision": said,
        "trace_name": f"{'x' * 150} {said}",
        "environment": said,
        "release": said,
        "tool_input": {"query": [said], secret: 1, "body": json.dumps({"text": said})},
        "tool_output": json.dumps({"rows": [json.dumps(said)]}),
        "tools": [{"name": secret, "schema": {"description": said}, "risk": said}],
        "metadata": {"headers": {"x": said}, f"k {secret}": said, "list": [[said]]},
    }


def test_no_secret_of_native_steps_is_stored_shown_or_exported(project: Project) -> None:
    api = Api(project)
    answer = api.post([everywhere(secret) for secret in SHORT])
    assert answer.json()["accepted"] == len(SHORT)
    assert not leaks(dump())
    batch = api.get(f"ingest/batches/{answer.json()['batch_id']}").json()
    assert batch["redacted"]["github_token"] == 1
    assert sum(batch["redacted"].values()) >= len(SHORT)
    page = signed_in(make_membership(project))
    for trace in Trace.objects.all()[:3]:
        assert not leaks(api.get(f"traces/{trace.id_hex}/export").getvalue().decode())
        assert not leaks(api.get(f"traces/{trace.id_hex}/steps").content.decode())
        assert not leaks(page.get(trace.get_absolute_url()).content.decode())


def test_what_is_made_of_a_step_is_made_of_what_is_left(project: Project) -> None:
    secret = SHAPED["anthropic_key"]
    send(project, step(1, tool_input={"a": secret}, tool_output={"b": [secret]}, text=f"{'y' * 140} {secret}"))
    mark = json.loads(Span.objects.get().input)["a"]
    left = send(project, step(2, tool_input={"a": mark}, tool_output={"b": [mark]}, text="other"))
    first, other = Span.objects.order_by("step_number")
    assert left.accepted == 1
    assert mark.startswith("[redacted:anthropic_key:")
    for field in ("input", "input_hash", "input_preview", "output", "output_hash", "output_size", "output_preview"):
        assert getattr(first, field) == getattr(other, field)
    assert not leaks(Trace.objects.get().preview)


def test_a_batch_that_is_sent_again_is_a_duplicate_and_contradicts_nothing(project: Project) -> None:
    steps = [everywhere(secret) for secret in SHORT[:5]]
    send(project, *steps)
    assert send(project, *steps).duplicates == 5
    assert not Span.objects.filter(revised=True).exists()
    first, again = IngestBatch.objects.order_by("id")
    assert first.redacted == again.redacted


@pytest.mark.parametrize("kind", ["json", "protobuf"])
def test_no_secret_of_spans_is_stored(project: Project, kind: str) -> None:
    spans = []
    for number, secret in enumerate(SHAPED.values(), 1):
        said = f"the key is {secret} and no other"
        chat = otlp.CHAT | {
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": said}]}]),
            "gen_ai.conversation.id": said,
            "gen_ai.tool.definitions": json.dumps([{"name": "t", "description": said}]),
            "nested": {"a": [said, {secret: said}]},
            f"k {secret}": said,
            "user.id": secret,
        }
        event = {"name": said, "timeUnixNano": "1", "attributes": otlp.pairs({"exception.message": said})}
        failed = {"code": 2, "message": said}
        spans += [
            otlp.span(2 * number, chat, name=said, events=[event], status=failed),
            otlp.child(2 * number + 1, otlp.TOOL | {"gen_ai.tool.call.result": said, "gen_ai.tool.call.id": secret}),
        ]
    body = otlp.request(*spans, service_name=f"svc {SHORT[0]}")
    exporter = otlp.Exporter(project)
    raw, content_type = (
        (json.dumps(body).encode(), otlp.JSON) if kind == "json" else (otlp.protobuf(body), otlp.PROTOBUF)
    )
    assert exporter.post(raw, content_type).status_code == 200
    assert len(exporter.spans()) == len(spans)
    assert not leaks(dump())
    assert sum(IngestBatch.objects.get().redacted.values()) >= len(SHAPED)
    assert exporter.post(raw, content_type).status_code == 200
    assert IngestBatch.objects.latest("id").duplicates == len(spans)
    assert not Span.objects.filter(revised=True).exists()


def test_no_secret_of_log_records_is_stored(project: Project) -> None:
    exporter = otlp.Exporter(project)
    records = []
    for number, secret in enumerate(SHAPED.values(), 1):
        said = f"the key is {secret} and no other"
        about = {"session.id": "s-1", "event.name": "api_error", "error": said, "nested": {secret: [said]}}
        records.append(otlp.log(number, about, body=otlp.value({"text": said}), spanId=f"{number:016x}"))
    body = otlp.logs(*records)
    for raw, kind in ((json.dumps(body).encode(), otlp.JSON), (otlp.protobuf(body), otlp.PROTOBUF)):
        assert exporter.post(raw, kind, "/v1/logs").status_code == 200
    assert exporter.spans()
    assert not leaks(dump())


def test_a_secret_deep_within_what_is_nested_costs_no_step(project: Project) -> None:
    deep: Any = "[" * 900 + '"password=hunter2"' + "]" * 900
    for _ in range(190):
        deep = [deep]
    assert Api(project).post([step(1, metadata={"a": deep}), step(2)]).json()["accepted"] == 2
    assert "hunter2" not in dump()


def test_no_secret_of_a_file_or_of_our_own_agent_is_stored(project: Project, tmp_path: Path) -> None:
    secret = SHAPED["openai_key"]
    run = {"trajectory_id": secret, "steps": [everywhere(secret) | {"step_number": n} for n in (1, 2)]}
    (tmp_path / "runs.jsonl").write_text(json.dumps(run))
    (tmp_path / "steps.jsonl").write_text(json.dumps(everywhere(SHAPED["aws_key"])))
    call_command("import", tmp_path / "runs.jsonl", tmp_path / "steps.jsonl", project="p")
    told = Run(project=project, agent="desk", input="", trace_id=Trace.objects.earliest("id").trace_id)
    tell(told, everywhere(SHAPED["github_token"]) | {"trace_id": "t-9", "session_id": "s-9"})
    assert Span.objects.count() == 3
    assert not leaks(dump())


def test_no_secret_of_a_step_that_is_refused_stands_in_the_ledger(project: Project) -> None:
    secret = SHAPED["slack_token"]
    answer = Api(project).post([step(1, tools=[{"name": "a", "schema": {}, "risk": {secret: 1}}], trace_status=secret)])
    assert len(answer.json()["rejected"]) == 1
    assert not leaks(answer.content.decode())
    assert not leaks(dump())


def test_an_innocent_batch_is_looked_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "Redactor", None)
    assert send(project, step(1, text="Where is my order? I forgot my password.")).accepted == 1
    assert IngestBatch.objects.get().redacted == {}


def test_a_gate_fact_and_the_step_it_proves_have_the_same_hash() -> None:
    arguments = {"url": "https://x.test", "password": "hunter2", "note": SHAPED["aws_key"]}
    approval = approved(tool_name="log_in", arguments=arguments)
    send(approval.project, step(1, tool_name="log_in", tool_input=arguments))
    assert GateFact.objects.get().input_hash == Span.objects.get().input_hash


def test_the_pages_say_how_many_secrets_were_taken_out(project: Project) -> None:
    send(project, step(1, text=f"{SHAPED['aws_key']} {SHAPED['jwt']}"))
    send(project, step(2, text=SHAPED["aws_key"]))
    assert ledger(project, timezone.now() - timedelta(hours=1))["redacted"] == 3
    browser = signed_in(make_membership(project))
    first = IngestBatch.objects.earliest("id")
    assert "<code>aws_key</code> 1" in browser.get(reverse("traces:batch", args=[first.pk.hex])).content.decode()
    assert ", 3 secrets redacted" in browser.get(reverse("traces:batches")).content.decode()
    assert "<span>secrets redacted</span><span>3</span>" in browser.get("/").content.decode()
    assert "<dt>Secrets redacted</dt><dd>3</dd>" in browser.get(reverse("traces:ingest")).content.decode()


def test_a_toolset_without_secrets_is_the_same_as_ever(project: Project) -> None:
    tools = [{"name": "log_in", "schema": {"properties": {"password": {"type": "string"}}}}]
    send(project, step(1, tools=tools), step(2, tools=tools, text=SHAPED["aws_key"]))
    assert Toolset.objects.get().tools == tools
