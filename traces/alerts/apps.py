"""The room of alerts: findings of one cause, brought to a person once, with a clock that says how fast."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "traces.alerts"
    label = "alerts"

    def ready(self) -> None:
        from agentops.notify.routing import subjects
        from agentops.web.navigation import counters
        from traces.alerts import patterns
        from traces.alerts.queries import open_count

        counters["alerts:list"] = open_count
        subjects.extend(patterns.ALL)
