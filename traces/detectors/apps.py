"""The room of detectors: findings, and the state that a detector keeps between two steps."""

from django.apps import AppConfig


class DetectorsConfig(AppConfig):
    name = "traces.detectors"
    label = "detectors"
