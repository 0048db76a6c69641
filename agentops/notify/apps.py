"""The Django app that tells people: channels, their outbox, and the feed inside the product."""

from django.apps import AppConfig


class NotifyConfig(AppConfig):
    name = "agentops.notify"

    def ready(self) -> None:
        from agentops.notify.queries import unread_count
        from agentops.web.navigation import counters

        counters["notify:feed"] = unread_count
