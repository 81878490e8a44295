"""A KME as a process of its own: what it makes of signals."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellweave.edge.kme_config import to_toml
from bellweave.edge.kme_node import serve
from bellweave.edge.ports import free_ports
from bellweave.edge.tls import client_context
from bellweave.errors import ScenarioError
from bellweave.testing.certificates import Pki
from bellweave.testing.key_nodes import ENDPOINTS, pair_configs

pytestmark = pytest.mark.emu

PROGRAM = """
import json, sys
from pathlib import Path
from bellweave.edge.kme_node import serve
serve(Path(sys.argv[1]), lambda node: print(json.dumps(node.addresses), flush=True))
print("stopped", flush=True)
"""


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def config_file(tmp_path: Path, pki: Pki) -> Path:
    ports = dict(zip(("kme-a", "kme-b"), free_ports(["127.0.0.1"] * 2), strict=True))  # the peer is not there
    file = tmp_path / "kme.toml"
    file.write_text(to_toml(pair_configs(tmp_path, pki, ports)["kme-a"]))
    return file


class Process:
    """A KME that serves."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        assert popen.stdout is not None
        self.popen = popen
        found = json.loads(popen.stdout.readline())
        self.addresses: dict[str, tuple[str, int]] = {name: (host, port) for name, (host, port) in found.items()}

    def shown_to(self, pki: Pki) -> bytes:
        """Return the certificate that it shows to alice."""
        files = pki.sae("alice")
        context = client_context(files.ca, files.cert, files.key)
        with (
            socket.create_connection(self.addresses["etsi014"], timeout=60.0) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            return tls.getpeercert(binary_form=True) or b""

    def stop(self, number: signal.Signals) -> tuple[str, str]:
        """Send a signal, and return what it wrote until its end."""
        self.popen.send_signal(number)
        return self.popen.communicate(timeout=60.0)


@pytest.fixture
def process(config_file: Path) -> Iterator[Process]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(config_file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as popen:  # fmt: skip
        try:
            yield Process(popen)
        finally:
            popen.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_every_endpoint_until_it_is_told_to_stop(process: Process, number: signal.Signals) -> None:
    assert set(process.addresses) == {"link", *ENDPOINTS}

    out, log = process.stop(number)

    assert (out, process.popen.returncode) == ("stopped\n", 0)
    assert "serving" in log
    assert "Traceback" not in log
    for address in process.addresses.values():
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(address)


def test_it_shows_a_renewed_certificate_after_sighup(process: Process, pki: Pki) -> None:
    before = process.shown_to(pki)
    assert process.shown_to(pki) == before

    files = pki.kme("kme-a")
    process.popen.send_signal(signal.SIGHUP)

    renewed = ssl.PEM_cert_to_DER_cert(files.cert.read_text())
    give_up_s = time.monotonic() + 60.0
    while process.shown_to(pki) != renewed:
        assert time.monotonic() < give_up_s
    assert renewed != before


def test_a_configuration_that_can_not_be_used_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"kme\.toml"):
        serve(tmp_path / "kme.toml")
