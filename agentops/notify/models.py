"""Channels, what is to be delivered to each, and the feed that every project has."""

from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Membership, Project
from agentops.accounts.scoped import ProjectScopedQuerySet
from agentops.audit.ref import Ref
from agentops.jobs.models import Job
from agentops.notify.message import Message
from agentops.notify.sealing import Secrets, unseal

LOOPBACK = "loopback"


class ChannelQuerySet(ProjectScopedQuerySet["Channel"]):
    def kept(self) -> Self:
        """Those that nobody has deleted."""
        return self.filter(deleted_at=None)

    def for_people(self) -> Self:
        """Those that reach a person, and not the one that drills use."""
        return self.kept().exclude(kind=LOOPBACK)

    def open(self) -> Self:
        return self.kept().filter(paused_at=None, gone_at=None)

    def troubled(self) -> Self:
        """Those that fail now or have gone."""
        return self.for_people().exclude(failing_since=None, gone_at=None)


class Channel(models.Model):
    """A way to reach people. A deleted one keeps its name and its deliveries, and nothing that opens a door."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    kind = models.TextField()
    name = models.CharField(max_length=120)
    config = models.JSONField(default=dict)  # what may be shown
    sealed = models.BinaryField(default=b"")  # what may not
    created_at = models.DateTimeField(db_default=Now())
    paused_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    last_ok_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(db_default=0)  # in a row
    last_error = models.TextField(default="", db_default="")
    retry_at = models.DateTimeField(null=True)  # nothing is sent before
    told_at = models.DateTimeField(null=True)  # people know that it fails
    gone_at = models.DateTimeField(null=True)  # the receiver said so
    takes_all = models.BooleanField(default=True, db_default=True)  # False: only what one of its routes lets through
    is_fallback = models.BooleanField(default=False, db_default=False)  # hears what others could not deliver
    fell_back_at = models.DateTimeField(null=True)  # last time the fallback heard of it

    objects = ChannelQuerySet.as_manager()

    class Meta:
        constraints = [
            # Also the list of a project's channels.
            models.UniqueConstraint(fields=["project", "name"], condition=Q(deleted_at=None), name="channel_name_once"),
            models.UniqueConstraint(
                fields=["project"], condition=Q(is_fallback=True, deleted_at=None), name="channel_fallback_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("notify:channel", args=[self.pk])

    @property
    def audit_ref(self) -> Ref:
        return Ref("channel", str(self.pk), self.name)

    @property
    def state(self) -> str:
        if self.gone_at:
            return "gone"
        if self.paused_at:
            return "paused"
        if self.failing_since:
            return "failing"
        return "working" if self.last_ok_at else "unused"

    def secrets(self) -> Secrets:
        """Open what is sealed. Raises UnreadableError."""
        return unseal(bytes(self.sealed))


class Route(models.Model):
    """What a channel takes: messages about a pattern, from a severity on, about agents. Empty stands for any."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="routes")
    pattern = models.TextField(default="", db_default="")
    at_least = models.TextField(default="low", db_default="low")
    agent = models.TextField(default="", db_default="")  # a glob of `*`

    def __str__(self) -> str:
        agents = f" of {self.agent}" if self.agent else ""
        return f"{self.pattern or 'everything'}{agents}, {self.at_least} and above"


class DeliverJob(Job):
    """A channel has something to send. One row for each, so that nobody waits behind another channel's receiver."""

    kind = "deliver"
    queue = "deliver"
    natural_key = ("channel",)
    # A delivery that kills its process puts itself off (see deliver.py); its channel must not be set aside for it.
    max_attempts = 20

    channel = models.ForeignKey(Channel, models.CASCADE, db_index=False)

    class Meta(Job.Meta):
        constraints = [*Job.Meta.constraints, models.UniqueConstraint(fields=["channel"], name="deliver_job_natural")]


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


class DeliveryQuerySet(ProjectScopedQuerySet["Delivery"]):
    def pending(self) -> Self:
        return self.filter(state=DeliveryState.PENDING)

    def standing(self) -> Self:
        """Those that travel by themselves, not inside another."""
        return self.filter(folded_into=None)

    def first_of_their_event(self) -> Self:
        """Those that no earlier pending one about the same thing has to precede."""
        earlier = Delivery.objects.pending().filter(
            channel=OuterRef("channel"), event_id=OuterRef("event_id"), id__lt=OuterRef("id")
        )
        return self.exclude(Exists(earlier))


