"""docs/connect.md as programs: what it says to type is what the tests run."""

import re
from dataclasses import dataclass
from functools import cache

from tests.instance import CHECKOUT

GUIDE = CHECKOUT / "docs" / "connect.md"
ADDRESS = "http://127.0.0.1:8000"  # where the guide says that AgentOps is
SESSION = "conversation-1"  # what it calls a session
ANOTHER = re.compile(r"\]\(#([a-z-]+)\)")


@dataclass(frozen=True)
class Section:
    """What one section says to type: variables into a shell, and lines of Python before the agent's own."""

    shell: str
    python: str
    needs: frozenset[str]


@cache
def sections() -> dict[str, Section]:
    """Return every section by its heading; one that links to another begins with the other's lines of Python."""
    opening, *rest = re.split(r"^## (.+)\n", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(rest[::2], rest[1::2], strict=True))
    anchors = {heading.lower().replace(" ", "-"): text for heading, text in texts.items()}
    found = {}
    for heading, text in texts.items():
        begun = "".join(_blocks(anchors[name], "python") for name in ANOTHER.findall(text) if name in anchors)
        shell = _blocks(opening, "sh") + _blocks(text, "sh")
        found[heading] = Section(shell, begun + _blocks(text, "python"), _needs(text))
    return found


def _blocks(text: str, language: str) -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


def _needs(text: str) -> frozenset[str]:
    named = re.search(r"^Needs ([^.]+)\.", text, flags=re.MULTILINE)
    return frozenset(re.findall(r"`(.+?)`", named[1])) if named else frozenset()
