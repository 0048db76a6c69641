"""What is taken out of a text, what stays, and what that costs."""

import json
import re
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentops.redaction.hint import may_hold_secrets
from agentops.redaction.redactor import Redactor
from tests.redaction.samples import INNOCENT, NAMED, SHAPED, TEXTS, WITHIN
from tests.traces import otlp

PLANTED = [*SHAPED.values(), *(around.format(secret) for around, secret in WITHIN.values())]
SECRETS = [*SHAPED.values(), *(secret for _, secret in WITHIN.values())]


def redacted(value: Any) -> Any:
    return Redactor(b"key").value(value)


@pytest.mark.parametrize("kind", sorted(SHAPED))
def test_a_secret_of_a_known_shape_is_taken_out_wherever_it_stands(kind: str) -> None:
    secret = SHAPED[kind]
    for text in (secret, f"the key {secret}, thanks", f"a={secret}&b=1", f"<{secret}>", f'"{secret}"', f"{secret}\n"):
        new = redacted(text)
        assert secret not in new, text
        assert f"[redacted:{kind}:" in new
    for value in ({secret: 1}, [[secret]], json.dumps({"a": secret}), json.dumps(json.dumps([secret]))):
        assert json.dumps(secret)[1:-1] not in json.dumps(redacted(value))


@pytest.mark.parametrize("kind", sorted(WITHIN))
def test_a_secret_is_known_by_what_stands_around_it_and_that_stays(kind: str) -> None:
    around, secret = WITHIN[kind]
    new = redacted(around.format(secret))
    before, after = around.split("{}")
    assert new.startswith(f"{before}[redacted:{kind}:")
    assert new.endswith(after)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_what_stands_under_the_name_of_a_secret_is_one(name: str) -> None:
    value = NAMED[name]
    for sent in ({name: value}, {"a": [{name: [value]}]}, json.dumps({name: value}), json.dumps({"a": {name: value}})):
        new = redacted(sent)
        assert "[redacted:" in json.dumps(new)
        assert json.dumps(value)[1:-1] not in json.dumps(new)


@pytest.mark.parametrize(("text", "secret"), TEXTS)
def test_a_value_that_a_text_gives_to_a_secret_name_is_one(text: str, secret: str) -> None:
    before, after = text.format(secret).split(secret)
    new = redacted(text.format(secret))
    assert new.startswith(f"{before}[redacted:")
    assert new.endswith(f"]{after}")


def test_nothing_else_is_taken_out() -> None:
    assert [text for text in INNOCENT if redacted(text) != text] == []
    usage = {
        "input_tokens": 812,
        "cookies": 3,
        "credentials": 2,
        "token": 5,
        "gen_ai.usage.output_tokens": 5,
        "session_id": "s-12345",
        "primary_key": "k1",
    }
    assert redacted(usage) == usage


def test_equal_secrets_of_one_project_have_equal_marks() -> None:
    one, other = SHAPED["github_token"], SHAPED["github_token"][:-1] + "x"
    first, again, third = (redacted(f"key {secret}") for secret in (one, one, other))
    assert first == again != third
    assert Redactor(b"another project").text(f"key {one}") != first


@pytest.mark.parametrize("kind", ["anthropic_key", "aws_key", "github_token", "jwt", "private_key", "slack_token"])
def test_a_secret_in_base64_is_found_at_each_offset(kind: str) -> None:
    for before in ("", "x ", "xy "):
        packed = b64encode(f"{before}{SHAPED[kind]}".encode()).decode()
        assert re.fullmatch(rf"data: \[redacted:{kind}:[0-9a-f]{{4}}\].?", redacted(f"data: {packed}."))


@pytest.mark.parametrize("kind", ["anthropic_key", "github_token", "jwt", "private_key"])
def test_a_secret_that_was_cut_off_is_taken_out_of_a_line(kind: str) -> None:
    secret = SHAPED[kind]
    for length in range(45, 160, 3) if kind == "private_key" else range(14, len(secret), 3):
        assert secret[:length][-6:] not in Redactor().line(f"with {secret[:length]}…")
    assert Redactor().line("postgresql://app:hunter2and…").startswith("postgresql://app:[redacted:cut:")


fragments = st.lists(
    st.sampled_from([*PLANTED, *INNOCENT[::40], *(text.format(secret) for text, secret in TEXTS)])
    | st.sampled_from(['"', "\\", "'", "\n", " ", "{", "}", "password", "=", ":", "://a:", "@", "Bearer ", "é", "…"])
    | st.text(max_size=5),
    max_size=8,
).map("".join)
names = st.sampled_from(sorted(NAMED))
values = st.recursive(
    fragments | st.integers() | st.none() | fragments.map(lambda text: json.dumps([text, {"password": text}])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names | fragments, inner, max_size=2),
    max_leaves=4,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_redacting_again_changes_nothing(value: Any) -> None:
    once = redacted(value)
    assert redacted(once) == once


ENCODINGS: dict[str, Callable[[Any], bytes]] = {
    "json": lambda value: json.dumps({"text": value}).encode(),
    "json in utf-8": lambda value: json.dumps([value], ensure_ascii=False).encode(errors="surrogatepass"),
    "json, slashes escaped": lambda value: json.dumps(value).replace("/", "\\/").encode(),
    "json, all escaped": lambda value: "".join(f"\\u{ord(char):04x}" for char in json.dumps(value)).encode(),
    "protobuf": lambda value: otlp.protobuf(otlp.request(otlp.span(1, {"a": value, "b": json.dumps(value)}))),
}
plain_values = st.dictionaries(fragments.filter(bool), fragments, max_size=3)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@given(value=plain_values)
@settings(max_examples=60, deadline=None)
def test_what_holds_a_secret_is_suspicious_in_every_encoding(encoding: str, value: Any) -> None:
    if redacted(value) != value:
        assert may_hold_secrets(ENCODINGS[encoding](value))


HOSTILE = {
    "begins of keys": "sk-ant-",
    "armour without end": "-----BEGIN PRIVATE KEY-----\nabc\n",
    "names": "password=",
    "open quotes": 'password="',
    "open quotes, escaped": 'password=\\"',
    "passwords of addresses": "x://a:",
    "one long password": "x://:a://:a",
    "tokens": "eyJaaaaaaaa.eyJaaaaaaaa.",
    "blanks": "bearer      password      ",
    "dots": "password.",
    "keys": "ghp_" + "a" * 36 + " ",
    "base64": "c2stYW50LW",
    "json": '{"password":',
    "quotes in json": '"\\"',
}


def cpu_s(text: str) -> float:
    began = time.thread_time()
    redacted(text)
    return time.thread_time() - began


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_four_times_the_text_costs_about_four_times_as_much(what: str) -> None:
    unit = HOSTILE[what]
    small = unit * (20_000 // len(unit))
    cpu_s(small)
    least = min(cpu_s(small) for _ in range(3))
    assert min(cpu_s(small * 4) for _ in range(3)) < 10 * least + 0.005
