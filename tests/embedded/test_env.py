"""Settings: typed, from the environment or from files, and one clear sentence for each that cannot be used."""

from pathlib import Path

import pytest

from agentops.env import SettingsError, read_env, require_secrets


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    env = read_env({"AGENTOPS_DATA_DIR": str(tmp_path)})
    assert (env.database_url, env.agentops_retention_days, env.is_https) == ("", 90, False)


def test_each_setting_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    assert read_env({"AGENTOPS_SECRET_KEY_FILE": str(secret)}).agentops_secret_key == "s3cret"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"AGENTOPS_RETENTION_DAYS": "soon"}, "AGENTOPS_RETENTION_DAYS"),
        ({"AGENTOPS_RETENTION_DAYS": "0"}, "must be 1 or more"),
        ({"AGENTOPS_PUBLIC_URL": "agentops"}, "must look like https://"),
        ({"DATABASE_URL": "mysql://x"}, "must start with postgresql://"),
        ({"BROKER_URL": "kafka://x"}, "must start with one of"),
        ({"AGENTOPS_SECRET_KEY_FILE": "/nowhere/at/all"}, "cannot be read"),
        ({"DATABASE_URL": "postgresql://x", "DATABASE_URL_FILE": "/x"}, "both set"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_value_is_one_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as caught:
        read_env(environ)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_secrets_come_from_the_data_directory_and_a_server_needs_them(tmp_path: Path) -> None:
    bare = read_env({"AGENTOPS_DATA_DIR": str(tmp_path)})
    with pytest.raises(SettingsError, match="AGENTOPS_SECRET_KEY"):
        require_secrets(bare)
    names = ("agentops_secret_key", "agentops_audit_key", "agentops_encryption_key")
    (tmp_path / "secrets.json").write_text("{" + ", ".join(f'"{name}": "x"' for name in names) + "}")
    require_secrets(read_env({"AGENTOPS_DATA_DIR": str(tmp_path)}))
    (tmp_path / "secrets.json").write_text("broken")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_env({"AGENTOPS_DATA_DIR": str(tmp_path)})
