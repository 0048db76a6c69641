"""Which tools an agent is offered, from built-in packs and from those of others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentops.runtime import registry
from agentops.runtime.registry import AGENTS, broken_packs, definition_hash, tools_of
from agentops.runtime.tools.base import Effect, Risk, Tool

TOOL = """
from agentops.runtime.tools.base import Tool

class {name}(Tool):
    name = "{tool}"
    description = "Does something."
    schema = {schema}
"""
OBJECT = '{"type": "object"}'


@pytest.fixture(autouse=True)
def _loaded_anew() -> Iterator[None]:
    registry._load.cache_clear()
    yield
    registry._load.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Install packs as their own distributions would: a package, and an entry point that names it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)

    def put(pack: str, **files: str) -> None:
        package = tmp_path / f"pack_{pack}"
        package.mkdir()
        for name, text in {"__init__": "", **files}.items():
            (package / f"{name}.py").write_text(text)
        info = tmp_path / f"pack_{pack}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pack-{pack}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[agentops.tools]\n{pack} = pack_{pack}\n")
        names = sorted(path.name.removeprefix("pack_") for path in tmp_path.glob("pack_*") if not path.suffix)
        packs = " ".join(["support_desk", *names])
        monkeypatch.setenv("AGENTOPS_TOOL_PACKS", packs)

    yield put
    for name in set(sys.modules) - known:
        if name.startswith("pack_"):
            del sys.modules[name]


def test_the_support_desk_is_offered_its_tools() -> None:
    tools = tools_of("support-desk")
    assert {name: (str(tool.effect), str(tool.risk)) for name, tool in tools.items()} == {
        "get_customer": ("read", "low"),
        "get_order": ("read", "low"),
        "issue_refund": ("idempotent", "high"),
        "list_orders": ("read", "low"),
        "send_email": ("unsafe", "high"),
        "update_order": ("transactional", "medium"),
    }
    assert [name for name, tool in tools.items() if tool.has_compensation] == ["update_order"]
    assert AGENTS["support-desk"].system
    assert broken_packs() == {}


def test_every_tool_with_an_effect_says_what_to_do_by_hand() -> None:
    arguments = {"order_id": 1, "amount_usd": 2, "to": "a@example.com", "subject": "s"}
    for tool in tools_of("support-desk").values():
        if tool.effect != Effect.READ:
            assert tool.manual_steps(arguments, {}) != Tool.manual_steps(tool, arguments, {})


def test_without_packs_there_are_no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTOPS_TOOL_PACKS", "")
    assert tools_of("support-desk") == {}


def test_an_agent_nobody_knows_is_said_so() -> None:
    with pytest.raises(LookupError, match="there is no agent cook"):
        tools_of("cook")


def test_a_pack_of_somebody_else_is_found_by_its_entry_point(install) -> None:
    install("kitchen", cook=TOOL.format(name="Cook", tool="cook", schema=OBJECT))
    tool = tools_of("support-desk")["cook"]
    # What its author did not say is taken for the worst.
    assert (tool.effect, tool.risk) == (Effect.UNSAFE, Risk.HIGH)


BROKEN = {
    "raises": ('raise RuntimeError("the oven is cold")', "the oven is cold"),
    "does_not_parse": ("def", "syntax"),
    "empty": ("", "no tools"),
    "unnamed": (TOOL.format(name="Odd", tool="odd name", schema=OBJECT), "no usable name"),
    "bad_schema": (TOOL.format(name="Odd", tool="odd", schema='{"type": "object", "required": 1}'), "schema of odd"),
    "no_object": (TOOL.format(name="Odd", tool="odd", schema='{"type": "string"}'), "schema of odd"),
    "taken": (TOOL.format(name="Odd", tool="get_order", schema=OBJECT), "get_order"),
    "twice": (
        TOOL.format(name="A", tool="odd", schema=OBJECT) + TOOL.format(name="B", tool="odd", schema=OBJECT),
        "odd",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_pack_is_named_and_the_others_work(kind: str, install, caplog: pytest.LogCaptureFixture) -> None:
    text, words = BROKEN[kind]
    install("bad", tool=text)
    install("good", cook=TOOL.format(name="Cook", tool="cook", schema=OBJECT))
    assert {"get_order", "cook"} <= set(tools_of("support-desk"))
    assert "odd" not in tools_of("support-desk")
    assert tools_of("support-desk")["get_order"].effect == Effect.READ
    assert "tool pack bad cannot be used" in broken_packs()["bad"]
    assert words in broken_packs()["bad"]
    assert len([one for one in caplog.records if "tool pack bad" in one.getMessage()]) == 1


def test_a_pack_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTOPS_TOOL_PACKS", "support_desk, unheard_of")
    assert "get_order" in tools_of("support-desk")
    assert "tool pack unheard_of cannot be used" in broken_packs()["unheard_of"]


def test_a_definition_is_known_by_all_that_an_approver_relied_on() -> None:
    class Original(Tool):
        name, description, schema = "a", "b", {"type": "object", "properties": {"x": {}, "y": {}}}

    class Reordered(Original):
        schema = {"properties": {"y": {}, "x": {}}, "type": "object"}

    changes = {"name": "z", "description": "z", "schema": {}, "version": 2, "effect": Effect.READ, "risk": Risk.LOW}
    original = definition_hash(Original())
    assert definition_hash(Reordered()) == original
    changed = {definition_hash(type("Changed", (Original,), {field: value})()) for field, value in changes.items()}
    assert len(changed | {original}) == len(changes) + 1
