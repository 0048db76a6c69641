"""What a person approves, as 64 hex digits: SHA-256 over the canonical JSON (RFC 8785) of the whole action."""

from datetime import UTC
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import rfc8785

from approvals.models import Action, Approval

LONGEST_ARGUMENTS = 256 * 1024  # bytes of canonical JSON
LONGEST_TO_DECIDE = 32 * 1024  # more than a person reads is refused, never cut
MOST_LINES_TO_DECIDE = 200


class ArgumentsError(ValueError):
    """The arguments cannot be proposed; the message says what would be right."""


def canonical(arguments: dict[str, Any]) -> str:
    """Return the one way to write these arguments. Raises ArgumentsError."""
    try:
        text = rfc8785.dumps(arguments).decode()
        rfc8785.dumps(msgspec.json.decode(text))  # 1e16 is written as a whole number, and read as one
    except rfc8785.IntegerDomainError:
        raise ArgumentsError("whole numbers beyond 2^53 lose digits in JSON: send them as text") from None
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError):
        raise ArgumentsError("must be JSON with finite numbers and well-formed text, not nested too deep") from None
    if len(text.encode()) > LONGEST_ARGUMENTS:
        raise ArgumentsError(f"at most {LONGEST_ARGUMENTS // 1024} kB")
    return text


def check_readable(arguments: dict[str, Any], text: str) -> None:
    """Refuse what nobody would read to its end: padding hides the part that matters. Raises ArgumentsError."""
    if len(text.encode()) > LONGEST_TO_DECIDE:
        raise ArgumentsError(f"at most {LONGEST_TO_DECIDE // 1024} kB where a person decides")
    if _lines(arguments) > MOST_LINES_TO_DECIDE:
        raise ArgumentsError(f"at most {MOST_LINES_TO_DECIDE} lines where a person decides")


def digest_of(action: Action, approval: Approval) -> str:
    """Return the digest of an action under the policy that caught it; whoever executes it computes it again."""
    whole = {
        "action": str(action.pk),
        "agent": action.agent,
        "arguments": action.parsed_arguments,
        "definition": action.definition_hash,
        "expires_at": approval.expires_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "mode": approval.mode,
        "policy": _hex(approval.policy_id),
        "policy_version": approval.policy_version,
        "project": _hex(action.project_id),
        "run": _hex(action.run_id),
        "tier": approval.tier,
        "tool": action.tool_name,
        "trace": _hex(action.trace_id),
    }
    return sha256(rfc8785.dumps(whole)).hexdigest()


def _hex(value: UUID | None) -> str | None:
    return value.hex if value else None


def _lines(value: Any) -> int:
    if isinstance(value, str):
        return value.count("\n") + 1
    if isinstance(value, dict):
        return sum(map(_lines, value.values()))
    return sum(map(_lines, value)) if isinstance(value, list) else 1
