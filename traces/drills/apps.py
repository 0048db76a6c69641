"""The room of drills: failures that are injected on purpose, with the moment at which they begin."""

from django.apps import AppConfig


class DrillsConfig(AppConfig):
    name = "traces.drills"
    label = "drills"
