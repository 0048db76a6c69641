"""Which policy catches a tool: the most exact pattern; and the only way to change one."""

from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.audit.ref import SYSTEM
from approvals.models import Mode, Policy, Tier
from traces.models import ToolRisk
from traces.risks import exactness


class PolicyError(ValueError):
    """Raised for a policy that cannot be; the message says what would be right."""


def match(project_id: UUID, tool_name: str) -> Policy | None:
    """Return the policy for a tool, or None, which means HIGH. A name beats a pattern, a longer pattern a shorter.

    Of two that are equally exact the stricter counts, so that the order in which they were made decides nothing.
    One query.
    """
    found = [p for p in Policy.objects.of(project_id).kept() if fnmatchcase(tool_name, p.tool_pattern)]
    return max(found, key=_exactness, default=None)


def _exactness(policy: Policy) -> tuple[bool, int, int, str]:
    strictness = list(Tier).index(Tier(policy.tier)) + (policy.mode == Mode.DENY)
    return *exactness(policy.tool_pattern), strictness, policy.tool_pattern


@transaction.atomic
def save_policy(
    project: Project, *, by: User | None, name: str, tool_pattern: str, tier: str, **settings: Any
) -> Policy:
    """Make the policy of a pattern, or give it a new version; one that says the same stays as it is. Audited.

    `settings` are mode, decide_within_s, execute_within_s and result_within_s. Raises PolicyError.
    """
    wanted = {"name": name.strip(), "tier": tier, **settings}
    if not tool_pattern.strip() or not name.strip():
        raise PolicyError("A policy has a name and a pattern of tool names.")
    if tier not in Tier.values or settings.get("mode", Mode.FOUR_EYES) not in Mode.values:
        raise PolicyError(f"tier is one of {', '.join(Tier.values)}, mode one of {', '.join(Mode.values)}.")
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # one after the other
    known = Policy.objects.of(project).kept().select_for_update().filter(tool_pattern=tool_pattern).first()
    if known is None:
        policy = Policy.objects.create(project=project, tool_pattern=tool_pattern, edited_by=by, **wanted)
    elif all(getattr(known, field) == value for field, value in wanted.items()):
        return known
    else:
        Policy.objects.filter(pk=known.pk).update(**wanted, edited_by=by, edited_at=Now(), version=F("version") + 1)
        known.refresh_from_db()
        policy = known
    ToolRisk.objects.update_or_create(project=project, tool_pattern=tool_pattern, defaults={"risk": tier})
    audit.record("policy.saved", actor=by or SYSTEM, project=project, target=policy, detail=wanted)
    return policy


@transaction.atomic
def delete_policy(policy: Policy, *, by: User) -> None:
    """Take a policy away: what it caught is HIGH again. Audited."""
    if Policy.objects.kept().filter(pk=policy.pk).update(deleted_at=Now(), edited_at=Now(), edited_by=by):
        ToolRisk.objects.of(policy.project_id).filter(tool_pattern=policy.tool_pattern).delete()
        audit.record("policy.deleted", actor=by, project=policy.project_id, target=policy)
