"""Two KMEs that fetch from a vendor's device; the device is two KMEs of ours behind real ETSI 014 servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bellweave.api import etsi014
from bellweave.api.http import Request, Response
from bellweave.edge.clock import now_s
from bellweave.edge.http_connection import Then
from bellweave.edge.http_server import Door, HttpServer, Service
from bellweave.edge.kme_node import KmeNode
from bellweave.edge.kme_watch import Telemetry
from bellweave.edge.ports import free_ports
from bellweave.edge.tls import Certificates
from bellweave.edge.vendor_pull import MAX_UNTOLD
from bellweave.errors import PeerRefused
from bellweave.kms.config import Limits
from bellweave.kms.driver import Network
from bellweave.kms.effects import Work, apply
from bellweave.kms.messages import Done, Pulled, Refused
from bellweave.kms.operations import Accounts
from bellweave.kms.records import Account
from bellweave.kms.wanted import Wanted
from bellweave.testing.certificates import Pki
from bellweave.testing.key_nodes import PEER, SAE, pair_configs
from bellweave.testing.key_servers import feed, network

pytestmark = pytest.mark.emu

POOL = "kme-a|kme-b/direct"


class Device:
    """A vendor's pair of 014 servers; the KME that is served stands there as alice or bob."""

    def __init__(self, folder: Path) -> None:
        self.pki = Pki(folder / "vendor")
        self.net: Network = network()
        self.net.now_s = now_s()
        self.servers: list[HttpServer] = []
        self.urls: dict[str, str] = {}
        self.refusing: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def fill(self, size_bytes: int) -> None:
        feed(self.net, "kme-a", "kme-b", f"block {len(self.asked)}", size_bytes)

    async def start(self) -> None:
        for name, sae in SAE.items():
            certificates = Certificates(self.pki.kme(name).tls(), self.pki.folder, print)
            service = Service("etsi014", self._handle(name), self._starter(name), now_s, etsi014=True)
            door = Door(certificates, lambda shown, time_s, sae=sae, c=certificates: c.sae(shown, {sae}, time_s))  # type: ignore[misc]
            server = HttpServer(service, Limits(), door, Telemetry(None))
            host, port = await server.start("127.0.0.1", 0)
            self.servers.append(server)
            self.urls[name] = f"https://{host}:{port}"

    async def stop(self) -> None:
        for server in self.servers:
            await server.stop(1.0)

    def _handle(self, name: str) -> Callable[[Request, str | None, float], Work[Response]]:
        def handle(request: Request, caller: str | None, time_s: float) -> Work[Response]:
            self.asked.append((name, request.path.rpartition("/")[2]))
            if name in self.refusing:
                yield from ()
                return Response(503, b"{}")
            return (yield from etsi014.handle(request, caller, self.net.kme(name), time_s))

        return handle

    def _starter(self, name: str) -> Callable[[Work[Response], Then], None]:
        return lambda work, then: then(self.net.run(name, work), None)

    def vendor(self, name: str) -> dict[str, Any]:
        """Return the settings of this device at a KME."""
        files = self.pki.sae(SAE[name])
        return {
            "peer": PEER[name],
            "url": self.urls[name],
            "slave": SAE[PEER[name]],
            "ca": str(files.ca),
            "cert": str(files.cert),
            "key": str(files.key),
            "number": 4,
            "period_s": 0.1,
        }


@contextlib.asynccontextmanager
async def fed_by(device: Device, folder: Path) -> AsyncIterator[dict[str, KmeNode]]:
    ports = dict(zip(PEER, free_ports(["127.0.0.1"] * 2), strict=True))
    await device.start()
    pki = Pki(folder / "pki")
    nodes = {}
    for name in PEER:
        configs = pair_configs(folder, pki, ports, vendors={"box": device.vendor(name)})
        nodes[name] = KmeNode(configs[name], folder)
    try:
        for node in nodes.values():
            await node.start()
        yield nodes
    finally:
        for node in nodes.values():
            await node.stop()
        await device.stop()


async def ledger(node: KmeNode) -> dict[Account, int]:
    return (await node.driver.run(apply(Accounts()))).get(POOL, {})


async def until_ledger(node: KmeNode, true: Callable[[dict[Account, int]], bool]) -> dict[Account, int]:
    async with asyncio.timeout(60.0):
        while not true(found := await ledger(node)):  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.05)
    return found


async def test_what_the_device_holds_at_both_ends_becomes_key_at_both_kmes(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.fill(16 + 12 * 32)
    async with fed_by(device, tmp_path) as nodes:
        for node in nodes.values():
            accounts = await until_ledger(node, lambda found: found.get("authentication", 0) == 3 * 128)
            assert accounts["ingested"] == 12 * 256
            assert accounts["quarantined"] == 0

        a, b = nodes["kme-a"], nodes["kme-b"]
        wanted = Wanted(master="alice", slaves=("bob",), count=2, size_bits=256)
        drawn = await a.driver.run(a.kme.draw(wanted, now_s()))
        taken = await b.driver.run(b.kme.take("bob", "alice", tuple(key.key_id for key in drawn), now_s()))

        assert [key.bits for key in taken] == [key.bits for key in drawn]
        assert (drawn[0].statement.provenance, drawn[0].statement.provable) == ("device", False)
        for name in PEER:  # once, at the device too
            assert device.net.run(name, apply(Accounts()))[POOL]["delivered"] == 12 * 256


async def test_an_end_that_fails_for_a_while_is_asked_again(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.fill(16 + 4 * 32)
    device.refusing = {"kme-b"}
    async with fed_by(device, tmp_path) as nodes:
        async with asyncio.timeout(60.0):
            while device.asked.count(("kme-b", "dec_keys")) < 2:  # noqa: ASYNC110 a test looks from outside
                await asyncio.sleep(0.02)
        assert (await ledger(nodes["kme-b"])).get("ingested", 0) == 0
        device.refusing = set()

        for node in nodes.values():
            await until_ledger(node, lambda found: found.get("authentication", 0) == 128)

    assert device.asked.count(("kme-a", "dec_keys")) == device.asked.count(("kme-b", "enc_keys")) == 0


async def test_nothing_is_fetched_while_the_peer_is_not_in_step(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.fill(16 + 4 * 32)
    async with fed_by(device, tmp_path) as nodes:
        await nodes["kme-b"].stop()
        device.asked.clear()
        device.fill(16 + 4 * 32)
        await asyncio.sleep(0.5)

        assert device.asked.count(("kme-a", "enc_keys")) <= 1


async def test_only_the_lead_tells_of_keys_and_of_known_devices(tmp_path: Path) -> None:
    async with fed_by(Device(tmp_path), tmp_path) as nodes:
        said: list[Any] = []
        nodes["kme-a"].answer("kme-b", Pulled("box", ("x",)), said.append)
        nodes["kme-b"].answer("kme-a", Pulled("other box", ("x",)), said.append)
        nodes["kme-b"].answer("kme-c", Pulled("box", ("x",)), said.append)
        nodes["kme-b"].answer("kme-a", Pulled("box", ("x",)), said.append)

        assert [type(answer) for answer in said] == [Refused, Refused, Refused, Done]
        pull = nodes["kme-b"]._pulls["box"]
        for _ in range(MAX_UNTOLD - 1):
            pull.tell("kme-a", Pulled("box", ("x",)))
        with pytest.raises(PeerRefused, match="64 blocks of box are still to be fetched"):
            pull.tell("kme-a", Pulled("box", ("x",)))
