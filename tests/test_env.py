"""The settings a person gives: what is taken, and the one sentence for what cannot be."""

import json
from pathlib import Path

import pytest

from agentops.env import Mail, SettingsError, read_env


def test_without_any_setting_everything_has_a_default(tmp_path: Path) -> None:
    env = read_env({"AGENTOPS_DATA_DIR": str(tmp_path)})
    assert (env.database_url, env.broker_url, env.agentops_retention_days) == ("", "", 90)
    assert not env.is_https


def test_a_setting_may_be_the_content_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    assert read_env({"AGENTOPS_SECRET_KEY_FILE": str(tmp_path / "key")}).agentops_secret_key == "from a file"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"AGENTOPS_RETENTION_DAYS": "soon"}, "AGENTOPS_RETENTION_DAYS has a value of the wrong kind"),
        ({"AGENTOPS_RETENTION_DAYS": "0"}, "AGENTOPS_RETENTION_DAYS must be 1 or more"),
        ({"AGENTOPS_PUBLIC_URL": "agentops.example.com"}, "AGENTOPS_PUBLIC_URL must look like https://"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL must start with postgresql://"),
        ({"EMAIL_URL": "mail.example.com"}, "EMAIL_URL must look like smtp+tls://"),
        ({"EMAIL_URL": "smtp://mail.example.com:x"}, "EMAIL_URL must look like smtp+tls://"),
        ({"BROKER_URL": "kafka://x"}, "BROKER_URL must start with one of"),
        ({"AGENTOPS_LOG_FORMAT": "xml"}, "AGENTOPS_LOG_FORMAT has a value of the wrong kind"),
        ({"AGENTOPS_SECRET_KEY_FILE": "/no/such/file"}, "AGENTOPS_SECRET_KEY_FILE names /no/such/file"),
        ({"BROKER_URL": "redis://x", "BROKER_URL_FILE": "/x"}, "BROKER_URL and BROKER_URL_FILE are both set"),
    ],
)
def test_a_bad_value_is_one_clear_sentence(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_env(given)
    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_a_mail_server_is_one_address() -> None:
    env = read_env({"EMAIL_URL": "smtp+tls://ops%40a:p%2Fw@mail.example.com?from=ops@example.com"})
    assert env.mail == Mail(
        host="mail.example.com", port=587, user="ops@a", password="p/w", security="starttls", sender="ops@example.com"
    )
    assert read_env({}).mail is None


def test_secrets_come_from_the_environment_else_from_the_file_of_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"agentops_secret_key": "saved", "agentops_audit_key": "saved"}))
    env = read_env({"AGENTOPS_DATA_DIR": str(tmp_path), "AGENTOPS_SECRET_KEY": "given"})
    assert (env.agentops_secret_key, env.agentops_audit_key, env.agentops_encryption_key) == ("given", "saved", "")


def test_broken_saved_secrets_are_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(SettingsError, match=r"secrets\.json cannot be read"):
        read_env({"AGENTOPS_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("length", [10, 200])
def test_sockets_have_a_place_whose_name_is_short_enough(length: int) -> None:
    env = read_env({"AGENTOPS_DATA_DIR": "/" + "d" * length})
    assert len(str(env.socket_dir / ".s.PGSQL.5432.lock")) < 104
