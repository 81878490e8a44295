"""Whole KMEs in one process: real TLS, real sockets, real stores."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellweave.blocks import SecretBlock
from bellweave.edge import kme_node
from bellweave.edge.clock import now_s
from bellweave.edge.device_client import DeviceClient
from bellweave.edge.etsi004_client import Etsi004Client
from bellweave.edge.kme_node import KmeNode
from bellweave.edge.kme_store import Opened
from bellweave.edge.ports import free_ports
from bellweave.edge.tls import client_context
from bellweave.errors import DeliveryError, PeerUnreachable, ScenarioError, StoreFailed, UnknownKeys
from bellweave.kms.config import KmeConfig
from bellweave.kms.operations import Operation, Store
from bellweave.kms.records import Material
from bellweave.kms.store import MemoryStore
from bellweave.kms.stream_terms import Terms
from bellweave.kms.wanted import Wanted
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_nodes import PEER, SAE, pair_configs
from bellweave.testing.key_servers import block

pytestmark = pytest.mark.emu

HANG_S = 60.0
"""What takes so long hangs: machines that do other things too are slow, but not that slow."""

BLOCK_BYTES = 96 * 1024
"""Three parts; after their tags there are more than 3000 keys of 256 bits in it."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


class Pair:
    """Two KMEs, their SAEs alice and bob, and the devices at the two ends of their link."""

    def __init__(self, folder: Path, pki: Pki, store: str = "memory:", *, peer_s: float = HANG_S) -> None:
        self.pki = pki
        self.folder = folder
        self.nodes: dict[str, KmeNode] = {}
        ports = dict(zip(PEER, free_ports(["127.0.0.1"] * 2), strict=True))
        self.configs = pair_configs(folder, pki, ports, store, limits={"peer_s": peer_s})

    async def start(self, *names: str) -> None:
        for name in names or PEER:
            self.nodes[name] = KmeNode(self.configs[name], self.folder)
            await self.nodes[name].start()
        if len(self.nodes) == len(PEER):
            await self.in_step()

    async def in_step(self) -> None:
        await until(lambda: all(node.kme.in_step(PEER[name]) for name, node in self.nodes.items()))

    async def stop(self, *names: str) -> None:
        for name in names or tuple(self.nodes):
            await self.nodes.pop(name).stop()

    async def push(self, what: SecretBlock, *names: str) -> None:
        for name in names or PEER:
            files = self.pki.device(f"device at {name}")
            client = DeviceClient(self.url(name, "device"), context_of(files), patience_s=HANG_S)
            await client.push_async(what)
            await asyncio.to_thread(client.close)

    async def feed(self, count: int = 1) -> None:
        """Give the pair ``count`` blocks, and wait until keys can be drawn."""
        for number in range(count):
            await self.push(block(f"block {number}", BLOCK_BYTES))

        async def there() -> bool:
            a = self.nodes["kme-a"]
            keys, _ = await a.driver.run(a.kme.count("alice", "bob", 256, now_s()))
            return keys > 2 * count * BLOCK_BYTES // 32 // 3

        async with asyncio.timeout(HANG_S):
            while not await there():  # noqa: ASYNC110 a test looks from outside
                await asyncio.sleep(0.02)

    def url(self, name: str, endpoint: str) -> str:
        host, port = self.nodes[name].addresses[endpoint]
        return f"https://{host}:{port}"

    async def draw(self, count: int = 1, *, at: str = "kme-a") -> tuple[Material, ...]:
        master, slave = SAE[at], SAE[PEER[at]]
        node = self.nodes[at]
        wanted = Wanted(master=master, slaves=(slave,), count=count, size_bits=256)
        return await node.driver.run(node.kme.draw(wanted, now_s()))

    async def take(self, keys: Sequence[Material], *, at: str = "kme-b") -> tuple[Material, ...]:
        master, slave = SAE[PEER[at]], SAE[at]
        node = self.nodes[at]
        key_ids = tuple(key.key_id for key in keys)
        return await node.driver.run(node.kme.take(slave, master, key_ids, now_s()))

    async def call(self, sae: str, at: str, endpoint: str, path: str) -> tuple[int, Any]:
        """Return status and body of a GET by an SAE."""
        context = context_of(self.pki.sae(sae))
        host, port = self.nodes[at].addresses[endpoint]
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=HANG_S)
        return await asyncio.to_thread(get, connection, path)

    async def admin(self, at: str, path: str) -> tuple[int, Any]:
        """Return status and body of a GET at the admin endpoint."""
        connection = http.client.HTTPConnection(*self.nodes[at].addresses["admin"], timeout=HANG_S)
        return await asyncio.to_thread(get, connection, path)


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, Any]:
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def context_of(files: Files) -> Any:
    return client_context(files.ca, files.cert, files.key)


