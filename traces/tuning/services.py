"""Setting what a detector does in a project, version by version."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.audit.ref import Ref
from traces.detectors.base import Detector
from traces.detectors.limits import checked, written
from traces.detectors.models import DetectorSettings
from traces.tuning.models import SettingsVersion


class ChangedMeanwhileError(Exception):
    """Somebody else saved a version since this one was looked at; `newest` is theirs."""

    def __init__(self, newest: SettingsVersion) -> None:
        super().__init__(f"{newest.by} saved version {newest.number} meanwhile.")
        self.newest = newest


@dataclass(frozen=True)
class Wish:
    """What a detector is to do in a project."""

    thresholds: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    shadow: bool = False  # what it finds is shown and told to nobody
    candidate: Mapping[str, Any] | None = None  # thresholds that run in shadow beside those in force
    note: str = field(default="", compare=False)  # why

    def words(self) -> list[str]:
        """Say it in a few words each, for the trail and the history."""
        mode = [] if self.enabled and not self.shadow else ["in shadow" if self.enabled else "off"]
        beside = [] if self.candidate is None else [f"in shadow beside it: {', '.join(_numbers(self.candidate))}"]
        said = [*mode, *(_numbers(self.thresholds) if self.thresholds else []), *beside]
        return said or ["the defaults"]


def _numbers(thresholds: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {written(value)}" for name, value in sorted(thresholds.items())] or ["the defaults"]


def wish_of(row: DetectorSettings | SettingsVersion | None) -> Wish:
    """Return what a row says; what a project that set nothing wishes is the default."""
    if row is None:
        return Wish()
    return Wish(row.thresholds, row.enabled, row.shadow, row.candidate)


@transaction.atomic
def set_detector(
    project: Project,
    kind: type[Detector],
    wish: Wish,
    *,
    by: User,
    base: int | None = None,
    request: HttpRequest | None = None,
) -> SettingsVersion | None:
    """Save a version, which is in force from the commit on; return None where nothing would change.

    Traces in which something more happens are folded anew with other thresholds. Raises ThresholdError, and
    ChangedMeanwhileError where `base` is no longer the number of the newest version.
    """
    candidate = None if wish.candidate is None else checked(kind, wish.candidate)
    wish = replace(wish, thresholds=checked(kind, wish.thresholds), candidate=candidate)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # one after the other
    newest = versions(project, kind).first()
    number = newest.number if newest else 0
    if newest is not None and base is not None and base != number:
        raise ChangedMeanwhileError(newest)
    row = DetectorSettings.objects.of(project).filter(detector=kind.name()).first()
    before = wish_of(row)
    if before == wish:
        return None
    about = {name: value for name, value in vars(wish).items() if name != "note"}
    DetectorSettings.objects.update_or_create(project=project, detector=kind.name(), defaults=about)
    made = SettingsVersion.objects.create(
        project=project, detector=kind.name(), number=number + 1, note=wish.note, by=by, **about
    )
    detail = {"version": made.number, "before": before.words(), "after": wish.words(), "note": wish.note}
    target = Ref("detector", kind.name(), kind.name())
    audit.record("detector.changed", actor=by, project=project, target=target, detail=detail, request=request)
    return made


def restore(
    project: Project, kind: type[Detector], version: SettingsVersion, *, by: User, request: HttpRequest | None = None
) -> SettingsVersion | None:
    """Put an earlier version in force again, as a new one. Raises ThresholdError where the code takes it no more."""
    wish = replace(wish_of(version), note=f"version {version.number} again")
    return set_detector(project, kind, wish, by=by, request=request)


def versions(project: Project, kind: type[Detector]) -> QuerySet[SettingsVersion]:
    """Return what was set for a detector, newest first, with who did. One query."""
    rows = SettingsVersion.objects.of(project).filter(detector=kind.name())
    return rows.select_related("by").order_by("-number")
