"""Rules that hold for every template and stylesheet, whoever wrote it."""

import re
from pathlib import Path

import pytest

TEMPLATES = sorted(Path("templates").rglob("*.html"))
STYLES = sorted(Path("static/css").rglob("*.css"))
SCRIPTS = sorted(Path("static/js").rglob("*.js"))
SPRITE = Path("static/glyphs.svg").read_text(encoding="utf-8")
HANDLER = re.compile(r"<[^>]*\s(on[a-z]+|hx-on[:\w-]*|style)\s*=", re.IGNORECASE)


def name(path: Path) -> str:
    return str(path)


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_no_template_has_inline_style_handlers_or_trusted_text(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not HANDLER.search(re.sub(r"{[%{#].*?[%}#]}", "", source))
    assert "<style" not in source
    assert not re.search(r"\|\s*safe\b|autoescape off|\|urlize|mark_safe", source)
    for script in re.findall(r"<script[^>]*>", source):
        assert "src=" in script
        assert 'nonce="{{ request.csp_nonce }}"' in script


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_every_glyph_and_mark_that_is_drawn_exists(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    glyphs = re.findall(r'{% glyph "([^"]+)"', source) + re.findall(r'with icon="([^"]+)"', source)
    marks = [f"mark-{mark}" for mark in re.findall(r'{% mark "([^"]+)"', source)]
    assert not [glyph for glyph in glyphs + marks if f'id="{glyph}"' not in SPRITE]


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_every_form_that_changes_something_carries_its_token(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    for form in re.findall(r'<form[^>]*method="post".*?</form>', source, re.DOTALL):
        assert "{% csrf_token %}" in form


@pytest.mark.parametrize("path", TEMPLATES + STYLES + SCRIPTS, ids=name)
def test_files_stay_short_and_ask_nobody_outside(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 300
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", source)


def test_every_stylesheet_is_linked_and_every_module_imported() -> None:
    linked = Path("templates/_styles.html").read_text(encoding="utf-8")
    assert all(str(path.relative_to("static")) in linked for path in STYLES)
    modules = {path.name for path in SCRIPTS} - {"app.js", "api-docs.js"}
    imported = set(re.findall(r'import "\./([\w-]+\.js)"', Path("static/js/app.js").read_text(encoding="utf-8")))
    assert imported == modules
