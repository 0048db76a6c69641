"""What secrets look like: the shapes that providers give to their keys, each with what announces it."""

import math
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable

import msgspec
import re2

WORD = "[A-Za-z0-9_-]"
ALNUM = "[A-Za-z0-9]"
HEX = "[0-9a-f]"
ENOUGH = 8  # characters after the start of a shape that make a text worth a closer look


class Shape(msgspec.Struct, frozen=True):
    """A kind of secret. Group 1 of `pattern` is the secret, the rest of a match stays.

    `hint` finds it in the bytes of a request, where texts may still be escaped; it may find more, never less.
    """

    kind: str
    pattern: str
    hint: str
    leads: tuple[str, ...] = ()  # the words it begins with, for what base64 makes of them
    begins: str = ""  # the start by which a secret is known that was cut off
    holds: Callable[[bytes], bool] = bool  # what a match must be besides


def has_digit(secret: bytes) -> bool:
    return any(48 <= byte <= 57 for byte in secret)


def is_random(secret: bytes) -> bool:
    """Say whether a text looks drawn by lot: at least 16 characters, with a digit, no blank, 3 bits each."""
    if len(secret) < 16 or not has_digit(secret) or b" " in secret:
        return False
    seen = secret[:256]
    shares = [seen.count(byte) / len(seen) for byte in set(seen)]
    return -sum(share * math.log2(share) for share in shares) >= 3.0


def _is_basic(secret: bytes) -> bool:
    try:
        return b":" in b64decode(secret + b"=" * (-len(secret) % 4), validate=True)
    except Base64Error:
        return False


def _key(kind: str, leads: str, char: str, least: int, holds: Callable[[bytes], bool] = bool) -> Shape:
    """Return the shape of keys that begin with one of some words and go on with at least so many characters."""
    words = tuple(leads.split())
    start = f"(?:{'|'.join(map(re2.escape, words))})"
    return Shape(
        kind, rf"\b({start}{char}{{{least},}})", f"{start}{char}{{{min(least, ENOUGH)}}}", words, rf"\b{start}", holds
    )


_PEM = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_PEM_END = r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
# An armoured text has single dashes at most, so a search that finds no end stops where the next one begins.
_PEM_WHOLE = rf"{_PEM}(?:-?(?:[A-Za-z0-9+/=\s:,.()]|\\+[nrt]))*{_PEM_END}"
_PEM_CUT = rf"{_PEM}(?:[A-Za-z0-9+/=\s]|\\+[nrt])*"
_URL_USER = r"[^\s/?#@:\"'<>\\]*"
_NO_WORD = r"[A-Za-z0-9+/]+[A-Z0-9+/=]"
_BLANK = r"(?:\s|\\+[nrt]|%20|\+)+"

