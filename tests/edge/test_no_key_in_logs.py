"""Real traffic over every interface, everything logged that can be, and no key in it."""

import asyncio
import base64
import http.client
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from bellweave.edge import logs
from bellweave.edge.access_log import AccessLog
from bellweave.edge.device_client import DeviceClient
from bellweave.edge.kme_network import FREE, Network, configs
from bellweave.edge.kme_node import KmeNode
from bellweave.edge.kms_client import KmsClient
from bellweave.edge.tls import client_context
from bellweave.errors import KeyServerRefused
from bellweave.kms.params import Kms
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_nodes import SAE, pair_configs
from bellweave.testing.key_servers import block

pytestmark = pytest.mark.emu


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    logs.configure(request.param, level=logging.DEBUG, stream=out)
    root.setLevel(logging.DEBUG)  # libraries, too, say all they can
    yield out
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("log", ["json", "text"], indirect=True)
async def test_at_debug_level_no_delivered_key_and_no_block_reaches_the_log(tmp_path: Path, log: io.StringIO) -> None:
    pki = Pki(tmp_path / "pki")
    nodes = _nodes(tmp_path, pki, AccessLog("json", log))
    for node in nodes.values():
        await node.start()
    material = block("block", 8192)
    try:
        await _push(nodes, pki, material)
        found = await _traffic(nodes, pki)
    finally:
        for node in nodes.values():
            await node.stop()

    text = log.getvalue()
    assert text.count("delivered") == 2  # it was on
    assert len(found) >= 8
    for bits in (*found, material.bits[:32], material.bits[4000:4032], b"\x5a" * 32):  # the last: the master key
        for spelling in (bits.hex(), base64.b64encode(bits).decode(), repr(bits)[2:-1], str(list(bits))[1:-1]):
            assert spelling not in text


def _nodes(folder: Path, pki: Pki, access_log: AccessLog) -> dict[str, KmeNode]:
    made = configs(Network(kmes=dict.fromkeys(SAE, "127.0.0.1")), FREE, "memory:", Kms())
    ports = {name: int(config.link.listen.rpartition(":")[2]) for name, config in made.items() if config.link}
    store = f"sqlite:///{folder}/{{name}}.db"
    return {
        name: KmeNode(config, folder, access_log) for name, config in pair_configs(folder, pki, ports, store).items()
    }


async def _push(nodes: dict[str, KmeNode], pki: Pki, material: Any) -> None:
    for name, node in nodes.items():
        client = DeviceClient(_url(node, "device"), _context(pki.device(f"device at {name}")))
        await client.push_async(material)
        await asyncio.to_thread(client.close)


async def _traffic(nodes: dict[str, KmeNode], pki: Pki) -> list[bytes]:
    """Return the keys that were delivered by ETSI 014 and SKIP, some of them taken; mistakes are made too."""
    files = {sae: pki.sae(sae) for sae in ("alice", "bob")}
    alice, bob = (
        KmsClient(_url(nodes[kme], "etsi014"), ca=each.ca, cert=each.cert, key=each.key, kme=kme)
        for kme, each in (("kme-a", files["alice"]), ("kme-b", files["bob"]))
    )
    async with alice, bob, asyncio.timeout(60):
        while True:
            try:
                keys = await alice.enc_keys("bob", 8)
                break
            except KeyServerRefused:
                await asyncio.sleep(0.1)
        taken = await bob.dec_keys("alice", [key.key_id for key in keys[:4]])
        for wrong in (bob.dec_keys("alice", [keys[0].key_id]), alice.enc_keys("bob", 10_000), alice.enc_keys("x")):
            with pytest.raises(KeyServerRefused):
                await wrong
    skip = await asyncio.to_thread(_skip, nodes["kme-a"], files["alice"])
    return [*(key.bits for key in keys), *(key.bits for key in taken), skip]


def _skip(node: KmeNode, files: Files) -> bytes:
    host, port = node.addresses["skip"]
    connection = http.client.HTTPSConnection(host, port, context=_context(files))
    connection.request("GET", "/key?remoteSystemID=bob")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return bytes.fromhex(answer["key"])


def _url(node: KmeNode, endpoint: str) -> str:
    host, port = node.addresses[endpoint]
    return f"https://{host}:{port}"


def _context(files: Files) -> Any:
    return client_context(files.ca, files.cert, files.key)
