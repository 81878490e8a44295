"""Applications with certificates, over real TLS, at two KMEs that share key in memory."""

import asyncio
import contextlib
import io
import ssl
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from bellweave.api import etsi004
from bellweave.api.etsi004 import Status
from bellweave.api.etsi004_messages import C_VERSION, NO_KSID, Dialect, GetAnswer, OpenAnswer, OpenRequest
from bellweave.api.etsi004_wire import MAX_PAYLOAD_BYTES, read_answer, write_request
from bellweave.edge.access_log import AccessLog
from bellweave.edge.etsi004_client import Etsi004Client
from bellweave.edge.etsi004_server import Bell, Etsi004Server
from bellweave.edge.identity import Presented, identify
from bellweave.edge.kme_watch import Telemetry
from bellweave.edge.metrics import Snapshot
from bellweave.edge.tls import client_context, server_context
from bellweave.kms.config import Limits, Tls
from bellweave.kms.driver import Network
from bellweave.kms.effects import Work
from bellweave.kms.stream_terms import JSON, Terms
from bellweave.testing.certificates import Pki
from bellweave.testing.key_servers import SAES, feed, network

TERMS = Terms(chunk_bytes=32, timeout_ms=400, ttl_s=600, mimetype=JSON)
PATIENT = replace(TERMS, timeout_ms=30_000)
KSID = bytes(range(1, 17))
HANG_S = 30.0
"""What takes so long hangs: machines that do other things too are slow, but not that slow."""


class Site:
    """Two KMEs, each with a server, and certificates for all."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.pki = Pki(folder)
        self.net: Network = network()
        feed(self.net, "kme-a", "kme-b", "block-1", 4096)
        self.denied: set[str] = set()
        self.servers: dict[str, Etsi004Server] = {}
        self.lines = io.StringIO()
        self.heard = {kme: Telemetry(AccessLog("text", self.lines)) for kme in ("kme-a", "kme-b")}
        self._start_s = asyncio.get_running_loop().time()
        for kme in ("kme-a", "kme-b"):
            files = self.pki.kme(kme)
            self.servers[kme] = Etsi004Server(
                self.net.kme(kme).streams,
                server_context(files.ca, files.cert, files.key),
                self._identify,
                self._runner(kme),
                self._now,
                limits,
                self.heard[kme],
            )

    def _now(self) -> float:
        self.net.now_s = 1000.0 + asyncio.get_running_loop().time() - self._start_s
        return self.net.now_s

    def _runner(self, kme: str) -> Any:
        async def run(work: Work[Any]) -> Any:
            self._now()
            await asyncio.sleep(0)
            return self.net.run(kme, work)

        return run

    def _identify(self, shown: Presented) -> str | None:
        name = identify(shown, Tls(ca="", cert="", key=""), SAES).name
        return None if name in self.denied else name

    def context(self, sae: str) -> ssl.SSLContext:
        files = self.pki.sae(sae)
        return client_context(files.ca, files.cert, files.key)

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Return what ``kme-a`` tells Prometheus of one metric, by labels in the order of their names."""
        text = self.heard["kme-a"].metrics.rendered(Snapshot()).decode()
        return {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"bellweave_{name}"
        }

    def port(self, kme: str) -> int:
        return self.servers[kme].listener.port

    def client(self, sae: str, **more: Any) -> Any:
        port = self.port(SAES.get(sae, "kme-a"))
        return Etsi004Client.connected("127.0.0.1", port, self.context(sae), timeout_s=HANG_S, **more)

    async def raw(self, sae: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port(SAES[sae]), ssl=self.context(sae))


@contextlib.asynccontextmanager
async def site(folder: Path, **limits: Any) -> AsyncIterator[Site]:
    made = Site(folder, Limits(**limits))
    for server in made.servers.values():
        await server.start("127.0.0.1", 0)
    try:
        yield made
    finally:
        for server in made.servers.values():
            await server.stop(grace_s=0.5)


async def opened(site: Site, sae: str, other: str, ksid: bytes = NO_KSID, terms: Terms = TERMS) -> OpenAnswer:
    async with site.client(sae) as client:
        answer: OpenAnswer = await client.open(sae, other, terms, ksid)
        return answer


