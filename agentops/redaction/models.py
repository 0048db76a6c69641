"""What a project wants taken out of its texts besides secrets: a name and a pattern."""

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from uuid_utils.compat import uuid7

from agentops.accounts.models import Project, User
from agentops.accounts.scoped import ProjectScopedManager
from agentops.audit.ref import Ref


class RedactionRule(models.Model):
    """A pattern of RE2; what it matches becomes `[redacted:<name>:…]` in everything that is received from then on."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_index=False)
    name = models.TextField()
    pattern = models.TextField()
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now())

    objects = ProjectScopedManager()

    class Meta:
        db_table = "redaction_rule"
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="redaction_rule_natural_key")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("redaction:rules")

    @property
    def audit_ref(self) -> Ref:
        return Ref("redaction rule", str(self.pk), self.name)