async def until(true: Any) -> None:
    async with asyncio.timeout(HANG_S):
        while not true():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(pair: Pair) -> AsyncIterator[Pair]:
    try:
        await pair.start()
        yield pair
    finally:
        await pair.stop()


SQLITE = "sqlite:///{name}.db"
STORES = pytest.mark.parametrize("store", ["memory:", SQLITE])


@STORES
async def test_what_devices_push_at_both_ends_is_drawn_at_one_and_taken_at_the_other(
    tmp_path: Path, pki: Pki, store: str
) -> None:
    async with running(Pair(tmp_path, pki, store)) as pair:
        await pair.feed()

        for master, slave in (("kme-a", "kme-b"), ("kme-b", "kme-a")):
            drawn = await pair.draw(5, at=master)
            taken = await pair.take(drawn, at=slave)

            assert [(key.key_id, key.bits) for key in taken] == [(key.key_id, key.bits) for key in drawn]
            assert len({key.bits for key in drawn}) == 5
            with pytest.raises(UnknownKeys):
                await pair.take(drawn, at=slave)


async def test_a_key_drawn_over_etsi_014_is_fetched_over_etsi_014_and_over_skip(tmp_path: Path, pki: Pki) -> None:
    async with running(Pair(tmp_path, pki)) as pair:
        await pair.feed()
        status, drawn = await pair.call("alice", "kme-a", "etsi014", "/api/v1/keys/bob/enc_keys?number=2")
        assert status == 200
        first, second = drawn["keys"]

        status, fetched = await pair.call(
            "bob", "kme-b", "etsi014", f"/api/v1/keys/alice/dec_keys?key_ID={first['key_ID']}"
        )
        assert (status, fetched["keys"][0]["key"]) == (200, first["key"])
        name = second["key_ID"].replace("-", "")
        status, fetched = await pair.call("bob", "kme-b", "skip", f"/key/{name}?remoteSystemID=alice")
        assert (status, fetched["keyId"]) == (200, name)
        status, _ = await pair.call("alice", "kme-b", "etsi014", "/api/v1/keys/bob/status")
        assert status == 401


@STORES
async def test_a_link_that_is_cut_again_and_again_delivers_no_bit_twice(tmp_path: Path, pki: Pki, store: str) -> None:
    async with running(Pair(tmp_path, pki, store)) as pair:
        await pair.feed()
        drawn: list[Material] = []
        failures: list[DeliveryError] = []

        async def client() -> None:
            mine = 0
            while mine < 25:
                try:
                    drawn.extend(await pair.draw())
                    mine += 1
                except DeliveryError as error:
                    failures.append(error)
                    await asyncio.sleep(0.01)

        async def saboteur() -> None:
            for cut in range(1, 9):
                while len(drawn) < 40 * cut:  # noqa: ASYNC110 in the middle of announcements, whenever that is
                    await asyncio.sleep(0)
                for line in list(pair.nodes["kme-a"].links._lines["kme-b"]):
                    if line.transport is not None:
                        line.transport.abort()

        await asyncio.gather(saboteur(), *(client() for _ in range(16)))
        await pair.in_step()

        assert len(drawn) == 16 * 25
        assert failures
        assert {type(error) for error in failures} <= {PeerUnreachable}
        assert len({key.bits for key in drawn}) == len(drawn)
        taken = [(await pair.take([key]))[0] for key in drawn]
        assert [key.bits for key in taken] == [key.bits for key in drawn]
        after = await pair.draw(5)
        assert not {key.bits for key in after} & {key.bits for key in drawn}


async def test_two_kmes_that_draw_from_each_other_at_full_load_wait_for_no_one(tmp_path: Path, pki: Pki) -> None:
    async with running(Pair(tmp_path, pki)) as pair:
        await pair.feed(2)

        async def client(at: str) -> list[Material]:
            keys = []
            for _ in range(10):
                (key,) = await pair.draw(at=at)
                await pair.take([key], at=PEER[at])
                keys.append(key)
            return keys

        async with asyncio.timeout(HANG_S):
            lists = await asyncio.gather(*(client(at) for at in PEER for _ in range(50)))

        bits = [key.bits for keys in lists for key in keys]
        assert len(set(bits)) == len(bits) == 1000


