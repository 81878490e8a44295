"""TLS with a pre-shared key."""

import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bellweave.edge.tls_psk import psk_context
from bellweave.errors import ScenarioError

KEY = bytes(range(32))

needs_psk = pytest.mark.skipif(sys.version_info < (3, 13), reason="Python 3.13")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ScenarioError, match="at least 16 bytes, got 15"):
        psk_context("router", KEY[:15])


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.12 or earlier")
def test_an_older_python_says_what_is_missing() -> None:
    with pytest.raises(ScenarioError, match=r"needs Python 3\.13, this is 3\.\d+; or let a TLS terminator"):
        psk_context("router", KEY)


@needs_psk
@pytest.mark.parametrize("suite", ["PSK-AES256-GCM-SHA384", "DHE-PSK-AES256-GCM-SHA384", "DHE-PSK-AES256-CBC-SHA384"])
def test_an_encryptor_that_knows_the_key_is_let_in(tmp_path: Path, suite: str) -> None:
    assert handshake(psk_context("router", KEY, dh_params=dh_params(tmp_path)), "router", KEY, suite) == suite


@needs_psk
def test_another_identity_or_key_is_refused() -> None:
    for identity, key in (("mallory", KEY), ("router", bytes(32))):
        with pytest.raises(ssl.SSLError):
            handshake(psk_context("router", KEY), identity, key, "PSK-AES256-GCM-SHA384")


def dh_params(folder: Path) -> Path:
    path = folder / "dh.pem"
    subprocess.run(["openssl", "dhparam", "-dsaparam", "-out", path, "2048"], check=True, capture_output=True)
    return path


def handshake(server: ssl.SSLContext, identity: str, key: bytes, suite: str) -> str:
    """Return the suite that both ends agree on."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    getattr(client, "set_psk_client_callback")(lambda _hint: (identity, key))  # noqa: B009 mypy reads 3.11
    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as pool, ours, theirs:
        serving = pool.submit(server.wrap_socket, ours, server_side=True)
        with client.wrap_socket(theirs) as line, serving.result():
            cipher = line.cipher()
            assert cipher is not None
            return cipher[0]
