"""Two agents that drive strongSwan: keys from real KMEs in real IPsec sessions, whatever is killed meanwhile."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bellweave.edge.fabric import planned
from bellweave.edge.gateway import Shared
from bellweave.edge.ipsec_channel import IpsecChannel
from bellweave.edge.probe import MARKER, ProbePlan
from bellweave.edge.probe_feed import ProbeFeed, command
from bellweave.edge.world_network import WorldNetwork
from bellweave.results.network_records import Probed, SessionBegan, SessionEnded, Starved
from bellweave.testing.certificates import Pki
from bellweave.testing.strongswan import captured, require_strongswan
from bellweave.testing.tunnel_agents import Agents, tunnel_agents, until
from bellweave.tunnel.aead import Side

pytestmark = pytest.mark.emu


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@dataclass
class Site:
    """A world with the two gateways of tunnel ``t``, and probes in it."""

    network: WorldNetwork
    feed: ProbeFeed
    folder: Path
    channels: dict[Side, IpsecChannel] = field(default_factory=dict)

    def channel(self, side: Side) -> IpsecChannel:
        gateway = self.network.gateway("t", side, Shared(secret=bytes(range(32))))
        self.channels[side] = IpsecChannel(gateway, lambda: self.feed.take("t"))
        return self.channels[side]

    async def kill_gateway(self, side: Side, for_s: float) -> None:
        charon = self.network.charon("t", side)
        await charon.kill()
        await asyncio.sleep(for_s)
        await charon.start()


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    require_strongswan()
    with tempfile.TemporaryDirectory(prefix="bw-") as name:
        folder = Path(name)
        fabric = planned({"t": ("a", "b")}, "bridge")
        async with WorldNetwork(fabric, folder) as network:
            here, there = fabric.places["t", "client"], fabric.places["t", "server"]
            hosts = {"t": ((here.host, here.inner), (there.host, there.inner))}
            await network.world.spawn(
                "", command(folder / "probes", hosts, ProbePlan(rate_hz=50.0)), log=folder / "probes.log"
            )  # fmt: skip
            feed = ProbeFeed(folder / "probes", ["t"])
            feed.start()
            try:
                yield Site(network, feed, folder)
            finally:
                await feed.close()


def reasons(tunnel: Agents) -> list[str]:
    return [event.reason for event in tunnel.noted(SessionEnded)]


async def test_refreshes_with_keys_of_the_kmes_lose_next_to_nothing_and_show_nothing(tmp_path: Path, pki: Pki) -> None:
    async with site() as at, captured(at.network, at.folder, MARKER) as counts:
        async with tunnel_agents(tmp_path, pki, at.channel, period_s=0.3) as tunnel:
            await tunnel.refreshed(15)
            await until(lambda: len(tunnel.noted(Probed)) >= 2)

            probed = tunnel.noted(Probed)
            assert sum(each.sent for each in probed) > 80
            assert sum(each.lost for each in probed) <= 3
            assert tunnel.used_twice() == []
            assert not tunnel.noted(Starved)
            assert set(reasons(tunnel)) == {"replaced"}
        seen = counts()
        assert seen["marked"] == 0
        assert seen["esp-in-udp"] > 100
        assert "other" not in seen


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_daemon_that_is_killed_and_comes_back_gets_a_fresh_key(tmp_path: Path, pki: Pki, side: Side) -> None:
    async with site() as at, tunnel_agents(tmp_path, pki, at.channel, period_s=60.0) as tunnel:
        await tunnel.refreshed(1)
        first = tunnel.agents["client"].machine.key_id
        await at.kill_gateway(side, 0.5)
        back_s = tunnel.now()
        await tunnel.refreshed(1)
        took_s = tunnel.now() - back_s
        seen = len(tunnel.noted(Probed))
        await until(lambda: any(each.received and not each.lost for each in tunnel.noted(Probed)[seen + 1 :]))

        assert took_s < 20.0  # some four, where nothing else runs
        assert tunnel.agents["client"].machine.key_id != first
        assert tunnel.used_twice() == []
        assert reasons(tunnel) == ["failed"]


@pytest.mark.parametrize("side", ["client", "server"])
async def test_an_agent_that_is_killed_while_the_daemon_lives_on_gets_a_fresh_key(
    tmp_path: Path, pki: Pki, side: Side
) -> None:
    async with site() as at, tunnel_agents(tmp_path, pki, at.channel, period_s=60.0) as tunnel:
        await tunnel.refreshed(1)
        task, kms = tunnel.running.pop(side)
        at.channels[side].close = lets_go(at.channels[side])  # type: ignore[method-assign]
        task.cancel()
        await asyncio.wait((task,))
        await kms.close()
        tunnel.start_agent(side)
        await tunnel.refreshed(1)
        await tunnel.same_key()

        assert tunnel.used_twice() == []


def lets_go(channel: IpsecChannel) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return what the end of a process does to a channel: its connections end, the gateway is told nothing."""

    async def let_go() -> None:
        channel._gateway.close()

    return let_go


async def test_a_session_is_renewed_with_its_key_where_its_length_is_configured(tmp_path: Path, pki: Pki) -> None:
    async with site() as at, tunnel_agents(tmp_path, pki, at.channel, period_s=5.0, session_s=0.7) as tunnel:
        await until(lambda: sum(each.renewed for each in tunnel.noted(SessionBegan)) >= 4)
        await tunnel.refreshed(1)

        assert "failed" not in reasons(tunnel)
        assert tunnel.used_twice() == []
