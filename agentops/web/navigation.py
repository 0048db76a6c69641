"""The side navigation: one list of rooms; an item whose page is not built yet is left out by itself."""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


@dataclass(frozen=True)
class Item:
    """One room. `phone` orders the three places of the phone's bottom bar, lowest first; 0 is never there.

    `roles` spares others a click that would be refused; the page itself decides. `also` names the room's other pages.
    """

    group: str
    name: str
    url_name: str
    glyph: str
    phone: int = 0
    roles: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """An item as drawn for one request; `count` is (number, mark, tone) or None."""

    item: Item
    url: str
    is_here: bool
    count: tuple[int, str, str] | None = None


ADMIN = frozenset({"admin"})

ITEMS = (
    Item("Watch", "Overview", "overview", "layout-dashboard", 1),
    Item("Watch", "Alerts", "alerts:list", "bell", 2),
    Item("Watch", "Approvals", "approvals:list", "hand", 3),
    Item("Watch", "Runs", "runs:list", "play"),
    Item("Watch", "Feed", "notify:feed", "inbox"),
    Item("Explore", "Sessions", "traces:sessions", "messages-square", 5),
    Item("Explore", "Traces", "traces:list", "list-tree", 4),
    Item("Measure", "MTTD and drills", "alerts:mttd", "timer"),
    Item("Measure", "Detectors", "detectors:list", "radar"),
    Item("Set up", "Ingest", "traces:ingest", "link", also=("start",)),
    Item("Set up", "Policies", "approvals:policies", "shield-check"),
    Item("Set up", "Containment", "containment", "circle-stop", roles=ADMIN),
    Item("Set up", "Channels", "notify:channels", "webhook"),
    Item("Set up", "Redaction", "redaction:rules", "lock", roles=ADMIN),
    Item("Set up", "Members and keys", "accounts:members", "users", roles=ADMIN, also=("accounts:keys",)),
    Item("Set up", "Audit", "audit", "scroll-text", roles=ADMIN),
)
PHONE_PLACES = 3

# What a room says about its count beside its name: url name → request → (number, mark, tone) or None.
Count = tuple[int, str, str]
counters: dict[str, Callable[[HttpRequest], Count | None]] = {}


def entries(request: HttpRequest) -> list[Entry]:
    """Return what can be opened, in order. Costs what the registered counters cost, nothing by itself."""
    role = getattr(getattr(request, "membership", None), "role", "")
    items = [item for item in ITEMS if not item.roles or role in item.roles]
    found = [(item, url, _depth(item, request.path)) for item in items if (url := _url(item.url_name))]
    deepest = max((depth for _, _, depth in found), default=0)
    return [Entry(item, url, 0 < depth == deepest, _count(request, item)) for item, url, depth in found]


def groups(all_entries: list[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return the entries under their group's name."""
    named: dict[str, list[Entry]] = {}
    for entry in all_entries:
        named.setdefault(entry.item.group, []).append(entry)
    return list(named.items())


def phone_entries(all_entries: list[Entry]) -> list[Entry]:
    """Return the three that the phone's bottom bar shows beside More."""
    chosen = sorted((e for e in all_entries if e.item.phone), key=lambda e: e.item.phone)[:PHONE_PLACES]
    return [entry for entry in all_entries if entry in chosen]


def _url(url_name: str) -> str | None:
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return None


def _depth(item: Item, path: str) -> int:
    """Return how much of the path is the address of one of the room's pages; 0 is another room."""
    pages = (_url(name) for name in (item.url_name, *item.also))
    return max((len(url) for url in pages if url and _contains(url, path)), default=0)


def _contains(url: str, path: str) -> bool:
    return path == url or (url != "/" and path.startswith(url.rstrip("/") + "/"))


def _count(request: HttpRequest, item: Item) -> Count | None:
    counter = counters.get(item.url_name)
    return counter(request) if counter else None
