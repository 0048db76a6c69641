"""Reads rendered HTML back as a person would see it: text, chips as what they stand for, marks."""

import re
from html.parser import HTMLParser

CHIP = re.compile(r"U\+([0-9A-F]{4,6})(?: ×([\d,]+))?$")


class Reader(HTMLParser):
    """Collects the text, with each chip put back into the character it stands for, and all tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.tags: list[str] = []
        self.chips: list[str] = []
        self._is_chip = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._is_chip = ("class", "chip-hidden") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._is_chip = False

    def handle_data(self, data: str) -> None:
        if not self._is_chip:
            self.parts.append(data)
            return
        self.chips.append(data)
        self.parts.append(original_of(data))


def original_of(chip: str) -> str:
    if chip.startswith("ESC"):
        return "\x1b" + chip[3:]
    match = CHIP.match(chip)
    if match is None:
        return ""
    return chr(int(match[1], 16)) * int((match[2] or "1").replace(",", ""))


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def text_of(html: str) -> str:
    return "".join(read(html).parts)
