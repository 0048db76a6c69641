"""What programs find beside the rooms: the document, health, what is not built yet, and nothing."""

import json
from typing import Any

import pytest
from django.test import Client

from agentops.console.unbuilt import UNBUILT
from agentops.jobs.models import Process
from tests.builders import bearer, make_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def program() -> Client:
    return Client(headers=bearer(make_key().token))


@pytest.mark.parametrize("query", [{}, {"format": "json"}], ids=str)
def test_the_document_of_the_api_is_json_and_names_every_address(program: Client, query: dict[str, Any]) -> None:
    answer = program.get("/api/schema", query)
    assert answer.status_code == 200
    assert "json" in answer["Content-Type"]
    document = json.loads(answer.content)
    assert document["openapi"] == "3.1.0"
    paths = set(document["paths"])
    assert {"/api/v1/traces", "/api/v1/traces/{trace_id}/steps", "/api/v1/ingest/batches/{batch_id}"} <= paths


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/v1/nothing", "/healthz/nothing"])
def test_a_key_is_told_that_an_address_does_not_exist_and_a_stranger_is_not(program: Client, path: str) -> None:
    answer = program.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["status"] == 404
    for stranger in (Client(), Client(headers=bearer("aop_wrong"))):
        assert stranger.get(path).status_code == 401


@pytest.mark.parametrize(("path", "methods"), [(one.path, one.methods) for one in UNBUILT], ids=str)
def test_what_is_not_built_yet_says_so(program: Client, path: str, methods: tuple[str, ...]) -> None:
    for method in methods:
        answer = program.generic(method, "/" + path.replace("<path:rest>", "one/claim"))
        assert (answer.status_code, answer["Content-Type"]) == (501, "application/problem+json")
        assert "not built yet" in answer.json()["detail"]


def test_deep_health_is_well_when_a_worker_and_a_sweeper_are_there(program: Client) -> None:
    quiet = {"oldest_due_job_s": 0, "search_lag_s": 0, "last_drill_s": None}
    answer = program.get("/healthz/deep")
    assert (answer.status_code, answer.json()) == (503, {**quiet, "workers": 0, "sweeper": False})
    for kind in ("worker", "sweeper"):
        Process.objects.report(kind)
    answer = program.get("/healthz/deep")
    assert (answer.status_code, answer.json()) == (200, {**quiet, "workers": 1, "sweeper": True})
