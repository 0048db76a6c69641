"""Pages of a list by key: a page costs the same at any depth, and rows that arrive do not shift it."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

Row = TypeVar("Row", bound=Model)
NEWEST = ("-received_at", "-id")


class CursorError(ValueError):
    """Raised for a cursor that this list did not give out."""


@dataclass(frozen=True)
class KeysetPage(Generic[Row]):
    results: list[Row]
    next: str | None  # the cursor of the page after this one; None at the end

    def __iter__(self) -> Any:
        return iter(self.results)


def keyset_page(rows: QuerySet[Row], *, after: str | None, limit: int, by: tuple[str, ...] = NEWEST) -> KeysetPage[Row]:
    """Return up to `limit` rows behind the cursor `after`, ordered by unique, non-null fields. One query.

    Raises CursorError.
    """
    found = list(behind(rows, after, by)[: limit + 1])
    if len(found) <= limit:
        return KeysetPage(found, None)
    return KeysetPage(found[:limit], cursor_of(found[limit - 1], by))


def behind(rows: QuerySet[Row], after: str | None, by: tuple[str, ...] = NEWEST) -> QuerySet[Row]:
    """Return the rows behind a cursor, or all, in the list's order. Raises CursorError."""
    if after:
        rows = rows.filter(_behind(rows.model, by, decode_cursor(after, len(by))))
    return rows.order_by(*by)


def cursor_of(row: Model, by: tuple[str, ...] = NEWEST) -> str:
    """Return the cursor of the page that begins behind this row."""
    return encode_cursor([getattr(row, name.lstrip("-")) for name in by])


def _behind(model: type[Model], by: tuple[str, ...], values: list[Any]) -> Q:
    """Return (a, b) behind (x, y) as: a behind x, or a = x and b behind y."""
    condition = Q(pk__in=[])
    equal = Q()
    bounds: list[Any] = []
    for name, value in zip(by, values, strict=True):
        field = name.lstrip("-")
        try:
            bound = model._meta.get_field(field).to_python(value)  # type: ignore[union-attr]
        except (ValueError, TypeError, OverflowError, ValidationError) as error:
            raise CursorError("The cursor is not one of this list.") from error
        bounds.append(bound)
        condition |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": bound})
        equal &= Q(**{field: bound})
    first = by[0].lstrip("-")
    start = Q(**{f"{first}__{'lte' if by[0].startswith('-') else 'gte'}": bounds[0]})
    return start & condition  # lets the index start at the right place


def encode_cursor(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


def decode_cursor(cursor: str, length: int) -> list[Any]:
    """Return the values of a cursor. Raises CursorError."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = msgspec.json.decode(base64.urlsafe_b64decode(padded.encode("ascii")), type=list[str | int])
    except (ValueError, UnicodeError, binascii.Error, msgspec.MsgspecError) as error:
        raise CursorError("The cursor is not one of this list.") from error
    if len(values) != length:
        raise CursorError("The cursor is not one of this list.")
    return values
