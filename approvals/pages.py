"""What the pages of approvals show beside the rows: previews, comparisons, who may decide, the run so far."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import rfc8785

from agentops.accounts.models import Membership
from agentops.notify import queries as notify_queries
from agentops.notify.models import Delivery
from approvals import edit, queries
from approvals.eligible import People
from approvals.hidden import Hidden, hidden_in
from approvals.models import Action, Approval, Status
from traces.detectors.models import Finding
from traces.models import Trace
from traces.queries import Step, last_steps
from traces.threads.models import kept_as

STEPS = 8  # of the run before the action
NAMES = 3
SOON = timedelta(minutes=5)
ABSENT = object()


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What the tool itself says that it would do."""

    title: str = ""
    target: str = ""
    facts: dict[str, str] = {}
    consequences: list[str] = []
    undo: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of two actions; `is_same` where both have it alike."""

    name: str
    before: Any = ABSENT
    now: Any = ABSENT

    @property
    def has_before(self) -> bool:
        return self.before is not ABSENT

    @property
    def has_now(self) -> bool:
        return self.now is not ABSENT

    @property
    def is_same(self) -> bool:
        if not (self.has_before and self.has_now):
            return False
        return rfc8785.dumps(self.before) == rfc8785.dumps(self.now)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An approval in the queue, as one member sees it."""

    approval: Approval
    who: str  # "you or Ines Duarte"
    part: str  # what this member had to do with it, if that bars them
    is_mine: bool
    preview: Preview | None
    total_s: float  # from asking to expiry
    share: float  # of that time is left
    is_soon: bool


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The run that wants to act, up to the action."""

    trace: Trace
    steps: list[Step]
    findings: list[Finding]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The page of one approval, for one member."""

    waiting: Waiting
    is_open: bool
    refusal: str  # why this member may not decide on what waits
    barred: list[tuple[Membership, str]]
    preview: Preview | None
    rows: list[Row]
    alike: Approval | None
    edited: list[Row]  # what a person changed, from what was asked
    hidden: Hidden | None
    may_edit: bool  # somebody could approve other arguments
    fields: list[edit.Field]
    json: str
    run: Run | None
    deliveries: list[Delivery]


def page(approval: Approval, member: Membership | None, sent: Mapping[str, str] | None = None) -> Page:
    """Return what the page of an approval shows, with an edit that was refused. Six queries; three without a trace."""
    people, action = People(approval.project_id), approval.action
    alike = queries.last_alike(approval)
    is_open = _is_open(approval, people.read_at)
    parts = people.parts(approval)
    return Page(
        waiting=waiting(approval, people, member),
        is_open=is_open,
        refusal=people.why_not(approval, member) if is_open else "",
        barred=[(one, parts[one.user_id]) for one in people.members if one.user_id in parts],
        preview=preview_of(action),
        rows=compare(alike.action.parsed_arguments if alike else {}, action.parsed_arguments),
        alike=alike,
        edited=compare(action.parsed_proposal, action.parsed_arguments) if action.proposed_arguments else [],
        hidden=hidden_in(action),
        may_edit=member is not None and bool(people.deciders(approval, edited_by=member.user_id)),
        fields=edit.fields(action, sent) if is_open else [],
        json=(sent or {}).get("arguments") or edit.as_json(action.parsed_arguments),
        run=_run(approval),
        deliveries=notify_queries.deliveries(approval.project_id, [f"approval:{approval.pk}:asked"]),
    )


def waiting(approval: Approval, people: People, member: Membership | None) -> Waiting:
    """Return how one member sees an approval that waits. No query."""
    deciders = people.deciders(approval)
    is_mine = member is not None and any(one.pk == member.pk for one in deciders)
    names = ["you"] if is_mine else []
    names += [str(one.user) for one in deciders if member is None or one.pk != member.pk]
    total = approval.expires_at - approval.created_at
    left = approval.expires_at - (people.read_at or approval.expires_at)
    return Waiting(
        approval=approval,
        who=_either(names),
        part=people.parts(approval).get(member.user_id, "") if member else "",
        is_mine=is_mine,
        preview=preview_of(approval.action),
        total_s=total.total_seconds(),
        share=left / total if total else 0.0,
        is_soon=left < SOON,
    )


def preview_of(action: Action) -> Preview | None:
    """Return what the tool said of the action; None where it said nothing, or nothing that can be read."""
    try:
        return msgspec.convert(action.preview, Preview, strict=False) if action.preview else None
    except msgspec.ValidationError:
        return None


def compare(before: dict[str, Any], now: dict[str, Any]) -> list[Row]:
    """Return each argument of either action, what differs first."""
    names = [*now, *(name for name in before if name not in now)]
    rows = [Row(name=name, before=before.get(name, ABSENT), now=now.get(name, ABSENT)) for name in names]
    return sorted(rows, key=lambda row: row.is_same)


def _is_open(approval: Approval, now: datetime | None) -> bool:
    return approval.status == Status.PENDING and now is not None and approval.expires_at > now


def _either(names: list[str]) -> str:
    if not names:
        return "nobody here"
    shown, more = (names, 0) if len(names) <= NAMES else (names[: NAMES - 1], len(names) - NAMES + 1)
    *first, last = [*shown, f"{more} others"] if more else shown
    return f"{', '.join(first)} or {last}" if first else last


def _run(approval: Approval) -> Run | None:
    """Return the run of an action with its last steps, up to the decision once there is one. Three queries."""
    action = approval.action
    if action.trace_id is None:
        return None
    trace = Trace.objects.of(approval.project_id).filter(trace_id=kept_as(approval.project_id, action.trace_id)).first()
    if trace is None:
        return None
    steps = last_steps(trace, STEPS + 1, until=approval.decided_at)
    own = {approval.pk.hex, str(approval.pk)}
    return Run(
        trace=trace,
        steps=[step for step in steps if step.approval_id not in own][-STEPS:],
        findings=list(Finding.objects.open().out_of_shadow().filter(trace=trace).order_by("onset_number", "id")),
    )
