"""Setting channels up: what people may change about them, each change in the audit trail."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.http import HttpRequest

from agentops.accounts.models import Project, User
from agentops.audit import services as audit
from agentops.notify.channels.base import Kind, kinds
from agentops.notify.models import Channel, Delivery, DeliveryState
from agentops.notify.sealing import UnreadableError, seal
from agentops.notify.services import wake_channels

# A channel that leads elsewhere, or is tried again, starts with a clean record.
HEALTHY: dict[str, Any] = {
    "failing_since": None,
    "failures": 0,
    "last_error": "",
    "retry_at": None,
    "told_at": None,
    "gone_at": None,
}


class NameTakenError(Exception):
    """Another channel of this project has the name."""


class Configured(msgspec.Struct, frozen=True):
    """`secret` exists only here, when one was made: show it now or never."""

    channel: Channel
    secret: str = ""


@transaction.atomic
def create_channel(
    project: Project, *, kind: str, name: str, values: Mapping[str, str], by: User, request: HttpRequest | None = None
) -> Configured:
    """Add a channel with checked values. Raises NameTakenError."""
    config, given = _sorted(kinds()[kind], values)
    made = kinds()[kind].make_secrets()
    channel = Channel(project=project, kind=kind, name=name, config=config, sealed=seal(made | given))
    _save(channel, force_insert=True)
    _record("channel.created", channel, by, request, kind=kind)
    return _configured(channel, made)


@transaction.atomic
def change_channel(
    channel: Channel,
    *,
    name: str,
    values: Mapping[str, str],
    forget: bool = False,
    by: User,
    request: HttpRequest | None = None,
) -> Configured:
    """Change a channel. Raises NameTakenError.

    When it leads elsewhere, all its secrets are dropped: they were meant for another receiver. An empty secret leaves
    the saved one, unless `forget` says otherwise of those that it can do without.
    """
    kind = kinds()[channel.kind]
    config, given = _sorted(kind, values)
    moved = leads_elsewhere(channel, values)
    made = kind.make_secrets() if moved else {}
    kept = {} if moved else _kept(channel, kind, forget=forget)
    channel.name, channel.config, channel.sealed = name, config, seal(kept | made | given)
    _save(channel, update_fields=["name", "config", "sealed"])
    if moved:
        _start_afresh(channel)
    _record("channel.changed", channel, by, request, moved=moved, secrets=sorted(given))
    return _configured(channel, made)


@transaction.atomic
def renew_secret(channel: Channel, *, by: User, request: HttpRequest | None = None) -> Configured:
    """Replace the secret that is ours to make; the old one is used no more."""
    kind = kinds()[channel.kind]
    made = kind.make_secrets()
    channel.sealed = seal(_kept(channel, kind, forget=False) | made)
    channel.save(update_fields=["sealed"])
    _record("channel.secret_renewed", channel, by, request)
    return _configured(channel, made)


@transaction.atomic
def pause_channel(channel: Channel, *, by: User, request: HttpRequest | None = None) -> None:
    """Send nothing until it is resumed: what is told meanwhile never goes there, what waits goes on waiting."""
    if Channel.objects.filter(pk=channel.pk, paused_at=None).update(paused_at=Now()):
        _record("channel.paused", channel, by, request)


@transaction.atomic
def resume_channel(channel: Channel, *, by: User, request: HttpRequest | None = None) -> None:
    """Open a channel that was paused or has gone."""
    Channel.objects.filter(pk=channel.pk).update(paused_at=None)
    _start_afresh(channel)
    _record("channel.resumed", channel, by, request)


@transaction.atomic
def delete_channel(channel: Channel, *, by: User, request: HttpRequest | None = None) -> None:
    """Close a channel for ever, with its address and secrets; its deliveries stay to be read."""
    Channel.objects.filter(pk=channel.pk).update(deleted_at=Now(), config={}, sealed=b"")
    waiting = Delivery.objects.pending().filter(channel=channel)
    count = waiting.update(state=DeliveryState.FAILED, ended_at=Now(), last_status="channel deleted")
    _record("channel.deleted", channel, by, request, waiting=count)


def leads_elsewhere(channel: Channel, values: Mapping[str, str]) -> bool:
    """Say whether these values name another receiver. An empty secret names none."""
    targets = [field for field in kinds()[channel.kind].fields if field.is_target]
    given = {field.name for field in targets if not field.is_secret or values.get(field.name)}
    return any(values.get(name, "") != _saved(channel).get(name) for name in given)


def hints(channel: Channel) -> dict[str, str]:
    """Return the last four characters of each secret, by name; nothing of one that cannot be opened."""
    try:
        return {name: value[-4:] for name, value in channel.secrets().items()}
    except UnreadableError:
        return {}


def _sorted(kind: Kind, values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what may be shown and what may not, without the secrets that were left empty."""
    shown = {field.name: values.get(field.name, "") for field in kind.fields if not field.is_secret}
    secret = {field.name: values[field.name] for field in kind.fields if field.is_secret and values.get(field.name)}
    return shown, secret


def _kept(channel: Channel, kind: Kind, *, forget: bool) -> dict[str, str]:
    """Return the saved secrets; with `forget` without those that a person gave. Unreadable ones are made anew."""
    try:
        saved = channel.secrets()
    except UnreadableError:
        return kind.make_secrets()
    typed = {field.name for field in kind.fields if field.is_secret and not field.is_required}
    return {name: value for name, value in saved.items() if not (forget and name in typed)}


def _saved(channel: Channel) -> dict[str, str]:
    try:
        return {**channel.config, **channel.secrets()}
    except UnreadableError:
        return dict(channel.config)


def _save(channel: Channel, **options: Any) -> None:
    try:
        with transaction.atomic():
            channel.save(**options)
    except IntegrityError:
        raise NameTakenError from None


def _start_afresh(channel: Channel) -> None:
    Channel.objects.filter(pk=channel.pk).update(**HEALTHY)
    Delivery.objects.pending().filter(channel=channel, attempts__gt=0).update(next_attempt_at=Now())
    wake_channels([channel.pk])


def _configured(channel: Channel, made: Mapping[str, str]) -> Configured:
    return Configured(channel, made.get(kinds()[channel.kind].shown_once, ""))


def _record(action: str, channel: Channel, by: User, request: HttpRequest | None, **detail: object) -> None:
    audit.record(action, actor=by, project=channel.project_id, target=channel, detail=detail, request=request)
