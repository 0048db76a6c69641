"""Users, projects, who belongs to which in what role, API keys and one-time links."""

from typing import Any, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower, Now
from django.urls import reverse
from django.utils.crypto import salted_hmac
from uuid_utils.compat import uuid7

from agentops.accounts.scoped import ProjectScopedManager, ProjectScopedQuerySet
from agentops.audit.ref import Ref

DRILLS_SLUG = "scheduled-drills"  # of the project in which the installation drills itself


class Role(models.TextChoices):
    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    APPROVER = "approver", "Approver"
    ADMIN = "admin", "Admin"


class Scope(models.TextChoices):
    INGEST = "ingest", "Send steps"
    READ = "read", "Read"
    GATE = "gate", "Ask for approval"
    RUN = "run", "Start and cancel runs"
    MANAGE = "manage", "Acknowledge, resolve, drill"


class UserManager(BaseUserManager["User"]):
    """allauth and Django's commands create users through it; addresses are stored in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser):
    """A person. What they may do hangs on their memberships alone: there is no superuser."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField("e-mail", unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    # Counted up to end every session of this person, e.g. when a role was taken away.
    session_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    class Meta:
        db_table = "accounts_user"
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case")
        ]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def audit_ref(self) -> Ref:
        return Ref("user", str(self.pk), self.email)

    def get_session_auth_hash(self) -> str:
        return self._session_hash(None)

    def get_session_auth_fallback_hash(self) -> Any:
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._session_hash(secret)

    def _session_hash(self, secret: str | bytes | None) -> str:
        value = f"{self.password}:{self.session_epoch}"
        return salted_hmac("agentops.accounts.session", value, secret=secret, algorithm="sha256").hexdigest()


class Project(models.Model):
    """The border of everything: traces, keys, members and policies belong to exactly one project."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    environment = models.CharField(max_length=60, default="production")
    is_sandbox = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "accounts_project"

    def __str__(self) -> str:
        return self.name

    @property
    def audit_ref(self) -> Ref:
        return Ref("project", str(self.pk), self.slug)


class MembershipQuerySet(ProjectScopedQuerySet["Membership"]):
    def admins(self) -> Self:
        return self.filter(role=Role.ADMIN, user__is_active=True)


class Membership(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        db_table = "accounts_membership"
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_in_a_project"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.project_id}"


class ApiKeyQuerySet(ProjectScopedQuerySet["ApiKey"]):
    def usable(self) -> Self:
        """Keys that open a door now: neither revoked nor expired, made by an active person who is still a member."""
        return self.filter(
            models.Q(expires_at=None) | models.Q(expires_at__gt=Now()),
            models.Exists(
                Membership.objects.filter(user=models.OuterRef("created_by"), project=models.OuterRef("project"))
            ),
            revoked_at=None,
            created_by__is_active=True,
        )

    def with_state(self) -> Self:
        """Add `is_expired`, by the database's clock."""
        expired = models.Q(expires_at__isnull=False, expires_at__lte=Now())
        return self.annotate(is_expired=models.ExpressionWrapper(expired, output_field=models.BooleanField()))


class ApiKey(models.Model):
    """What a program shows at the door. The secret itself is shown once and never stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="api_keys")
    created_by = models.ForeignKey(User, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=120)
    key_id = models.CharField(max_length=10, unique=True, editable=False)
    secret_hash = models.BinaryField(editable=False)
    scopes = ArrayField(models.CharField(max_length=20))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "accounts_api_key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values, scopes__len__gt=0),
                name="api_key_scopes_are_known",
            ),
        ]
        indexes = [
            # The page of keys: a project's keys, newest first.
            models.Index(fields=["project", "-created_at"], name="api_key_by_project"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse('accounts:keys')}#{self.key_id}"

    @property
    def audit_ref(self) -> Ref:
        return Ref("api_key", self.key_id, self.name)


class LinkPurpose(models.TextChoices):
    SIGN_IN = "sign_in", "Sign in"
    INVITE = "invite", "Accept an invitation"


class SignInLinkQuerySet(models.QuerySet["SignInLink"]):
    def usable(self) -> Self:
        return self.filter(used_at=None, expires_at__gt=Now(), user__is_active=True)


class SignInLink(models.Model):
    """A one-time link that signs its person in; only the hash of what stands in the address is stored."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sign_in_links")
    token_hash = models.BinaryField(unique=True, editable=False)
    purpose = models.CharField(max_length=20, choices=LinkPurpose, default=LinkPurpose.SIGN_IN)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    objects = SignInLinkQuerySet.as_manager()

    class Meta:
        db_table = "accounts_sign_in_link"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(purpose__in=LinkPurpose.values), name="sign_in_link_purpose_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} link of {self.user_id}"


class AnsweredCall(models.Model):
    """An API call with an Idempotency-Key and what it was answered, so that a repetition gets the same."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, db_index=False)
    caller = models.TextField()  # a key or a person, by id
    key = models.TextField()  # the caller's own choice
    request_hash = models.BinaryField(max_length=32)  # of method, address and body
    status = models.PositiveSmallIntegerField()
    content_type = models.TextField()
    body = models.BinaryField()
    answered_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedManager()

    class Meta:
        db_table = "accounts_answered_call"
        constraints = [
            models.UniqueConstraint(fields=["project", "caller", "key"], name="answered_call_natural_key"),
        ]
        indexes = [
            # housekeeping.forget_expired.
            models.Index(fields=["answered_at"], name="answered_call_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.status} for {self.key}"
