"""The room of containment: which patterns stop a run, and which runs were stopped, by whom and why."""

from django.apps import AppConfig


class ContainmentConfig(AppConfig):
    name = "traces.containment"
    label = "containment"
