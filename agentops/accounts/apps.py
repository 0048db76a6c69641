"""The Django app of users, projects, memberships and API keys."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "agentops.accounts"
    label = "accounts"

    def ready(self) -> None:
        from agentops.accounts import trail

        trail.connect()
