"""Secrets of known shapes, none of them real, and texts that only look like one."""

import hashlib
from uuid import UUID

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def random_text(seed: str, length: int, alphabet: str = LETTERS) -> str:
    """Return characters that look drawn by lot, the same for the same seed."""
    found = ""
    while len(found) < length:
        found += "".join(
            alphabet[byte % len(alphabet)] for byte in hashlib.sha256(f"{seed}{len(found)}".encode()).digest()
        )
    return found[:length]


def _hex(seed: str, length: int) -> str:
    return random_text(seed, length, "0123456789abcdef")


PEM = "-----BEGIN RSA PRIVATE KEY-----\n{}\n{}\n-----END RSA PRIVATE KEY-----".format(
    random_text("pem", 64), random_text("pem2", 64)
)
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + random_text("jwt", 43)
# A secret by its kind. What begins with a word and goes on at random is found by the word.
SHAPED = {
    "agentops_key": "aop_live_" + random_text("a", 10) + "_" + random_text("b", 43) + "_" + random_text("c", 6),
    "anthropic_key": "sk-ant-api03-" + random_text("ant", 93) + "AA",
    "openai_key": "sk-proj-" + random_text("oai", 48),
    "provider_key": "sk-" + random_text("old", 47) + "7",
    "aws_key": "AKIA" + random_text("aws", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "google_key": "AIza" + random_text("goo", 35),
    "google_token": "ya29." + random_text("ya", 60),
    "github_token": "ghp_" + random_text("gh", 36),
    "gitlab_token": "glpat-" + random_text("gl", 20),
    "slack_token": "xoxb-123456789012-123456789012-" + random_text("sl", 24),
    "stripe_key": "sk_live_" + random_text("st", 24),
    "webhook_secret": "whsec_" + random_text("wh", 32),
    "huggingface_token": "hf_" + random_text("hf", 34),
    "groq_key": "gsk_" + random_text("gsk", 52),
    "xai_key": "xai-" + random_text("xai", 80),
    "langsmith_key": "lsv2_pt_" + _hex("ls", 32) + "_" + _hex("ls2", 10),
    "npm_token": "npm_" + random_text("npm", 36),
    "pypi_token": "pypi-AgEIcHlwaS5vcmc" + random_text("pypi", 60),
    "docker_token": "dckr_pat_" + random_text("dckr", 27),
    "digitalocean_token": "dop_v1_" + _hex("do", 64),
    "shopify_token": "shpat_" + _hex("shp", 32),
    "databricks_token": "dapi" + _hex("dapi", 32),
    "vault_token": "hvs." + random_text("hvs", 24),
    "grafana_token": "glsa_" + random_text("glsa", 32) + "_" + _hex("glsa", 8),
    "twilio_key": "SK" + _hex("tw", 32),
    "azure_secret": "abc8Q~" + random_text("az", 34),
    "sendgrid_key": "SG." + random_text("sg", 22) + "." + random_text("sg2", 43),
    "telegram_token": "123456789:AA" + random_text("tg", 33),
    "jwt": JWT,
    "private_key": PEM,
}
# A secret by its kind, with what stands around it and shows it.
WITHIN = {
    "url_password": ("postgresql://app:{}@db.internal:5432/shop", random_text("url", 12)),
    "azure_key": ("DefaultEndpointsProtocol=https;AccountKey={};EndpointSuffix=x", random_text("azk", 86) + "=="),
    "signature": ("https://x.blob.core.windows.net/c?sv=2024&sig={}", random_text("sig", 43) + "%3D"),
    "webhook_url": ("https://hooks.slack.com/services/{}", "T0123456/B0123456/" + random_text("hook", 24)),
    "bearer": ("curl -H 'Authorization: Bearer {}'", random_text("bearer", 30) + "1"),
    "basic": ("Authorization: Basic {}", "YWRtaW46Y29ycmVjdGhvcnNl"),
    "cookie": ("GET / HTTP/1.1\r\nCookie: {}\r\nHost: x", "sid=" + random_text("sid", 20) + "; theme=dark"),
}
# Values under names that say so: the name, and what stands under it.
NAMED = {
    "password": "hunter2",
    "DB_PASSWORD": "correct horse battery",
    "userPassword": 'with "quotes" and \\ in it',
    "smtp.passwd": "x9",
    "client_secret": "open sesame",
    "AWS_SECRET_ACCESS_KEY": random_text("sak", 40),
    "x-api-key": "abc123",
    "apiKey": "my key",
    "privateKey": "one two three",
    "access_token": "abc123xyz",
    "http.request.header.authorization": "Digest qop=auth-1",
    "Set-Cookie": "sid=4; Path=/",
    "token": random_text("tok", 24) + "0",
}
TEXTS = [
    ("export DB_PASSWORD={}", "correcthorse"),
    ("DB_PASSWORD = '{}'", "correct horse"),
    ('client = Client(api_key="{}")', "abc"),
    ("mysql --password {} shop", "hunter2"),
    ("https://x.test/login?user=a&password={}&next=/", "hunter2"),
    ("password: {}\nuser: ada", "hunter2"),
    ("{{'secret': '{}', 'n': 1}}", "it is"),
    ('he sent {{"password": "{}", "n": 1}} to me', "hunter2"),
    ("Server=db;User Id=sa;Password={};Encrypt=yes", "hunter2"),
    ("X-Api-Key: {}", "abc123def"),
]
INNOCENT = [
    *(_hex(f"sha{n}", 40) for n in range(200)),
    *(str(UUID(_hex(f"uuid{n}", 32))) for n in range(200)),
    *(f"sha256-{random_text(f'sri{n}', 43)}=" for n in range(200)),
    *(f"data:image/png;base64,iVBORw0KGgo{random_text(f'png{n}', 400, LETTERS + '+/')}" for n in range(200)),
    *(f'{{"input_tokens":{n},"token":"Hello","next_page_token":"{_hex(f"p{n}", 32)}"}}' for n in range(50)),
    "Your password must be at least 12 characters long.",
    "Forgot password? Password: must contain a digit.",
    "The bearer of this letter; basic information; token authentication.",
    "password = get_password()\napi_key = os.environ['API_KEY']\ntoken=self.token\nsecret=settings.SECRET",
    '{"password": {"type": "string"}, "required": ["password"], "has_password": true, "password_hint": "my cat"}',
    '{"password": "********", "api_key": "<your key>", "secret": "${SECRET}", "client_secret": null}',
    "http://localhost:8000/path, https://example.com:443?x=a@b.c, mailto:a@b.c, user@host:/srv/git",
    "the task-management-system-overview of risk-assessment-framework-documents and disk-usage",
    "a cookie: two cups of flour; the secret: patience",
    "PWD=/home/ada OLDPWD=/srv",
]
