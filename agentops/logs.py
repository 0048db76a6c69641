"""What the server says about itself: one event a line, with the request's id, without secrets."""

import json
import re
import secrets
import sys
from http import HTTPStatus
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from agentops.redaction.redactor import Redactor

SECRET_NAMES = re.compile(r"(?i)authorization|cookie|password|secret|token$|api_?key")
# Our own keys and one-time links, wherever they stand.
SECRET_VALUES = re.compile(r"aop_[a-z]{1,10}_[0-9A-Za-z_]+|(?<=/link/)[\w-]{20,}")
HIDDEN = "[hidden]"
_KEY = secrets.token_bytes(16)  # of the marks that stand for secrets of others
# Asked every few seconds by whoever watches us.
PROBES = ("GET /livez", "GET /readyz")


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide what must not be in a log, by its name or by its look."""
    redactor = Redactor(_KEY)
    return {
        name: HIDDEN if SECRET_NAMES.search(name) else _without_secrets(redactor, value)
        for name, value in event.items()
    }


def _without_secrets(redactor: Redactor, value: Any) -> Any:
    if isinstance(value, str):
        return redactor.text(SECRET_VALUES.sub(HIDDEN, value))
    return redactor.value(value) if isinstance(value, dict | list) else value


def drop_query(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut the query off the request's address: people's search words are nobody's business."""
    if isinstance(request := event.get("request"), str):
        event["request"] = request.partition("?")[0]
    return event


def drop_noise(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out that a request began, as the line on its end says it all, and probes that went well."""
    probe_went_well = event.get("code") == HTTPStatus.OK and str(event.get("request", "")).startswith(PROBES)
    if event.get("event") == "request_started" or probe_went_well:
        raise structlog.DropEvent
    return event


def as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Write one line for a person; a traceback follows, indented, so that no text in it can pass for a line of ours."""
    time, level, logger = (str(event.pop(name, "")) for name in ("timestamp", "level", "logger"))
    room = logger.removesuffix(".error").rpartition(".")[2]  # uvicorn.error is where uvicorn says everything
    said = _plain(event.pop("event", ""))
    traceback = str(event.pop("exception", ""))
    facts = "".join(f" {name}={_plain(value)}" for name, value in sorted(event.items()))
    trail = "".join(f"\n    {line}" for line in traceback.splitlines())
    return f"{time[11:23]} {level:<7} {room}: {said}{facts}{trail}"


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if text.isprintable() else json.dumps(text)


SHARED: list[Processor] = [
    drop_noise,
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    drop_query,
    hide_secrets,
]


def logging_config(*, text: bool, debug: bool) -> dict[str, Any]:
    """Return Django's LOGGING, and set structlog up to go through it."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer = as_text if text else structlog.processors.JSONRenderer()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                "foreign_pre_chain": SHARED,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "DEBUG" if debug else "INFO"},
        "loggers": {
            # They come with handlers of their own; one way out is enough.
            **{name: {"handlers": [], "level": "INFO", "propagate": True} for name in ("django", "uvicorn")},
            "uvicorn.error": {"handlers": [], "propagate": True},
            "uvicorn.access": {"handlers": [], "propagate": False},
            "django.server": {"handlers": [], "propagate": True},
            # A line for each refusal is in the request's own line already.
            "django.request": {"level": "ERROR"},
            "django.db.backends": {"level": "INFO"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            # A line for each question to the model would tell what the run's trace tells better.
            "httpx2": {"level": "WARNING"},
        },
    }
