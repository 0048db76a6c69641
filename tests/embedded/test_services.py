"""The servers that the tests themselves run on."""

import os
import socket

import pytest
from django.db import connection
from pytest_socket import SocketConnectBlockedError


@pytest.mark.django_db
def test_tests_run_on_postgres_with_unicode_aware_case():
    with connection.cursor() as cursor:
        cursor.execute("SELECT lower('ÄÖ'), current_setting('server_version_num')::int, current_database()")
        lowered, version, name = cursor.fetchone()
    assert lowered == "äö"
    assert version >= 150_000
    assert name.startswith("test_")


def test_the_broker_answers_on_its_socket():
    path = os.environ["BROKER_URL"].removeprefix("redis+socket://").partition("?")[0]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_the_network_is_off():
    with socket.socket() as client, pytest.raises(SocketConnectBlockedError):
        client.connect(("192.0.2.1", 80))
