"""Both agents of one tunnel with real KMEs, a real line, and a channel that tests choose."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bellweave.edge.agent_link import AgentLink
from bellweave.edge.channel import Channel
from bellweave.edge.clock import now_s as clock_s
from bellweave.edge.kme_node import KmeNode
from bellweave.edge.kms_client import KmsClient
from bellweave.edge.ports import free_ports
from bellweave.emu.agent import Agent
from bellweave.kms.config import Endpoint, KmeConfig
from bellweave.results.network_records import Delivered, Event, Happening, Refreshed, SessionBegan
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_nodes import PEER, pair_configs
from bellweave.testing.key_servers import block
from bellweave.tunnel.aead import Ends, Side
from bellweave.tunnel.params import Tunnel

ENDS = Ends("t", "alice", "bob")
KME: dict[Side, str] = {"client": "kme-a", "server": "kme-b"}
SAE: dict[Side, str] = {"client": "alice", "server": "bob"}

H = TypeVar("H", bound=Happening)

Make = Callable[[Side], Channel]


HANG_S = 60.0
"""What takes so long hangs: machines that do other things too are slow, but not that slow."""


async def until(condition: Callable[[], bool], wait_s: float = HANG_S) -> None:
    """Wait for something to be so; TimeoutError if it does not come true."""
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.01)


class Agents:
    """Two KMEs, and both ends of a tunnel.

    Attributes:
        nodes: The KMEs that run.
        agents, channels: The latest at each end.
        events: All that was noted.
        offset_s: Of agents that are started from now on.
    """

    def __init__(self, folder: Path, pki: Pki, params: Tunnel, channel: Make) -> None:
        self.pki, self.folder, self.params, self._make = pki, folder, params, channel
        self.loop = asyncio.get_running_loop()
        *ports, self.link_port = free_ports(["127.0.0.1"] * 5)
        self.configs = pair_configs(
            folder, pki, dict(zip(PEER, ports[:2], strict=True)), "sqlite:///{name}.db",
            etsi014={"listen": "127.0.0.1:0"}, etsi004=None, skip=None, admin=None, device=None,
        )  # fmt: skip
        for name, port in zip(PEER, ports[2:], strict=True):
            self.configs[name] = listening(self.configs[name], port)
        self.nodes: dict[str, KmeNode] = {}
        self.agents: dict[Side, Agent] = {}
        self.channels: dict[Side, Channel] = {}
        self.running: dict[Side, tuple[asyncio.Task[None], KmsClient]] = {}
        self.events: list[Event] = []
        self.began_s = self.loop.time()
        self.offset_s = 0.0

    def now(self) -> float:
        """Return the seconds since the run began."""
        return self.loop.time() - self.began_s

    async def start_kme(self, *names: str) -> None:
        """Start these KMEs, or both, and wait until they are in step."""
        for name in names or PEER:
            self.nodes[name] = KmeNode(self.configs[name], self.folder)
            await self.nodes[name].start()
        await until(lambda: all(node.kme.in_step(PEER[name]) for name, node in self.nodes.items()))

    async def feed(self, size_bytes: int = 32 * 1024) -> None:
        """Give both KMEs a block, and wait until keys can be drawn."""
        name = secrets.token_hex(4)
        for kme, peer in PEER.items():
            node = self.nodes[kme]
            await node.driver.run(node.kme.ingest(block(name, size_bytes), peer, clock_s()))
            node.wake()
        node = self.nodes["kme-a"]
        async with asyncio.timeout(HANG_S):
            while True:
                keys, _ = await node.driver.run(node.kme.count("alice", "bob", 256, clock_s()))
                if keys >= size_bytes // 32 // 4:
                    return
                await asyncio.sleep(0.02)

    def start_agent(self, side: Side, files: Files | None = None) -> Agent:
        """Start an agent, with a certificate of the tester's choice."""
        kms_files = self.pki.sae(SAE[side])
        kms = KmsClient(
            f"https://127.0.0.1:{self.configs[KME[side]].etsi014.listen.rpartition(':')[2]}",  # type: ignore[union-attr]
            ca=kms_files.ca, cert=kms_files.cert, key=kms_files.key, kme=KME[side], timeout_s=5.0,
        )  # fmt: skip
        files = files or (self.pki.agent("bob") if side == "server" else self.pki.sae("alice"))
        link = AgentLink(
            ENDS, side, ca=files.ca, cert=files.cert, key=files.key, host="127.0.0.1", port=self.link_port
        )  # fmt: skip
        channel = self._make(side)
        agent = Agent(
            "t", self.params, side, kms, link, channel, note=self.events.append, now=self.now, offset_s=self.offset_s
        )
        self.agents[side], self.channels[side] = agent, channel
        self.running[side] = asyncio.create_task(agent.run()), kms
        return agent

    async def kill_agent(self, side: Side) -> None:
        """Cancel it, as a process that ends: nothing is said any more."""
        task, kms = self.running.pop(side)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await kms.close()

    def noted(self, kind: type[H]) -> list[H]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def refreshed(self, count: int, wait_s: float = HANG_S) -> None:
        """Wait for so many more refreshes."""
        seen = len(self.noted(Refreshed))
        await until(lambda: len(self.noted(Refreshed)) >= seen + count, wait_s)

    async def same_key(self) -> None:
        """Wait until both ends have the same key in use, as their gateways say too."""
        async with asyncio.timeout(HANG_S):
            while True:
                ids = {agent.machine.key_id for agent in self.agents.values()}
                ids |= {await channel.in_use() for channel in self.channels.values()}
                if len(ids) == 1 and None not in ids:
                    return
                await asyncio.sleep(0.01)

    def used_twice(self) -> list[str]:
        """Return the ids of keys that a KME gave, or a session began with, more than once."""
        began = [event.key_id for event in self.noted(SessionBegan) if not event.renewed]
        given = [event.key_id for event in self.noted(Delivered) if event.side == "client" and event.status == 200]
        return [key_id for ids in (began, given) for key_id in set(ids) if ids.count(key_id) > 1]

    async def close(self) -> None:
        """End agents and KMEs."""
        for side in list(self.running):
            self.agents[side].stop()
            task, kms = self.running.pop(side)
            await task
            await kms.close()
        for node in self.nodes.values():
            await node.stop(0.1)


def listening(config: KmeConfig, port: int) -> KmeConfig:
    """Return the configuration with a fixed port for ETSI 014, so that a KME comes back where it was."""
    return msgspec.structs.replace(config, etsi014=Endpoint(listen=f"127.0.0.1:{port}"))


@contextlib.asynccontextmanager
async def tunnel_agents(
    folder: Path,
    pki: Pki,
    channel: Make,
    *,
    feed: bool = True,
    agents: Sequence[Side] = ("server", "client"),
    **params: Any,
) -> AsyncIterator[Agents]:
    """Run a tunnel.

    Args:
        folder: For the KMEs' stores.
        pki: Issues all certificates.
        channel: Makes the channel of an end, each time its agent starts.
        feed: Whether the KMEs get key first.
        agents: Which ends are started.
        params: Of the tunnel.
    """
    values: dict[str, Any] = {"client": "a", "server": "b", "key_bits": 256, "period_s": 0.2} | params
    made = Agents(folder, pki, Tunnel(**values), channel)
    try:
        await made.start_kme()
        if feed:
            await made.feed()
        made.began_s = made.loop.time()
        for side in agents:
            made.start_agent(side)
        yield made
    finally:
        await made.close()
