"""The list of exceptions in the environment, and the rule that no other HTTP client is used."""

import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from agentops.env import SettingsError, read_env

CHECKOUT = Path(__file__).resolve().parents[2]


def test_exceptions_are_networks_with_a_port():
    env = read_env({"AGENTOPS_OUTBOUND_ALLOW": "10.1.0.0/16:8443, 127.0.0.1:9000 fd00::/8:443,[::1]:80"})
    assert env.outbound_allow == (
        (ip_network("10.1.0.0/16"), 8443),
        (ip_network("127.0.0.1/32"), 9000),
        (ip_network("fd00::/8"), 443),
        (ip_network("::1/128"), 80),
    )
    assert read_env({}).outbound_allow == ()


@pytest.mark.parametrize("text", ["10.1.0.0/16", "10.1.0.5/16:80", "hooks:80", "127.0.0.1:0", "127.0.0.1:x", "::1:80"])
def test_a_bad_exception_stops_the_start_with_one_sentence(text):
    with pytest.raises(SettingsError, match=r"AGENTOPS_OUTBOUND_ALLOW lists networks with a port.*is not one"):
        read_env({"AGENTOPS_OUTBOUND_ALLOW": text})


def test_a_port_that_is_no_number_stops_the_start_with_one_sentence():
    with pytest.raises(SettingsError, match="DATABASE_URL is not an address: its port must be a number"):
        read_env({"DATABASE_URL": "postgresql://db:port/agentops"})


def test_the_installation_and_its_services_are_known_by_host_and_port():
    env = read_env({"AGENTOPS_PUBLIC_URL": "https://ops.example.com", "BROKER_URL": "redis://cache.example.com/0"})
    assert env.own_origins == {("ops.example.com", 443), ("cache.example.com", 6379)}


@pytest.mark.parametrize("module", ["http.client", "urllib.request", "requests", "httpx", "aiohttp", "urllib3"])
def test_the_linter_refuses_other_clients(module):
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--select",
        "TID251",
        "--stdin-filename",
        "traces/example.py",
        "-",
    ]
    done = subprocess.run(
        command, input=f"import {module}\n", capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "TID251" in done.stdout
