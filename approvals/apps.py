"""The room of approvals: what a tool may do, what agents want to do, and what people decided on it."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"

    def ready(self) -> None:
        from agentops.notify.routing import subjects
        from agentops.web.navigation import counters
        from approvals.queries import waiting_count

        counters["approvals:list"] = waiting_count
        subjects.append("approval")
