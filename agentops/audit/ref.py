"""How the trail names who acted and what was acted on."""

from typing import Protocol

import msgspec


class Ref(msgspec.Struct, frozen=True):
    """Who acted, or what was acted on, as the trail remembers it."""

    kind: str
    id: str = ""
    name: str = ""

    @property
    def audit_ref(self) -> "Ref":
        return self


class HasRef(Protocol):
    """Models that act or are acted on say how the trail calls them."""

    @property
    def audit_ref(self) -> Ref: ...


SYSTEM = Ref("system", name="AgentOps")
NOBODY = Ref("anonymous", name="someone not signed in")
