"""Make a screenshot small: the same picture with a palette of 256 colours (PNG, RFC 2083). Standard library only."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
RGB, PALETTE = 2, 3
PIXEL = 3  # bytes
COLOURS = 256
GROUNDS = 96  # of them taken by frequency alone; the rest one from each corner of the colour space


def shrink(path: Path) -> None:
    """Rewrite an RGB screenshot with a palette of its own; colours outside it become the nearest inside.

    Pages are flat areas and text whose edges have some hundred shades, so the eye finds no difference.
    """
    chunks = dict(_chunks(path.read_bytes()))
    width, height, depth, kind, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, kind) == (8, RGB), "a screenshot has three bytes a pixel"
    rows = list(_rows(zlib.decompress(chunks[b"IDAT"]), width * PIXEL))
    pixels = [[row[i : i + PIXEL] for i in range(0, len(row), PIXEL)] for row in rows]
    palette = _palette(Counter(pixel for row in pixels for pixel in row))

    @cache
    def place(pixel: bytes) -> int:
        return min(range(len(palette)), key=lambda i: _distance(palette[i], pixel))

    drawn = b"".join(b"\0" + bytes(map(place, row)) for row in pixels)
    path.write_bytes(
        SIGNATURE
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0))
        + _chunk(b"PLTE", b"".join(palette))
        + _chunk(b"IDAT", zlib.compress(drawn, 9))
        + _chunk(b"IEND", b"")
    )


def _palette(counts: Counter[bytes]) -> list[bytes]:
    """Return the most frequent colours, and then the most frequent of each kind, so that no rare hue is lost."""
    ordered = [colour for colour, _ in counts.most_common()]
    kinds = {bytes(value >> 4 for value in colour): colour for colour in reversed(ordered)}
    return list(dict.fromkeys([*ordered[:GROUNDS], *sorted(kinds.values(), key=counts.__getitem__, reverse=True)]))[
        :COLOURS
    ]


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each chunk; the parts of the picture as one, at the end."""
    at, picture = len(SIGNATURE), b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        picture += content if name == b"IDAT" else b""
        yield name, content
        at += length + 12
    yield b"IDAT", picture


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(data: bytes, stride: int) -> Iterator[bytes]:
    """Undo the filter of each row: a byte was stored as its difference to a guess from its neighbours."""
    above = bytes(stride)
    for start in range(0, len(data), stride + 1):
        row = bytearray(data[start + 1 : start + 1 + stride])
        _unfilter(data[start], row, above)
        above = bytes(row)
        yield above


def _unfilter(kind: int, row: bytearray, above: bytes) -> None:
    if kind == 2:
        row[:] = bytes((value + up) & 255 for value, up in zip(row, above, strict=True))
        return
    for i in range(len(row)) if kind else ():
        left = row[i - PIXEL] if i >= PIXEL else 0
        corner = above[i - PIXEL] if i >= PIXEL else 0
        guess = {1: left, 3: (left + above[i]) // 2, 4: _paeth(left, above[i], corner)}[kind]
        row[i] = (row[i] + guess) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    """Return the neighbour that is nearest to left + up - corner."""
    straight = left + up - corner
    return min((left, up, corner), key=lambda one: abs(straight - one))
