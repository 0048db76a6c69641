"""Which connections bring batches to this web process, so that the processes behind one door share them fairly.

An exporter keeps its connection for hours, and each connection stays with the process that took it. So who has fewer
senders takes the next connection sooner (server.py), and a sender's is given up now and then, to be taken anew.
For one event loop, so without a lock.
"""

from collections.abc import Collection
from time import monotonic

SENDS_FOR_S = 5.0  # after its last batch, as long as exporters wait between two
NEW_FOR_S = 0.1  # who has just come may be about to send
KEPT_S = 30.0
PAUSE_S, PAUSE_MAX_S = 0.004, 0.02  # for each sender, before another connection is taken

Client = tuple[str, int]


class Senders:
    """The connections that have brought a batch lately, or may be about to."""

    def __init__(self) -> None:
        self.are_shared = False  # among processes that take connections as server.py does
        self._since: dict[Client, float] = {}  # its first batch
        self._until: dict[Client, float] = {}  # it counts

    def came(self, client: Client) -> None:
        """Note a new connection."""
        self._forget([client])
        self._until[client] = monotonic() + NEW_FOR_S

    def keep(self, client: Client | None) -> bool:
        """Note a batch, and say whether its connection stays: not one that has been here for long with others.

        What a proxy on this machine says of its clients has no port, and tells no connection from another.
        """
        if not self.are_shared or client is None or not client[1]:
            return True
        now = monotonic()
        since = self._since.setdefault(client, now)
        self._until[client] = now + SENDS_FOR_S
        if 0 < now - since < KEPT_S:
            return True
        self._forget([other for other, until in self._until.items() if until < now])
        return since == now or len(self._since) == 1

    def pause_s(self, there: Collection[Client]) -> float:
        """Return how long to leave a new connection to other processes; `there` are those that are open."""
        if not self.are_shared:
            return 0
        now = monotonic()
        self._forget([client for client in self._until if client not in there])
        return min(PAUSE_MAX_S, PAUSE_S * sum(until > now for until in self._until.values()))

    def _forget(self, clients: list[Client]) -> None:
        for client in clients:
            self._until.pop(client, None)
            self._since.pop(client, None)


senders = Senders()