async def joined(site: Site) -> bytes:
    ksid = (await opened(site, "alice", "bob")).ksid
    assert (await opened(site, "bob", "alice", ksid)).status == Status.SUCCESS
    return ksid


async def closed_by_peer(reader: asyncio.StreamReader, timeout_s: float = HANG_S) -> bytes:
    """Return what still came before the other end closed."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        return await asyncio.wait_for(reader.read(), timeout_s)
    return b""


@pytest.mark.parametrize("dialect", ["python", "c"])
async def test_two_applications_that_keep_their_connections_share_a_stream(tmp_path: Path, dialect: Dialect) -> None:
    async with site(tmp_path) as here, here.client("alice", dialect=dialect) as alice, here.client("bob") as bob:
        ksid = (await alice.open("alice", "bob", TERMS)).ksid
        assert (await bob.open("bob", "alice", TERMS, ksid)).status == Status.SUCCESS
        for index in (0, 3, 1):
            mine, other = await alice.get(ksid, index), await bob.get(ksid, index)
            assert (mine.status, mine.index, len(mine.key)) == (0, index, 32)
            assert mine.key == other.key
            assert b'"hops":0' in other.metadata
        assert (await alice.close(ksid)).status == (await bob.close(ksid)).status == Status.SUCCESS


async def test_a_client_that_makes_a_new_connection_for_each_call_is_the_same_to_us(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ksid = await joined(here)
        keys = []
        for sae in ("alice", "bob"):
            async with here.client(sae, dialect="c") as client:
                keys.append((await client.get(ksid, 0)).key)
            async with here.client(sae, dialect="c") as client:
                assert (await client.close(ksid)).status == Status.SUCCESS
        assert keys[0] == keys[1] != b""


async def test_an_open_waits_for_the_peer_and_ends_at_once_when_it_comes(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(opened(here, "alice", "bob", KSID, PATIENT))
        await asyncio.sleep(0.15)
        assert not first.done()
        began_s = loop.time()

        assert (await opened(here, "bob", "alice", KSID, PATIENT)).status == Status.SUCCESS
        assert (await first).status == Status.SUCCESS

        assert loop.time() - began_s < PATIENT.timeout_ms / 1000 / 2


async def test_an_open_whose_peer_does_not_come_is_told_so_before_its_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etsi004, "WAY_BACK", 0.9)
    monkeypatch.setattr(etsi004, "WAY_BACK_S", 5.0)
    async with site(tmp_path) as here:
        loop = asyncio.get_running_loop()
        terms = replace(TERMS, timeout_ms=6000)
        async with here.client("alice") as alice:
            began_s = loop.time()
            assert (await alice.open("alice", "bob", terms, KSID)).status == Status.PEER_NOT_YET
            assert 0.9 < loop.time() - began_s < 6.0


async def test_a_chunk_is_waited_for_until_there_is_key(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ksid = await joined(here)
        async with here.client("alice") as alice, here.client("bob") as bob:
            index = 0
            while (answer := await alice.get(ksid, index)).status == Status.SUCCESS:
                index += 1
            assert answer.status == Status.TIMEOUT
            waiting = asyncio.create_task(bob.get(ksid, index))
            await asyncio.sleep(0.05)
            feed(here.net, "kme-a", "kme-b", "block-2", 1024)
            assert (await waiting).key == (await alice.get(ksid, index)).key != b""


@pytest.mark.parametrize("stranger", ["anna", "bert", "mallory"])
async def test_the_stream_of_others_does_not_exist(tmp_path: Path, stranger: str) -> None:
    async with site(tmp_path) as here:
        ksid = await joined(here)
        async with here.client(stranger) as client:
            assert (await client.get(ksid, 0)).status == Status.PEER_ABSENT
            assert (await client.close(ksid)).status == Status.PEER_ABSENT
            answer = await client.open("alice", "bob", TERMS, ksid)
            assert answer.status == Status.NO_CONNECTION
        async with here.client("alice") as alice:
            assert (await alice.get(ksid, 0)).status == Status.SUCCESS


async def test_a_certificate_that_is_denied_is_out_at_its_next_request(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ksid = await joined(here)
        async with here.client("alice") as alice:
            assert (await alice.get(ksid, 0)).status == Status.SUCCESS
            here.denied.add("alice")
            assert (await alice.get(ksid, 1)).status == Status.PEER_ABSENT
            assert (await alice.open("alice", "bob", TERMS)).status == Status.NO_CONNECTION


async def test_who_has_no_certificate_of_our_authority_does_not_get_in(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        files = Pki(tmp_path / "other").sae("alice")
        ours = here.pki.sae("alice")
        foreign = client_context(ours.ca, files.cert, files.key)
        without = ssl.create_default_context(cafile=str(ours.ca))
        for context in (foreign, without):
            with pytest.raises(OSError):
                async with Etsi004Client.connected("127.0.0.1", here.port("kme-a"), context) as client:
                    await client.open("alice", "bob", TERMS)
        assert not here.samples("requests_total")
        assert sum(here.samples("connections_failed_total").values()) == 2


@pytest.mark.parametrize("service", [2, 4, 8])
async def test_a_payload_above_the_limit_is_refused_when_its_length_is_known(tmp_path: Path, service: int) -> None:
    async with site(tmp_path) as here:
        reader, writer = await here.raw("alice")
        writer.write(C_VERSION + bytes((service,)) + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "big"))

        answer = read_answer(await closed_by_peer(reader), "python")

        assert answer.status == Status.NO_CONNECTION
        writer.close()


async def test_a_payload_of_the_limit_is_served(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ksid = await joined(here)
        async with here.client("alice", dialect="c") as client:
            answer = await client.get(ksid, 0, MAX_PAYLOAD_BYTES - 24)
        assert answer.status == Status.SUCCESS


async def test_requests_that_come_in_pieces_or_together_are_answered_in_order(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        reader, writer = await here.raw("alice")
        data = write_request(OpenRequest("alice", "bob", TERMS))
        for start in range(0, len(data), 100):
            writer.write(data[start : start + 100])
            await asyncio.sleep(0.01)
        writer.write(data + b"\x01\x00\x01\xff" + bytes(4) + data)
        for _ in range(3):
            answer = read_answer(await reader.readexactly(8 + 304), "python")
            assert answer.status == Status.SUCCESS
        writer.close()


@pytest.mark.parametrize("length", [1, 7, 8, 60])
async def test_a_truncated_request_is_given_up_after_a_while(tmp_path: Path, length: int) -> None:
    async with site(tmp_path, body_s=0.2, idle_s=30.0) as here:
        reader, writer = await here.raw("alice")
        writer.write(write_request(OpenRequest("alice", "bob", TERMS))[:length])

        assert await closed_by_peer(reader) == b""
        writer.close()


async def test_a_drip_of_bytes_does_not_keep_a_request_alive(tmp_path: Path) -> None:
    async with site(tmp_path, body_s=0.3, idle_s=30.0) as here:
        reader, writer = await here.raw("alice")
        request, sent = write_request(OpenRequest("alice", "bob", TERMS)), 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for byte in request:
                writer.write(bytes((byte,)))
                await writer.drain()
                if reader.at_eof():
                    break
                sent += 1
                await asyncio.sleep(0.02)
        assert sent < len(request) / 2
        writer.close()


async def test_a_silent_connection_ends(tmp_path: Path) -> None:
    async with site(tmp_path, idle_s=0.2) as here:
        reader, writer = await here.raw("alice")
        assert await closed_by_peer(reader) == b""
        writer.close()


async def test_a_client_that_does_not_read_is_let_go(tmp_path: Path) -> None:
    async with site(tmp_path, body_s=0.2) as here:
        reader, writer = await here.raw("alice")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        request = write_request(OpenRequest("alice", "nobody", TERMS)) * 200
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(HANG_S):
                while here.servers["kme-a"].listener.connections:
                    writer.write(request)
                    await writer.drain()
                    await asyncio.sleep(0)
        assert not here.servers["kme-a"].listener.connections
        assert reader is not None
        writer.transport.abort()


async def test_garbage_after_the_handshake_ends_the_connection_and_nothing_else(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(8), b"\xff" * 64, b"\1\0\1\3\0\0\0\0"):
            reader, writer = await here.raw("alice")
            writer.write(garbage)
            await closed_by_peer(reader)
            writer.close()
        assert (await opened(here, "alice", "bob")).status == Status.SUCCESS


async def test_connections_are_limited(tmp_path: Path) -> None:
    async with site(tmp_path, connections=2) as here, here.client("alice") as one, here.client("anna") as two:
        await one.open("alice", "bob", TERMS)
        await two.open("anna", "bert", TERMS)
        with pytest.raises(OSError):
            async with here.client("alice") as three:
                await three.open("alice", "bob", TERMS)
        assert here.servers["kme-a"].listener.refused == 1


async def test_connections_of_one_sae_are_limited(tmp_path: Path) -> None:
    async with site(tmp_path, connections_per_client=1) as here, here.client("alice") as one:
        await one.open("alice", "bob", TERMS)
        with pytest.raises(OSError):
            async with here.client("alice") as two:
                await two.open("alice", "bob", TERMS)
        async with here.client("anna") as other:
            assert (await other.open("anna", "bert", TERMS)).status == Status.SUCCESS


async def test_handshakes_that_get_nowhere_do_not_keep_others_out_for_long(tmp_path: Path) -> None:
    async with site(tmp_path, handshakes=2, handshake_s=1.0) as here:
        silent = [await asyncio.open_connection("127.0.0.1", here.port("kme-a")) for _ in range(4)]
        assert (await opened(here, "alice", "bob")).status == Status.SUCCESS
        for _, writer in silent:
            writer.close()
        assert here.servers["kme-a"].listener.failed >= 2


async def test_requests_beyond_the_rate_wait_for_their_turn(tmp_path: Path) -> None:
    async with site(tmp_path, requests_per_s=10.0) as here, here.client("alice") as client:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for _ in range(13):
            await client.close(KSID)
        assert 0.2 < loop.time() - began_s < HANG_S


async def test_a_call_under_way_ends_in_order_when_the_server_stops(tmp_path: Path) -> None:
    async with site(tmp_path) as here, here.client("alice") as client:
        call = asyncio.create_task(client.open("alice", "bob", replace(TERMS, timeout_ms=1000), KSID))
        async with asyncio.timeout(HANG_S):
            while not here.servers["kme-a"]._busy:  # noqa: ASYNC110 a test looks from outside
                await asyncio.sleep(0.01)
        await here.servers["kme-a"].stop(grace_s=HANG_S)
        assert (await call).status == Status.PEER_NOT_YET
        with pytest.raises(OSError):
            await client.close(KSID)


async def test_answers_are_counted_and_logged_without_their_keys(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ksid = await joined(here)
        async with here.client("alice") as client:
            answer = await client.get(ksid, 0)
            assert isinstance(answer, GetAnswer)
            await client.get(ksid, 0)
            assert here.samples("connections") == {("etsi004",): 1}
        assert here.samples("requests_total") == {
            ("etsi004", "open", "success"): 1,
            ("etsi004", "get", "success"): 1,
            ("etsi004", "get", "not_enough_key"): 1,
        }
        here.heard["kme-a"].flush()
        lines = here.lines.getvalue()
        assert (
            f"interface=etsi004 client=alice address=127.0.0.1 method=GET path=/get/{uuid.UUID(bytes=ksid)}/0" in lines
        )
        assert "status=2 outcome=not_enough_key" in lines
        assert answer.key.hex() not in lines


async def test_a_bell_wakes_who_waits_for_it_and_forgets_them() -> None:
    bell = Bell()
    waits = [asyncio.create_task(bell.wait(KSID, 2 * HANG_S)) for _ in range(3)]
    other = asyncio.create_task(bell.wait(NO_KSID, 1.0))
    await asyncio.sleep(0)

    bell.ring(KSID)

    await asyncio.wait_for(asyncio.gather(*waits), HANG_S)
    assert not other.done()
    await other
    assert not bell._waiting
