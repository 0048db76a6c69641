"""What a span costs and who says so; what the spans of a trace cost, and how much of that is known."""

from typing import TYPE_CHECKING

from django.db import models


def is_paid(event_type: str | None, is_error: bool | None) -> bool:
    """Say whether a span costs something, even where nobody says what: a model call, unless it failed."""
    return event_type == "model_response" and not is_error


class Cost(models.Model):
    """The cost of a span: its sender's, else our estimate (ingest/cost.py), else nobody knows it."""

    provider = models.TextField(null=True)  # noqa: DJ001 - of the model
    cache_written_tokens = models.IntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True)
    estimated_usd = models.DecimalField(max_digits=18, decimal_places=9, null=True)  # only where the sender gives none

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        event_type: str | None
        is_error: bool | None

    @property
    def is_unpriced(self) -> bool:
        """A model call of which nobody knows what it cost."""
        return self.cost_usd is None and self.estimated_usd is None and is_paid(self.event_type, self.is_error)


class CostSums(models.Model):
    """The costs of a trace's spans, kept by ingest/rollup.py."""

    cost_usd = models.DecimalField(max_digits=28, decimal_places=9, null=True)  # null: of no span it is known
    estimated_usd = models.DecimalField(
        max_digits=28, decimal_places=9, default=0, db_default=0
    )  # so much of it is ours
    priced = models.IntegerField(default=0, db_default=0)  # spans with a cost
    unpriced = models.IntegerField(default=0, db_default=0)  # model calls whose cost nobody knows

    class Meta:
        abstract = True
