"""One row of the matrix: what a route expects of whoever calls it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

from agentops.accounts.models import Project
from agentops.accounts.policy import PERMISSIONS, SCOPES

ANY = "any"


class Door(Enum):
    PUBLIC = "everybody"
    PAGE = "a signed-in person whose role has the permission; never a key"
    API = "a key with the scope, or a signed-in person whose role has it"
    KEY = "a key with the scope; never a session"


@dataclass(frozen=True)
class Route:
    """`needs` is a permission (PAGE) or a scope (API, KEY), for all methods or for each; ANY is membership alone,
    of several scopes one is enough.

    `ok` is the status of each method that the route knows, for who may call it; every other method is answered 405.
    `objects` makes what the address names, in a given project: {"pk": …}. The same in a foreign project must be
    answered 404 with the body of something that never existed. `data` is what unsafe methods send. `signed_in` is what
    a person with a session gets from a PUBLIC route, where it differs. What `is_shared` is the product's own, and the
    same in every project.
    """

    door: Door
    needs: str | Mapping[str, str | tuple[str, ...]] = ""
    ok: Mapping[str, int] = field(default_factory=lambda: {"GET": 200})
    objects: Callable[[Project], dict[str, Any]] | None = None
    data: Mapping[str, Any] | Callable[[Project], Mapping[str, Any]] = field(default_factory=dict)
    signed_in: int | None = None
    missing: Callable[[], dict[str, Any]] | None = None
    is_shared: bool = False

    def body(self, project: Project) -> Mapping[str, Any]:
        return self.data(project) if callable(self.data) else self.data

    def never_existed(self, objects: Mapping[str, Any]) -> dict[str, Any]:
        """Return the address of nothing, shaped like that of something."""
        return self.missing() if self.missing else {name: _unknown(value) for name, value in objects.items()}

    def outcome(self, who: str, method: str) -> int | str:
        """Return the status that `who` must get: "login" is the redirect to sign-in."""
        kind, _, name = who.partition(":")
        allowed = self.ok[method]
        wanted = self.needs if isinstance(self.needs, str) else self.needs[method]
        needs = (wanted,) if isinstance(wanted, str) else wanted
        if self.door is Door.PUBLIC:
            return self.signed_in if kind == "role" and self.signed_in else allowed
        if kind == "anonymous":
            return "login" if self.door is Door.PAGE else 401
        if self.door is Door.KEY:
            return 401 if kind == "role" else allowed if name in needs else 403
        if kind == "key":
            return allowed if self.door is Door.API and {name, ANY} & {*needs} else 403
        rules = {**PERMISSIONS, **SCOPES, ANY: {name}}
        return allowed if any(name in rules[one] for one in needs) else 403


def page(needs: str = "view", **more: Any) -> Route:
    return Route(Door.PAGE, needs, **more)


def api(needs: str | Mapping[str, str | tuple[str, ...]] = "read", **more: Any) -> Route:
    return Route(Door.API, needs, **more)


def key_door(needs: str, **more: Any) -> Route:
    return Route(Door.KEY, needs, **more)


def public(**more: Any) -> Route:
    return Route(Door.PUBLIC, **more)


def _unknown(value: Any) -> Any:
    if isinstance(value, UUID):
        return uuid4()
    text = str(value)
    return uuid4().hex if len(text) == 32 else f"unknown-{text}"