async def test_a_peer_that_restarts_has_forgotten_nothing(tmp_path: Path, pki: Pki) -> None:
    async with running(Pair(tmp_path, pki, SQLITE)) as pair:
        await pair.feed()
        waiting = await pair.draw(3)
        await pair.stop("kme-b")

        with pytest.raises(PeerUnreachable):
            await pair.draw()
        await pair.start("kme-b")
        after = await pair.draw(3)

        assert [key.bits for key in await pair.take(waiting)] == [key.bits for key in waiting]
        assert [key.bits for key in await pair.take(after)] == [key.bits for key in after]
        assert len({key.bits for key in (*waiting, *after)}) == 6


async def test_a_master_that_restarts_goes_on_where_it_was(tmp_path: Path, pki: Pki) -> None:
    async with running(Pair(tmp_path, pki, SQLITE)) as pair:
        await pair.feed()
        drawn = list(await pair.draw(5))
        for _ in range(3):
            await pair.stop("kme-a")
            await pair.start("kme-a")
            drawn += await pair.draw(5)

        assert len({key.bits for key in drawn}) == 20
        assert [key.bits for key in await pair.take(drawn)] == [key.bits for key in drawn]


async def test_a_store_without_its_master_key_is_not_opened(tmp_path: Path, pki: Pki) -> None:
    pair = Pair(tmp_path, pki, SQLITE)
    (tmp_path / "kme-a.master").write_text("no key")

    with pytest.raises(ScenarioError, match="does not hold 64 hex digits"):
        await KmeNode(pair.configs["kme-a"], tmp_path).start()


async def test_a_store_that_can_not_be_filled_is_closed(tmp_path: Path, pki: Pki, gated: dict[str, "Gated"]) -> None:
    def fill(store: Store) -> None:
        raise StoreFailed("no space left on the device")

    node = KmeNode(Pair(tmp_path, pki).configs["kme-a"], tmp_path, fill=fill)

    with pytest.raises(StoreFailed, match="no space left"):
        await node.start()

    assert gated["kme-a"].closed
    assert node.addresses == {}


