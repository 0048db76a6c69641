"""A client beside a running installation: adds a webhook for each address, and silences agents.

Run as a module with a glob of agents and the addresses.
"""

import sys
from datetime import timedelta

import django


def prepare(agents: str, urls: list[str]) -> None:
    from agentops.accounts.models import Project, User
    from tests.notify.builders import make_channel
    from traces.alerts.services import silence_all

    project, owner = Project.objects.get(slug="default"), User.objects.order_by("pk").first()
    assert owner
    for url in urls:
        make_channel(project, url)
    about = {"pattern": "", "agent": agents, "tool_name": ""}
    silence_all(project, by=owner, about=about, lasting=timedelta(days=1), reason="It is known.")


if __name__ == "__main__":
    django.setup()
    prepare(sys.argv[1], sys.argv[2:])
