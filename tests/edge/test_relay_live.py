"""Relayed and expanded key between KMEs as processes of their own: real TLS, real stores, and kill -9."""

import contextlib
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellweave.edge import kme_config
from bellweave.edge.device_client import DeviceClient
from bellweave.edge.kme_init import init
from bellweave.edge.kme_network import FREE, Network
from bellweave.edge.kms_calls import Key
from bellweave.edge.kms_client_sync import KmsClientSync
from bellweave.edge.tls import client_context
from bellweave.errors import BellweaveError
from bellweave.kms.config import KmeConfig
from bellweave.kms.params import Directory, Expansion, Kms, Pair
from bellweave.testing.key_servers import block
from bellweave.testing.sandbox import bellweave

pytestmark = [pytest.mark.emu, pytest.mark.timeout(300)]

KMES = ("a", "m", "z")
"""``m`` stands between the two others, which no link joins."""

SAES = {"alice": "a", "mike": "m", "zoe": "z"}
DEVICES = {"box-a": ("a", "m"), "box-ma": ("m", "a"), "box-mz": ("m", "z"), "box-z": ("z", "m")}
LONG_S = 60.0
BLOCK_BYTES = 96 * 1024


class Site:
    """Three KMEs, their SAEs, and the devices at the ends of their two links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        network = Network(
            kmes=dict.fromkeys(KMES, "127.0.0.1"), saes=SAES, links=[("a", "m"), ("m", "z")], devices=DEVICES
        )
        self._configs = init(folder, network, ports=FREE, kms=Kms(low_keys=64, high_keys=128))
        for path in self._configs.values():
            _expand(path)
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._where: dict[str, dict[str, tuple[str, int]]] = {}

    def start(self, *kmes: str) -> None:
        """Start KMEs, together, and wait until they serve."""
        for kme in kmes:
            command = bellweave("kms", "serve", "--config", str(self._configs[kme]), "--json")
            with (self.folder / f"{kme}.log").open("a") as log:
                self._processes[kme] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        for kme in kmes:
            stdout = self._processes[kme].stdout
            self._where[kme] = json.loads(stdout.readline() if stdout else "")

    def kill(self, *kmes: str) -> None:
        """End KMEs as a power cut does."""
        for kme in kmes:
            process = self._processes.pop(kme)
            process.kill()
            process.communicate()

    def url(self, kme: str, endpoint: str) -> str:
        host, port = self._where[kme][endpoint]
        return f"https://{host}:{port}"

    def push(self, link: str, one: str, other: str) -> None:
        """Bring a block to both ends of a link."""
        for device in (one, other):
            cert = self.folder / f"{device}.crt"
            context = client_context(self.folder / "ca.crt", cert, cert.with_suffix(".key"))
            client = DeviceClient(self.url(DEVICES[device][0], "device"), context)
            client.push(block(link, BLOCK_BYTES))
            client.close()

    def client(self, sae: str) -> KmsClientSync:
        cert = self.folder / f"{sae}.crt"
        url = self.url(SAES[sae], "etsi014")
        return KmsClientSync(url, ca=self.folder / "ca.crt", cert=cert, key=cert.with_suffix(".key"))

    def draws(self, master: str, slave: str, number: int = 1) -> tuple[Key, ...]:
        """Draw keys once there are some."""
        end_s = time.monotonic() + LONG_S
        while True:
            try:
                with self.client(master) as client:
                    return client.enc_keys(slave, number)
            except BellweaveError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.1)

    def ledger(self, kme: str) -> dict[str, Any]:
        host, port = self._where[kme]["admin"]
        connection = http.client.HTTPConnection(host, port, timeout=20.0)
        try:
            connection.request("GET", "/ledger")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()


def _expand(path: Path) -> None:
    """Let alice and mike have expanded key, and no other."""
    config = kme_config.load(path)
    old = config.directory
    if old.kme in {"a", "m"}:
        pairs = tuple(
            Pair(master=pair.master, slave=pair.slave, origins=("expanded",))
            if {pair.master, pair.slave} == {"alice", "mike"}
            else pair
            for pair in old.pairs
        )
        grown: Directory = msgspec.structs.replace(old, pairs=pairs, expansions=(Expansion(kmes=("a", "m")),))
        changed: KmeConfig = msgspec.structs.replace(config, directory=grown)
        path.write_text(kme_config.to_toml(changed))
        path.chmod(0o600)


@contextlib.contextmanager
def site(folder: Path) -> Iterator[Site]:
    here = Site(folder)
    try:
        here.start(*KMES)
        here.push("a-m", "box-a", "box-ma")
        here.push("m-z", "box-mz", "box-z")
        yield here
    finally:
        here.kill(*here._processes)


def test_relayed_and_expanded_keys_survive_kills_once_each(tmp_path: Path) -> None:
    with site(tmp_path / "net") as here:
        relayed = list(here.draws("alice", "zoe", 8))
        expanded = list(here.draws("alice", "mike", 8))
        assert {key.extension["bellweave_origin"] for key in relayed} == {"relayed"}
        assert {key.extension["bellweave_hops"] for key in relayed} == {2}
        assert {key.extension["bellweave_origin"] for key in expanded} == {"expanded"}
        assert {key.extension["bellweave_provable_bits"] for key in expanded} == {0}

        for victim in ("m", "z", "a"):
            with here.client("alice") as client, contextlib.suppress(BellweaveError):
                for _ in range(20):
                    relayed += client.enc_keys("zoe", 16)  # more than is in stock: shares are on their way
                    expanded += client.enc_keys("mike", 16)
            here.kill(victim)
            here.start(victim)
            relayed += here.draws("alice", "zoe", 8)
            expanded += here.draws("alice", "mike", 8)
        here.kill(*KMES)
        here.start(*KMES)
        relayed += here.draws("alice", "zoe")
        expanded += here.draws("alice", "mike")

        for slave, keys in (("zoe", relayed), ("mike", expanded)):
            assert len({key.bits for key in keys}) == len({key.key_id for key in keys}) == len(keys)
            with here.client(slave) as client:
                for key in keys:
                    assert [each.bits for each in client.dec_keys("alice", [key.key_id])] == [key.bits]
        for kme in KMES:
            for pool, accounts in here.ledger(kme).items():
                assert accounts.pop("ingested") == sum(accounts.values()), (kme, pool)
        assert here.ledger("z")["m|z/direct"]["relay_pads"] > 0
        assert here.ledger("a")["a|m/direct"]["expansion"] > 0
