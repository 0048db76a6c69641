"""The room of alerts: findings of one cause, brought to a person once, with a clock that says how fast."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "traces.alerts"
    label = "alerts"

    def ready(self) -> None:
        from agentops.web.navigation import counters
        from traces.alerts.queries import open_count

        counters["alerts:list"] = open_count
