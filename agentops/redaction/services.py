"""Adding and removing a project's rules, and handing them to whoever redacts."""

import time
from uuid import UUID

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.redaction.models import RedactionRule
from agentops.redaction.redactor import Redactor
from agentops.redaction.rules import MOST, Rules, check

KEPT_S = 3.0  # a rule counts in every process this long after it was saved

_rules: dict[UUID, tuple[float, Rules]] = {}


class NameTakenError(Exception):
    """Another rule of this project has the name."""


class TooManyRulesError(Exception):
    """A project has as many rules as it may."""


def redactor_of(project_id: UUID, *more: tuple[str, str]) -> Redactor:
    """Return what takes the secrets out of a project's texts, by its own rules too, and by `more` on trial.

    Its marks mean nothing in another project. Costs one query, none within three seconds.
    """
    rules = Rules([*_stored(project_id), *more]) if more else _cached(project_id)
    return Redactor(salted_hmac("agentops.redaction", str(project_id)).digest(), rules)


@transaction.atomic
def add_rule(
    project: Project, *, name: str, pattern: str, by: User, request: HttpRequest | None = None
) -> RedactionRule:
    """Add a rule. Raises PatternError, NameTakenError and TooManyRulesError."""
    check(pattern)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # so that two at once do not both become the last
    if RedactionRule.objects.of(project).count() >= MOST:
        raise TooManyRulesError
    try:
        with transaction.atomic():
            rule = RedactionRule.objects.create(project=project, name=name, pattern=pattern, created_by=by)
    except IntegrityError:
        raise NameTakenError from None
    audit.record(
        "redaction_rule.added", actor=by, project=project, target=rule, detail={"pattern": pattern}, request=request
    )
    transaction.on_commit(lambda: forget(project.pk))
    return rule


@transaction.atomic
def remove_rule(rule: RedactionRule, *, by: User, request: HttpRequest | None = None) -> None:
    """Remove a rule; what it took out is gone."""
    project_id = rule.project_id
    detail = {"pattern": rule.pattern}
    RedactionRule.objects.of(project_id).filter(pk=rule.pk).delete()
    audit.record("redaction_rule.removed", actor=by, project=project_id, target=rule, detail=detail, request=request)
    transaction.on_commit(lambda: forget(project_id))


def forget(project_id: UUID) -> None:
    """Let this process read a project's rules again."""
    _rules.pop(project_id, None)


def _cached(project_id: UUID) -> Rules:
    until, rules = _rules.get(project_id, (0.0, Rules()))
    if time.monotonic() >= until:
        rules = Rules(_stored(project_id))
        _rules[project_id] = (time.monotonic() + KEPT_S, rules)
    return rules


def _stored(project_id: UUID) -> list[tuple[str, str]]:
    return list(RedactionRule.objects.of(project_id).order_by("name").values_list("name", "pattern"))
