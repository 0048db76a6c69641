"""The lines that the server writes about itself."""

import io
import logging
import logging.config
from collections.abc import Callable, Iterator

import pytest
import structlog

from agentops.logs import logging_config

KEY = "aop_live_0123456789_" + "s" * 43 + "_abcdef"
Say = Callable[..., str]


@pytest.fixture(params=["json", "text"])
def say(request: pytest.FixtureRequest) -> Iterator[Say]:
    """Write one event and return what came out."""
    formatter = logging_config(text=request.param == "text", debug=False)["formatters"]["line"]
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.config.DictConfigurator({"version": 1}).configure_formatter(formatter))
    logger = logging.getLogger("tests.room")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)

    def say(event: str, **facts: object) -> str:
        out.truncate(out.seek(0))
        structlog.get_logger("tests.room").info(event, **facts)
        return out.getvalue()

    yield say
    logger.handlers, logger.propagate = [], True


def test_an_event_is_one_line_with_its_facts(say: Say) -> None:
    line = say("batch_stored", accepted=3)
    assert line.count("\n") == 1
    assert "batch_stored" in line
    assert '"accepted": 3' in line or "accepted=3" in line


def test_no_text_can_forge_a_line(say: Say) -> None:
    line = say("seen\n2026 fake", agent="x\n\x1b[2Jfake: line", request_id="r")
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_keys_links_and_what_is_called_a_secret_are_hidden(say: Say) -> None:
    line = say(f"called with {KEY}", password="hunter2", request="GET /accounts/link/" + "t" * 43 + "/?q=private")
    for secret in ("hunter2", "s" * 43, "t" * 43, "private"):
        assert secret not in line


def test_secrets_that_others_sent_are_hidden_in_texts_and_tracebacks(say: Say) -> None:
    secret = "sk-ant-api03-" + "aB3" * 20
    try:
        raise ValueError(f"no answer for {secret}")
    except ValueError:
        line = say(f"failed with {secret}", facts={"sent": [secret]}, exc_info=True)
    assert secret not in line
    assert line.count("[redacted:anthropic_key:") == 3


def test_a_traceback_is_there_and_cannot_pass_for_a_line_of_ours(say: Say) -> None:
    try:
        raise ValueError("first\n2026-01-01 forged")
    except ValueError:
        text = say("failed", exc_info=True)
    assert "ValueError" in text
    assert not any(line.startswith("2026-01-01 forged") for line in text.splitlines())


def test_beginnings_and_probes_that_went_well_are_left_out(say: Say) -> None:
    assert say("request_started", request="GET /x") == ""
    assert say("request_finished", request="GET /readyz", code=200) == ""
    assert say("request_finished", request="GET /readyz", code=503) != ""