class Delivery(models.Model):
    """One message to one channel. Its id goes over the wire and never changes: a receiver can tell a repetition."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    channel = models.ForeignKey(Channel, models.CASCADE, db_index=False)
    key = models.TextField()
    family = models.TextField()
    event_id = models.TextField()
    message = models.JSONField()
    state = models.TextField(choices=DeliveryState, default=DeliveryState.PENDING, db_default=DeliveryState.PENDING)
    # Over the limit: the first one waits and gathers, those that come after it travel inside it.
    gathers = models.BooleanField(default=False, db_default=False)
    folded_into = models.ForeignKey("self", models.SET_NULL, null=True, related_name="folded")
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(db_default=0)
    first_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    last_status = models.TextField(default="", db_default="")
    fell_back_at = models.DateTimeField(null=True)  # the fallback was told of it
    last_took_ms = models.PositiveIntegerField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "key"], name="delivery_once"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_known"),
            models.CheckConstraint(
                condition=Q(state=DeliveryState.DELIVERED) ^ Q(delivered_at=None), name="delivery_has_its_time"
            ),
        ]
        indexes = [
            # begin_next: what a channel has to send, and what precedes it.
            models.Index(fields=["channel", "id"], condition=Q(state="pending"), name="delivery_pending"),
            # services.notify: how much a channel got in the last minute; the page of a channel, newest first.
            models.Index(fields=["channel", "-created_at", "family"], name="delivery_by_channel"),
            # queries.deliveries: what became of a key, whatever the channel.
            models.Index(fields=["project", "key"], name="delivery_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.key} to {self.channel_id}"

    @property
    def wire_id(self) -> str:
        return f"msg_{self.pk.hex}"

    @property
    def next_at(self) -> datetime:
        """When it is tried next; its channel may be left alone for longer."""
        return max(self.next_attempt_at, self.channel.retry_at or self.next_attempt_at)

    def content(self) -> Message:
        """The message as it was given."""
        stored: dict[str, Any] = self.message
        return Message(**stored)


class Attempt(models.Model):
    """One attempt of a delivery, written before it is made; without a status nobody has noted its answer."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="tries", db_index=False)
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField(db_default=Now())
    status = models.TextField(default="", db_default="")
    took_ms = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_once")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"


class FeedItemQuerySet(ProjectScopedQuerySet["FeedItem"]):
    def with_read(self, member: Membership) -> Self:
        """Add `is_read`: before the member's mark, or read one by one."""
        one_by_one = Exists(FeedRead.objects.filter(item=OuterRef("pk"), member=member))
        return self.annotate(is_read=Q(created_at__lte=_read_until(member)) | Q(one_by_one))

    def unread_by(self, member: Membership) -> Self:
        return self.with_read(member).filter(created_at__gt=_read_until(member), is_read=False)


def _read_until(member: Membership) -> Coalesce:
    """Everything up to this moment is read; who is new has nothing to catch up on."""
    mark = FeedMark.objects.filter(member=member).values("read_until")
    return Coalesce(Subquery(mark), models.Value(member.created_at, models.DateTimeField()))


class FeedItem(models.Model):
    """One thing that was told to a project, in the product itself. Always on."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    key = models.TextField()
    kind = models.TextField()
    severity = models.TextField()
    title = models.TextField()
    body = models.TextField(default="", db_default="")
    url = models.TextField(default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())

    objects = FeedItemQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="feed_item_once")]
        indexes = [
            # The feed, newest first, and the unread ones since a member's mark.
            models.Index(fields=["project", "-created_at", "-id"], name="feed_list"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_link(self) -> bool:
        """Whether its address is a page of ours; one that leads elsewhere is never a link."""
        return self.url.startswith("/") and not self.url.startswith(("//", "/\\"))


class FeedMark(models.Model):
    """Up to when a member has read everything."""

    member = models.OneToOneField(Membership, models.CASCADE, primary_key=True)
    read_until = models.DateTimeField()

    objects: ClassVar[models.Manager[Self]]

    def __str__(self) -> str:
        return f"{self.member_id} until {self.read_until}"


class FeedRead(models.Model):
    """An item behind the mark that a member has read."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    member = models.ForeignKey(Membership, models.CASCADE, db_index=False)
    item = models.ForeignKey(FeedItem, models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["member", "item"], name="feed_read_once")]

    def __str__(self) -> str:
        return f"{self.member_id} read {self.item_id}"
