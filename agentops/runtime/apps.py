"""The room of the built-in agent."""

from django.apps import AppConfig


class RuntimeConfig(AppConfig):
    name = "agentops.runtime"
    label = "runtime"

    def ready(self) -> None:
        from agentops.notify.routing import subjects

        subjects.append("run")
