"""The request as every page and API view gets it, once ProjectMiddleware has let it pass."""

from django.http import HttpRequest

from agentops.accounts.models import ApiKey, Membership, Project, User


class ProjectRequest(HttpRequest):
    """A request of somebody who belongs to `project`; `api_key` is set when a program asks, not a person."""

    user: User
    project: Project
    membership: Membership
    memberships: list[Membership]
    api_key: ApiKey | None
