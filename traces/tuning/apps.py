"""The room of tuning: what a project sets for its detectors, who set it when, and trying it first."""

from django.apps import AppConfig


class TuningConfig(AppConfig):
    name = "traces.tuning"
    label = "tuning"