SHAPES = (
    _key("agentops_key", "aop_", "[0-9A-Za-z_]", 20),
    _key("anthropic_key", "sk-ant-", WORD, 16),
    _key("openai_key", "sk-proj- sk-svcacct- sk-admin- sk-None-", WORD, 16),
    _key("provider_key", "sk-", WORD, 20, has_digit),  # OpenAI's older keys, and those of many who copied the form
    _key("aws_key", "AKIA ASIA ABIA ACCA", "[A-Z0-9]", 16),
    _key("google_key", "AIza", WORD, 30),
    _key("google_token", "ya29. GOCSPX- 1//0", WORD, 20),
    _key("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", ALNUM, 20),
    _key("github_token", "github_pat_", "[A-Za-z0-9_]", 20),
    _key("gitlab_token", "glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat-", "[A-Za-z0-9_.-]", 16),
    _key("slack_token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp- xoxe.xox", "[A-Za-z0-9-]", 10),
    _key("stripe_key", "sk_live_ sk_test_ rk_live_ rk_test_", ALNUM, 10),
    _key("webhook_secret", "whsec_", "[A-Za-z0-9+/=_-]", 20),
    _key("huggingface_token", "hf_", ALNUM, 30),
    _key("groq_key", "gsk_", ALNUM, 20),
    _key("xai_key", "xai-", WORD, 20),
    _key("perplexity_key", "pplx-", ALNUM, 20),
    _key("replicate_token", "r8_", ALNUM, 30),
    _key("langsmith_key", "lsv2_pt_ lsv2_sk_", "[0-9a-f_]", 20),
    _key("npm_token", "npm_", ALNUM, 30),
    _key("pypi_token", "pypi-AgE", WORD, 20),
    _key("docker_token", "dckr_pat_ dckr_oat_", WORD, 20),
    _key("digitalocean_token", "dop_v1_ doo_v1_ dor_v1_", HEX, 32),
    _key("shopify_token", "shpat_ shpca_ shppa_ shpss_", "[0-9a-fA-F]", 32),
    _key("square_token", "sq0atp- sq0csp-", WORD, 20),
    _key("databricks_token", "dapi", HEX, 32),
    _key("vault_token", "hvs. hvb.", WORD, 20),
    _key("grafana_token", "glsa_ glc_", "[A-Za-z0-9_+/=]", 30),
    _key("newrelic_key", "NRAK- NRRA-", ALNUM, 20),
    _key("sentry_token", "sntrys_ sntryu_", "[A-Za-z0-9_+/=-]", 30),
    _key("supabase_key", "sbp_", HEX, 30),
    _key("linear_key", "lin_api_", ALNUM, 30),
    _key("notion_key", "ntn_ secret_", ALNUM, 40, has_digit),
    _key("figma_token", "figd_", WORD, 30),
    _key("postman_key", "PMAK-", "[0-9a-f-]", 30),
    _key("tailscale_key", "tskey-", WORD, 20, has_digit),
    _key("atlassian_token", "ATATT3x", "[A-Za-z0-9_=-]", 30),
    _key("twilio_key", "SK", HEX, 32),
    _key("mailgun_key", "key-", HEX, 32),
    _key("age_key", "AGE-SECRET-KEY-1", "[0-9A-Z]", 40),
    Shape("azure_secret", r"\b([\w~.-]{3}[78]Q~[\w~.-]{31,34})", r"[78]Q~[\w~.-]{8}", begins="[78]Q~"),
    Shape("azure_key", r"(?i:(?:account|sharedaccess)key)=([A-Za-z0-9+/=]{40,})", r"(?i:accountkey|sharedaccesskey)="),
    Shape("signature", r"[?&](?i:sig|x-amz-signature|x-goog-signature)=([A-Za-z0-9%+/_-]{20,})",
          r"(?i:sig|signature)=[A-Za-z0-9%]{8}"),
    Shape("sendgrid_key", r"\b(SG\.[\w-]{16,}\.[\w-]{16,})", r"SG\.[\w-]{12}", begins=r"\bSG\."),
    Shape("telegram_token", r"\b(\d{8,10}:AA[\w-]{32,34})", r"\d{8}:AA[\w-]{8}", begins=r"\d{8}:AA"),
    Shape("terraform_token", r"\b(\w{14}\.atlasv1\.[\w=-]{40,})", r"\.atlasv1\.", begins=r"\.atlasv1\."),
    Shape("jwt", r"\b(eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,})", r"eyJ[\w-]{8,}\.eyJ", ("eyJhbGciOi",), r"\beyJ"),
    Shape("private_key", rf"({_PEM_WHOLE}|{_PEM_CUT})", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY", ("-----BEGIN ",)),
    Shape("url_password", rf"://{_URL_USER}:([^\s/?#\"'<>\\]+)@", rf":\\*/\\*/{_URL_USER}:[^\s/?#\"'<>\\]+@",
          begins=f"://{_URL_USER}:"),
    Shape("webhook_url", r"(?i)://hooks\.slack\.com/(?:services|workflows|triggers)/([\w/+-]{16,})",
          r"hooks\.slack\.com"),
    Shape("webhook_url", r"(?i)://[\w.-]*(?:discord(?:app)?\.com/api/webhooks|webhook\.office\.com)/([\w/@.-]{30,})",
          r"(?:discord|discordapp|webhook\.office)\.com"),
    Shape("bearer", r"(?i)\bbearer(?:\s|%20|\+)+([\w+/.~=-]{6,})", rf"(?i:bearer){_BLANK}[\w+/.~=-]{{6}}",
          begins=r"(?i:\bbearer)\s", holds=has_digit),
    # What base64 makes of a name and a password is never all small letters; nearly all words after "basic" are.
    Shape("basic", rf"(?i:\bbasic)(?:\s|%20|\+)+({_NO_WORD}[A-Za-z0-9+/=]*)", rf"(?i:basic){_BLANK}{_NO_WORD}",
          holds=_is_basic),
    Shape("cookie", r"(?i)\b(?:set-)?cookie:[ \t]*([^\r\n\"\\]*=[^\r\n\"\\]*)", r"(?i:cookie):"),
)  # fmt: skip


def _at_each_offset(text: str) -> set[str]:
    """Return what base64 makes of a text, wherever in a group of three bytes it begins: its whole characters only."""
    found = set()
    for before in range(3):
        after = -(before + len(text)) % 3
        made = b64encode(bytes(before) + text.encode() + bytes(after)).decode()
        found.add(made[(0, 2, 3)[before] : len(made) - (0, 2, 3)[after]])
    return found


IN_BASE64 = sorted(
    {made for shape in SHAPES for lead in shape.leads if len(lead) >= 4 for made in _at_each_offset(lead)}
)
BASE64_HINT = f"(?:{'|'.join(map(re2.escape, IN_BASE64))})"
_RUN = re2.compile(rb"[A-Za-z0-9+/_-]{24,}=*")
_ANY = "|".join(f"(?:{shape.pattern})" for shape in SHAPES)
_ANYWHERE = re2.compile(_ANY.encode())
_HERE = re2.compile(_ANY.replace(r"\b", "").encode())  # right after another secret there is no boundary of words


def find(text: bytes) -> list[tuple[int, int, str]]:
    """Return start, end and kind of each secret, in order. Linear in the length of the text."""
    found: list[tuple[int, int, str]] = []
    end = 0
    while match := (found and found[-1][1] == end and _HERE.match(text, end)) or _ANYWHERE.search(text, end):
        group = match.lastindex
        start, end = match.span(group)
        shape = SHAPES[group - 1]
        if shape.holds(text[start:end]):
            found.append((start, end, shape.kind))
    return found


def find_in_base64(text: bytes) -> list[tuple[int, int, str]]:
    """Return the runs of base64 that hold a secret of a known shape."""
    found = []
    for match in _RUN.finditer(text):
        run = match.group().rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        whole = run[:-1] if len(run) % 4 == 1 else run
        inside = find(b64decode(whole + b"=" * (-len(whole) % 4)))
        if inside:
            found.append((*match.span(), inside[0][2]))
    return found
