"""The room of traces: ingest, store, show."""

from contextlib import suppress
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TracesConfig(AppConfig):
    name = "traces"

    def ready(self) -> None:
        # The first span may come before the sweeper has looked; without its day's partition it would be stored in
        # the default one, where it costs more to remove.
        post_migrate.connect(_make_partitions, sender=self)


def _make_partitions(**_: Any) -> None:
    from django.db import OperationalError, connection

    from traces.partitions import ensure_partitions

    if "traces_span" in connection.introspection.table_names():
        with suppress(OperationalError):  # the table is in use: the sweeper makes them
            ensure_partitions()