class Gated:
    """A store that waits while its gate is closed, and fails while it is broken."""

    def __init__(self) -> None:
        self.inner: Store = MemoryStore()
        self.gate = threading.Event()
        self.gate.set()
        self.broken = self.closed = False

    def apply(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        self.gate.wait(HANG_S)
        if self.broken:
            raise StoreFailed("no space left on the device")
        return self.inner.apply(operations)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def gated(monkeypatch: pytest.MonkeyPatch) -> dict[str, Gated]:
    """Have nodes use stores that tests can hold up and break."""
    stores = {name: Gated() for name in PEER}

    def opened(config: KmeConfig, base: Path, master_key: bytes | None) -> Opened:
        return Opened(stores[config.directory.kme], "gated", in_memory=False, shared=False)

    monkeypatch.setattr(kme_node, "opened", opened)
    return stores


async def test_a_peer_whose_store_is_too_slow_costs_key_but_no_secret(
    tmp_path: Path, pki: Pki, gated: dict[str, Gated]
) -> None:
    async with running(Pair(tmp_path, pki, peer_s=1.5)) as pair:
        await pair.feed()
        before = await pair.draw(3)
        gated["kme-b"].gate.clear()

        with pytest.raises(PeerUnreachable, match="did not answer in time"):
            await pair.draw()
        gated["kme-b"].gate.set()  # now what it was told is stored after all
        await until(lambda: pair.nodes["kme-a"].kme.in_step("kme-b"))
        after = await pair.draw(3)

        assert len({key.bits for key in (*before, *after)}) == 6
        assert [key.bits for key in await pair.take(after)] == [key.bits for key in after]


async def test_a_store_that_fails_is_a_503_and_nothing_else_and_the_node_recovers(
    tmp_path: Path, pki: Pki, gated: dict[str, Gated]
) -> None:
    async with running(Pair(tmp_path, pki)) as pair:
        await pair.feed()
        for broken in PEER:
            gated[broken].broken = True
            answers = await asyncio.gather(
                *(pair.call("alice", "kme-a", "etsi014", "/api/v1/keys/bob/enc_keys") for _ in range(5))
            )
            assert {status for status, _ in answers} == {503}
            await asyncio.sleep(1.2)  # a tick meets the failure, too
            gated[broken].broken = False

            async with asyncio.timeout(HANG_S):
                status = 503
                while status != 200:
                    status, _ = await pair.call("alice", "kme-a", "etsi014", "/api/v1/keys/bob/enc_keys")


async def test_a_node_that_stops_answers_what_it_was_asked(tmp_path: Path, pki: Pki, gated: dict[str, Gated]) -> None:
    async with running(Pair(tmp_path, pki)) as pair:
        await pair.feed()
        gated["kme-a"].gate.clear()
        asked = asyncio.ensure_future(pair.call("alice", "kme-a", "etsi014", "/api/v1/keys/bob/enc_keys"))
        server = pair.nodes["kme-a"]._servers["etsi014"]
        await until(lambda: any(each._current is not None for each in server._connections))  # it has begun
        assert not asked.done()

        stopping = asyncio.ensure_future(pair.stop("kme-a"))
        await asyncio.sleep(0.1)
        gated["kme-a"].gate.set()

        status, _ = await asked
        assert status == 200
        await stopping


async def test_a_node_that_is_stopped_at_the_moment_of_a_tick_stops(tmp_path: Path, pki: Pki) -> None:
    pair = Pair(tmp_path, pki)
    await pair.start()
    for name in PEER:
        node = pair.nodes.pop(name)
        await asyncio.sleep(0.1)  # the tick waits
        stopping = asyncio.ensure_future(node.stop())
        for _ in range(10_000):  # whenever the tick is cancelled, it has just been woken
            node.wake()
            await asyncio.sleep(0)
            if stopping.done():
                break
        async with asyncio.timeout(HANG_S):
            await stopping


@pytest.mark.parametrize("endpoint", ["link", "etsi014", "etsi004", "skip", "device", "admin"])
async def test_a_node_that_can_not_listen_says_so_and_leaves_nothing_open(
    tmp_path: Path, pki: Pki, endpoint: str
) -> None:
    pair = Pair(tmp_path, pki)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        changed = msgspec.to_builtins(pair.configs["kme-a"]) | {endpoint: {"listen": listen}}
        node = KmeNode(msgspec.convert(changed, KmeConfig), tmp_path)

        with pytest.raises(ScenarioError, match=f"{listen}: can't listen there"):
            await node.start()

    assert node.addresses == {}
    assert len(asyncio.all_tasks()) == 1


async def test_two_applications_share_a_stream_over_etsi_004(tmp_path: Path, pki: Pki) -> None:
    async with running(Pair(tmp_path, pki)) as pair, contextlib.AsyncExitStack() as stack:
        await pair.feed()
        alice, bob = [
            await stack.enter_async_context(
                Etsi004Client.connected(*pair.nodes[at].addresses["etsi004"], context_of(pki.sae(sae)))
            )
            for at, sae in SAE.items()
        ]
        opened = await alice.open("alice", "bob", Terms(chunk_bytes=64))
        joined = await bob.open("bob", "alice", Terms(chunk_bytes=64), opened.ksid)
        assert (opened.status, joined.status) == (0, 0)

        chunks = [await client.get(opened.ksid, index) for index in range(3) for client in (alice, bob)]

        assert [chunk.status for chunk in chunks] == [0] * 6
        assert [chunk.key for chunk in chunks[::2]] == [chunk.key for chunk in chunks[1::2]]
        assert len({chunk.key for chunk in chunks}) == 3


async def test_the_admin_endpoint_tells_whether_the_node_is_ready(tmp_path: Path, pki: Pki) -> None:
    pair = Pair(tmp_path, pki)
    await pair.start("kme-a")
    try:
        status, answer = await pair.admin("kme-a", "/readyz")
        assert (status, answer["reasons"]) == (503, ["kme-b is not in step"])
        await pair.start("kme-b")
        assert await pair.admin("kme-a", "/readyz") == (200, {"status": "ready"})
        await pair.feed()
        _, ledger = await pair.admin("kme-a", "/ledger")
        assert ledger["kme-a|kme-b/direct"]["ingested"] == 8 * BLOCK_BYTES
        assert (await pair.admin("kme-a", "/healthz"))[0] == 200
    finally:
        await pair.stop()


async def test_a_master_key_in_memory_needs_no_file(tmp_path: Path, pki: Pki) -> None:
    pair = Pair(tmp_path, pki, f"sqlite:///{tmp_path}/{{name}}.db")
    config = msgspec.structs.replace(pair.configs["kme-a"], master_key="nowhere")

    with pytest.raises(ScenarioError, match="nowhere"):
        await KmeNode(config, tmp_path).start()
    node = KmeNode(config, tmp_path, master_key=b"\x5a" * 32)
    await node.start()
    await node.stop()
    again = KmeNode(config, tmp_path, master_key=b"\x5b" * 32)
    with pytest.raises(StoreFailed):  # it is this key that wraps what is there
        await again.start()
