"""Find every address that the product answers."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver


def addresses() -> dict[str, URLPattern]:
    """Return each route by its address as it stands in the URL configuration: `/settings/members/<uuid:pk>/role`."""
    return dict(_walk(get_resolver().url_patterns, "/"))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry.url_patterns, address)
        else:
            yield address, entry


def fill(address: str, objects: dict[str, object]) -> str:
    """Put ids into an address. Raises AssertionError for one that the matrix does not name."""
    parts = []
    for part in address.split("/"):
        name = part.strip("<>").rpartition(":")[2] if part.startswith("<") else ""
        assert not name or name in objects, f"the matrix names no {name} for {address}"
        parts.append(str(objects[name]) if name else part)
    return "/".join(parts)
