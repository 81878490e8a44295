"""The agents of a node: one for each tunnel that ends there, made of what the node got."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from bellweave.edge.aead_channel import AeadChannel
from bellweave.edge.agent_link import AgentLink
from bellweave.edge.channel import Channel
from bellweave.edge.ipsec_channel import IpsecChannel
from bellweave.edge.kms_client import KmsClient
from bellweave.edge.memory_files import MemoryFiles
from bellweave.edge.probe import ProbePlan
from bellweave.edge.probe_feed import ProbeFeed
from bellweave.emu.agent import Agent
from bellweave.emu.deployment import Aead, AgentDeployment, Ipsec, NodeDeployment
from bellweave.errors import BellweaveError
from bellweave.results.network_records import Event
from bellweave.scenario.directory import sae_names
from bellweave.scenario.schema import Scenario
from bellweave.tunnel.aead import Ends

STOP_S = 8.0
"""How long their sessions may take to end."""

_log = structlog.get_logger(__name__)


class Agents:
    """All agents of a node.

    Args:
        deployment: The node's.
        scenario: Says which tunnels there are.
        ca: The run's authority.
        files: Take certificates and keys.
        note: Gets what happens.
        now: Seconds since the run began.
        complain: Gets what people should know.
    """

    def __init__(
        self,
        deployment: NodeDeployment,
        scenario: Scenario,
        ca: Path,
        files: MemoryFiles,
        note: Callable[[Event], None],
        now: Callable[[], float],
        complain: Callable[[str], None],
    ) -> None:
        self._deployment, self._scenario, self._ca, self._files = deployment, scenario, ca, files
        self._note, self._now, self._complain = note, now, complain
        self._turns: dict[str, asyncio.Lock] = {}
        self._feed = _feed(deployment)
        self._agents: list[Agent] = []
        self._clients: list[KmsClient] = []
        self._running: list[asyncio.Task[None]] = []

    def make(self, kme: tuple[str, int]) -> None:
        """Make them, so that the KME at this address is their own; they wait for :meth:`begin`."""
        host, port = kme
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        for given in self._deployment.agents:
            self._agents.append(self._made(given, url))

    def begin(self) -> None:
        """Let them ask for keys."""
        if self._feed is not None:
            self._feed.start()
        self._running = [asyncio.create_task(self._run(agent)) for agent in self._agents]

    def finish(self) -> None:
        """Let them ask for no more keys."""
        for agent in self._agents:
            agent.finish()

    async def stop(self) -> None:
        """End their sessions and let everything go."""
        for side in ("client", "server"):  # who started a session ends it
            ending = [task for agent, task in zip(self._agents, self._running, strict=False) if agent.side == side]
            for agent in self._agents:
                if agent.side == side:
                    agent.stop()
            if ending:
                await asyncio.wait(ending, timeout=STOP_S)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for client in self._clients:
            await client.close()
        if self._feed is not None:
            await self._feed.close()
        self._agents, self._clients, self._running = [], [], []

    async def _run(self, agent: Agent) -> None:
        """Run an agent; one that ends by a mistake of ours is missed by its tunnel only."""
        try:
            await agent.run()
        except BellweaveError as error:
            self._complain(f"{agent.tunnel}, {agent.side}: {error}")
        except Exception as error:  # noqa: BLE001 the other tunnels go on
            _log.exception("an agent ended", tunnel=agent.tunnel, side=agent.side)
            self._complain(f"{agent.tunnel}, {agent.side}: its agent ended: {type(error).__name__}")

    def _made(self, given: AgentDeployment, url: str) -> Agent:
        ends = Ends(given.tunnel, *sae_names(given.tunnel))
        cert = self._files.path(f"{given.tunnel}.crt", given.sae.certificate)
        key = self._files.path(f"{given.tunnel}.key", given.sae.key)
        client = KmsClient(url, ca=self._ca, cert=cert, key=key, kme=self._deployment.name)
        self._clients.append(client)
        host, port = given.link
        link = AgentLink(ends, given.side, ca=self._ca, cert=cert, key=key, host=host, port=port)
        params = self._scenario.tunnel[given.tunnel]
        channel = given.channel
        turn = self._turns.setdefault(
            given.tunnel if isinstance(channel, Aead) else channel.gateway.vici, asyncio.Lock()
        )
        return Agent(
            given.tunnel, params, given.side, client, link, self._channel(given, ends), note=self._note, now=self._now,
            turn=turn,
        )  # fmt: skip

    def _channel(self, given: AgentDeployment, ends: Ends) -> Channel:
        if isinstance(given.channel, Aead):
            plan = ProbePlan(rate_hz=given.channel.probe_hz)
            return AeadChannel(ends, given.side, local=given.channel.local, remote=given.channel.remote, probe=plan)
        traffic = None
        if self._feed is not None and given.side == "client":
            traffic = partial(self._feed.take, given.tunnel)
        return IpsecChannel(given.channel.gateway, traffic)


def _feed(deployment: NodeDeployment) -> ProbeFeed | None:
    """Return what the probe streams of a node's client ends are read from."""
    ours = [
        (given.channel.probes, given.tunnel)
        for given in deployment.agents
        if isinstance(given.channel, Ipsec) and given.channel.probes is not None and given.side == "client"
    ]
    return ProbeFeed(str(ours[0][0]), [tunnel for _, tunnel in ours]) if ours else None
