"""Both ends of an AEAD channel over real UDP: make before break, and nothing passes without a key."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest

from bellweave.edge import aead_channel
from bellweave.edge.aead_channel import Address, AeadChannel
from bellweave.edge.channel import Channel, ChannelError
from bellweave.edge.ports import free_ports
from bellweave.edge.probe import MARKER, ProbePlan
from bellweave.tunnel.aead import Ends, Opener

ENDS = Ends("t", "t.client", "t.server")
FAST = ProbePlan(rate_hz=200.0, payload_bytes=200, timeout_s=1.0)


def free_addresses(count: int) -> list[Address]:
    return [("127.0.0.1", port) for port in free_ports(["127.0.0.1"] * count)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30.0):
        while not true():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.001)


class Wiretap(asyncio.DatagramProtocol):
    """Stands between the two ends: sees every datagram, passes on what it likes."""

    def __init__(self, ends: dict[Address, Address]) -> None:
        self.ends = ends
        self.seen: list[tuple[Address, bytes]] = []
        self.passes: Callable[[Address, bytes], bool] = lambda _sender, _data: True

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.seen.append((addr, data))
        if self.passes(addr, data):
            self.transport.sendto(data, self.ends[addr])


class Pair:
    def __init__(self, probe: ProbePlan = FAST) -> None:
        self.at_client, self.at_server, self.between = free_addresses(3)
        self.client = AeadChannel(ENDS, "client", local=self.at_client, remote=self.between, probe=probe)
        self.server = AeadChannel(ENDS, "server", local=self.at_server, remote=self.between, probe=probe)
        self.tap = Wiretap({self.at_client: self.at_server, self.at_server: self.at_client})

    async def load(self) -> str:
        key_id, key = str(uuid4()), secrets.token_bytes(32)
        await self.server.load(key_id, key)
        await self.client.load(key_id, key)
        return key_id

    async def refresh(self, old: str | None = None) -> str:
        key_id = await self.load()
        await self.client.switch(key_id)
        await self.server.verify(key_id)
        if old is not None:
            await self.client.destroy(old)
            await self.server.destroy(old)
        return key_id


@contextlib.asynccontextmanager
async def pair(probe: ProbePlan = FAST) -> AsyncIterator[Pair]:
    both = Pair(probe)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: both.tap, local_addr=both.between)
    try:
        await both.client.start()
        await both.server.start()
        yield both
    finally:
        await both.client.close()
        await both.server.close()
        transport.close()
        await asyncio.sleep(0)


def test_it_is_a_channel() -> None:
    channel: Channel = Pair().client
    assert channel.traffic is not None


async def test_twenty_refreshes_lose_no_probe() -> None:
    async with pair() as both:
        key_id = await both.refresh()
        for _ in range(20):
            await asyncio.sleep(0.05)
            key_id = await both.refresh(key_id)
        await asyncio.sleep(0.1)

        probed = both.client.traffic()

        assert probed is not None
        assert await both.client.in_use() == await both.server.in_use() == key_id
        assert probed.sent > 30
        assert probed.lost == 0
        assert probed.sent - probed.received <= 10
        assert probed.rtt_s is not None
        assert probed.rtt_s < 0.5  # not the time-out
        assert both.server.traffic() is None
        assert both.server.dropped.forged == both.server.dropped.unknown == 0


async def test_nobody_between_reads_a_probe_or_can_play_a_record_again_or_change_one() -> None:
    async with pair() as both:
        await both.refresh()
        await asyncio.sleep(0.3)
        seen = list(both.tap.seen)

        assert len(seen) > 5
        assert not any(MARKER[:8] in data for _, data in seen)
        dropped = [both.client.dropped, both.server.dropped]
        for number, (sender, data) in enumerate(seen, 1):
            both.tap.transport.sendto(data, both.tap.ends[sender])
            both.tap.transport.sendto(data, sender)
            both.tap.transport.sendto(data[:-1] + bytes([data[-1] ^ 1]), both.tap.ends[sender])
            # more than some hundred at once the kernel drops
            await until(lambda count=3 * number: sum(each.replayed + each.forged for each in dropped) >= count)  # type: ignore[misc]
        await asyncio.sleep(0.2)
        probed = both.client.traffic()

        assert sum(each.replayed + each.forged for each in dropped) == 3 * len(seen)
        assert probed is not None
        assert probed.received <= probed.sent
        assert probed.lost == 0


async def test_a_key_that_differs_at_the_two_ends_leaves_the_old_session_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead_channel, "SWITCH_S", 0.8)
    async with pair() as both:
        old = await both.refresh()
        wrong = str(uuid4())
        await both.server.load(wrong, bytes(32))
        await both.client.load(wrong, bytes(31) + b"\x01")

        with pytest.raises(ChannelError, match=f"does not answer under key {wrong}"):
            await both.client.switch(wrong)
        with pytest.raises(ChannelError, match="no record has come"):
            await both.server.verify(wrong)
        await both.client.destroy(wrong)
        await both.server.destroy(wrong)

        assert await both.client.in_use() == await both.server.in_use() == old
        assert both.server.dropped.forged > 2
        probed = both.client.traffic()
        assert probed is not None
        assert probed.lost == 0


async def test_a_key_that_the_server_lacks_leaves_the_old_session_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead_channel, "SWITCH_S", 0.3)
    async with pair() as both:
        old = await both.refresh()
        await both.client.load(missing := str(uuid4()), bytes(32))

        with pytest.raises(ChannelError):
            await both.client.switch(missing)

        assert await both.client.in_use() == old
        assert both.server.dropped.unknown > 0


async def test_a_switch_whose_answers_are_lost_is_taken_back_at_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead_channel, "SWITCH_S", 0.3)
    async with pair() as both:
        old = await both.refresh()
        lost = await both.load()
        epoch = bytes.fromhex(lost.replace("-", ""))
        both.tap.passes = lambda sender, data: not (sender == both.at_server and data.startswith(epoch))

        with pytest.raises(ChannelError):
            await both.client.switch(lost)
        await both.server.verify(lost)  # it has heard of it
        await both.client.destroy(lost)
        await both.server.destroy(lost)

        assert await both.server.in_use() == old
        await asyncio.sleep(0.6)
        probed = both.client.traffic()
        assert probed is not None
        assert probed.lost == 0


async def test_questions_and_answers_may_get_lost() -> None:
    async with pair() as both:
        dropped: list[bytes] = []

        def passes(_: Address, data: bytes) -> bool:
            dropped.append(data)
            return len(dropped) > 4

        both.tap.passes = passes
        key_id = await both.refresh()

        assert await both.client.in_use() == key_id


async def test_after_take_down_nothing_passes_until_the_next_switch_and_what_is_loaded_stays() -> None:
    async with pair(ProbePlan(rate_hz=200.0, timeout_s=0.1)) as both:
        await both.refresh()
        await until(lambda: both.client.traffic() is not None)
        following = await both.load()
        await both.client.take_down()
        await both.server.take_down()
        assert await both.client.in_use() is None
        on_its_way = -1
        while on_its_way != len(both.tap.seen):
            on_its_way = len(both.tap.seen)
            await asyncio.sleep(0.1)
        both.client.traffic()
        both.tap.seen.clear()
        await asyncio.sleep(0.4)

        assert both.tap.seen == []
        probed = both.client.traffic()
        assert probed is not None
        assert probed.received == 0
        assert probed.lost > 2
        assert probed.longest_gap_s > 0.4
        await both.client.switch(following)
        await both.server.verify(following)
        received = 0

        def back() -> bool:
            nonlocal received
            again = both.client.traffic()
            received += again.received if again else 0
            return received > 0

        await until(back)


async def test_a_destroyed_key_seals_nothing_more_and_is_forgotten_after_its_grace() -> None:
    async with pair() as both:
        old = await both.refresh()
        new = await both.refresh(old)
        for end in (both.client, both.server):
            opener: Opener = end._opener
            assert set(end._sealers) == {new}
            opener.expire(asyncio.get_running_loop().time() + 10.0)
            assert opener.epochs == {new}
            await end.destroy(str(uuid4()))  # unknown: nothing


async def test_a_key_is_loaded_once_in_a_channels_life() -> None:
    async with pair() as both:
        key_id = await both.load()
        await both.client.destroy(key_id)

        with pytest.raises(ChannelError, match=f"key {key_id} was loaded before"):
            await both.client.load(key_id, bytes(32))
        with pytest.raises(ChannelError, match="is a UUID"):
            await both.client.load("k1", bytes(32))
        with pytest.raises(ChannelError, match="is not loaded"):
            await both.client.switch(key_id)


async def test_switching_to_the_key_in_use_looks_whether_it_still_works() -> None:
    async with pair() as both:
        key_id = await both.refresh()
        await both.client.switch(key_id)

        assert await both.client.in_use() == key_id


async def test_a_burst_measures_throughput() -> None:
    async with pair(ProbePlan(rate_hz=20.0, burst=50, burst_every_s=60.0)) as both:
        await both.refresh()
        await asyncio.sleep(0.3)
        probed = both.client.traffic()

        assert probed is not None
        assert probed.sent < 20
        assert probed.lost == 0
        assert probed.bits_per_s > 50 * 1200 * 8 / 2


async def test_an_address_that_is_taken_is_an_error_that_names_it() -> None:
    async with pair() as both:
        other = AeadChannel(ENDS, "client", local=both.at_client, remote=both.at_server)
        with pytest.raises(ChannelError, match=f"127.0.0.1:{both.at_client[1]}/udp"):
            await other.start()
        await both.client.start()  # again: nothing


async def test_it_can_be_closed_in_any_state() -> None:
    both = Pair()
    await both.client.close()
    await both.server.start()
    await both.server.close()
    await both.server.close()
    await both.server.start()
    await both.server.close()
