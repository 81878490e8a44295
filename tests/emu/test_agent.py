"""Two agents with real KMEs, a real line and a real channel: what the tunnel does, whatever is killed meanwhile."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from bellweave.edge.aead_channel import AeadChannel
from bellweave.edge.agent_link import AgentLink
from bellweave.edge.channel import ChannelError
from bellweave.edge.clock import now_s as clock_s
from bellweave.edge.kme_node import KmeNode
from bellweave.edge.kms_client import KmsClient
from bellweave.edge.probe import ProbePlan
from bellweave.emu import agent_lane
from bellweave.emu.agent import AWAY, Agent
from bellweave.kms.config import Endpoint, KmeConfig
from bellweave.results.network_records import (
    Delivered,
    Event,
    Happening,
    Probed,
    Refreshed,
    SessionBegan,
    SessionEnded,
    Starved,
)
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_nodes import PEER, pair_configs
from bellweave.testing.key_servers import block
from bellweave.tunnel.aead import Ends, Side
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.server import Server

pytestmark = pytest.mark.emu

ENDS = Ends("t", "alice", "bob")
KME: dict[str, str] = {"client": "kme-a", "server": "kme-b"}
SAE: dict[str, str] = {"client": "alice", "server": "bob"}
FAST = ProbePlan(rate_hz=100.0, timeout_s=0.5)

H = TypeVar("H", bound=Happening)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


async def until(condition: Callable[[], bool], wait_s: float = 10.0) -> None:
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.01)


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class Recording(AeadChannel):
    """An AEAD channel that remembers what it was given, and fails, or is restarted, when told to."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.keys: dict[str, bytes] = {}
        self.switches: list[str] = []
        self.fails: set[str] = set()
        self.at_once = self.most_at_once = 0

    async def load(self, key_id: str, key: bytes) -> None:
        self._check("load")
        assert key_id not in self.keys
        self.keys[key_id] = bytes(key)
        await super().load(key_id, key)

    async def switch(self, key_id: str) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            self._check("switch")
            await super().switch(key_id)
            self.switches.append(key_id)
        finally:
            self.at_once -= 1

    async def verify(self, key_id: str) -> None:
        self._check("verify")
        await super().verify(key_id)

    async def in_use(self) -> str | None:
        self._check("in_use")
        return await super().in_use()

    async def take_down(self) -> None:
        self._check("take_down")
        await super().take_down()

    async def restart_gateway(self) -> None:
        """Lose everything, as a daemon that was killed and started again."""
        await super().close()
        await super().start()

    def _check(self, what: str) -> None:
        if what in self.fails:
            raise ChannelError(f"{what} fails")


class Place:
    """Two KMEs with key, and both ends of a tunnel."""

    def __init__(self, folder: Path, pki: Pki, params: Tunnel, loop: asyncio.AbstractEventLoop) -> None:
        self.pki, self.folder, self.params, self.loop = pki, folder, params, loop
        self.configs = pair_configs(
            folder, pki, dict(zip(PEER, free_ports(2), strict=True)), "sqlite:///{name}.db",
            etsi014={"listen": "127.0.0.1:0"}, etsi004=None, skip=None, admin=None, device=None,
        )  # fmt: skip
        for name, port in zip(PEER, free_ports(2), strict=True):
            self.configs[name] = listening(self.configs[name], port)
        self.link_port = free_ports(1)[0]
        self.udp = dict(zip(("client", "server"), free_ports(2, socket.SOCK_DGRAM), strict=True))
        self.nodes: dict[str, KmeNode] = {}
        self.agents: dict[Side, Agent] = {}
        self.channels: dict[Side, Recording] = {}
        self.running: dict[Side, tuple[asyncio.Task[None], KmsClient]] = {}
        self.events: list[Event] = []
        self.drawn: set[str] = set()
        self.began_s = loop.time()

    def now(self) -> float:
        return self.loop.time() - self.began_s

    async def start_kme(self, *names: str) -> None:
        for name in names or PEER:
            self.nodes[name] = KmeNode(self.configs[name], self.folder)
            await self.nodes[name].start()
        await until(lambda: all(node.kme.in_step(PEER[name]) for name, node in self.nodes.items()))

    async def feed(self, size_bytes: int = 32 * 1024) -> None:
        name = secrets.token_hex(4)
        for kme, peer in PEER.items():
            node = self.nodes[kme]
            await node.driver.run(node.kme.ingest(block(name, size_bytes), peer, clock_s()))
            node.wake()
        node = self.nodes["kme-a"]
        async with asyncio.timeout(10.0):
            while True:
                keys, _ = await node.driver.run(node.kme.count("alice", "bob", 256, clock_s()))
                if keys >= size_bytes // 32 // 4:
                    return
                await asyncio.sleep(0.02)

    def start_agent(self, side: Side, files: Files | None = None) -> Agent:
        kms_files = self.pki.sae(SAE[side])
        kms = KmsClient(
            f"https://127.0.0.1:{self.configs[KME[side]].etsi014.listen.rpartition(':')[2]}",  # type: ignore[union-attr]
            ca=kms_files.ca, cert=kms_files.cert, key=kms_files.key, kme=KME[side], timeout_s=5.0,
        )  # fmt: skip
        files = files or (self.pki.agent("bob") if side == "server" else self.pki.sae("alice"))
        link = AgentLink(
            ENDS, side, ca=files.ca, cert=files.cert, key=files.key, host="127.0.0.1", port=self.link_port
        )  # fmt: skip
        other: Side = "server" if side == "client" else "client"
        channel = Recording(
            ENDS, side, local=("127.0.0.1", self.udp[side]), remote=("127.0.0.1", self.udp[other]), probe=FAST
        )  # fmt: skip
        agent = Agent("t", self.params, side, kms, link, channel, note=self.events.append, now=self.now)
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
        return [event for event in self.events if isinstance(event, kind)]

    async def refreshed(self, count: int, wait_s: float = 10.0) -> None:
        seen = len(self.noted(Refreshed))
        await until(lambda: len(self.noted(Refreshed)) >= seen + count, wait_s)

    async def same_key(self) -> None:
        """Wait until both ends have the same key in use, as their gateways say too."""
        async with asyncio.timeout(10.0):
            while True:
                ids = {agent.machine.key_id for agent in self.agents.values()}
                ids |= {await channel.in_use() for channel in self.channels.values()}
                if len(ids) == 1 and None not in ids:
                    return
                await asyncio.sleep(0.01)

    def check_keys(self, *channels: Recording) -> None:
        """No key was used twice, and both ends had the same under each id."""
        began = [event.key_id for event in self.noted(SessionBegan)]
        assert len(began) == len(set(began))
        given = [event.key_id for event in self.noted(Delivered) if event.side == "client" and event.status == 200]
        assert len(given) == len(set(given))
        for one in channels:
            for other in channels:
                for key_id in one.keys.keys() & other.keys.keys():
                    assert secrets.compare_digest(one.keys[key_id], other.keys[key_id])
                    assert len(one.keys[key_id]) == 32

    async def close(self) -> None:
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
async def place(folder: Path, pki: Pki, *, feed: bool = True, agents: Sequence[Side] = ("server", "client"),
                **params: Any) -> AsyncIterator[Place]:  # fmt: skip
    values: dict[str, Any] = {"client": "a", "server": "b", "key_bits": 256, "period_s": 0.2} | params
    made = Place(folder, pki, Tunnel(**values), asyncio.get_running_loop())
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


async def test_twenty_refreshes_with_equal_keys_and_no_probe_lost(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki) as tunnel:
        await tunnel.refreshed(21, 20.0)
        await until(lambda: len(tunnel.noted(Probed)) >= 2)
        await tunnel.same_key()

        tunnel.check_keys(*tunnel.channels.values())
        probed = tunnel.noted(Probed)
        assert sum(each.sent for each in probed) > 100
        assert sum(each.lost for each in probed) == 0
        began, ended = tunnel.noted(SessionBegan), tunnel.noted(SessionEnded)
        assert [each.key_id for each in ended] == [each.key_id for each in began][: len(ended)]
        assert {each.reason for each in ended} == {"replaced"}
        assert not tunnel.noted(Starved)
        for each in tunnel.noted(Refreshed):
            assert each.total_s == pytest.approx(each.enc_s + each.peer_s + each.switch_s)
            assert 0.0 < each.total_s < 1.0
        answers = tunnel.noted(Delivered)
        assert {(each.side, each.outcome, each.status, each.bits) for each in answers} == {
            ("client", "delivered", 200, 256), ("server", "taken", 200, 256),
        }  # fmt: skip
        assert {each.provable_bits for each in answers} == {256}
        for end in tunnel.agents.values():
            assert len(end._keys) == 0
            assert len(end._lane._loaded) <= 2
        for channel in tunnel.channels.values():
            assert len(channel._sealers) <= 2


async def test_without_key_the_old_session_stays_and_refreshes_go_on_when_there_is_key(
    tmp_path: Path, pki: Pki
) -> None:  # fmt: skip
    async with place(tmp_path, pki, feed=False, period_s=0.1) as tunnel:
        await tunnel.feed(1024)
        await until(lambda: any(each.held for each in tunnel.noted(Starved)))
        await tunnel.same_key()
        key_id = tunnel.agents["client"].machine.key_id
        starved = len(tunnel.noted(Starved))
        await until(lambda: len(tunnel.noted(Starved)) >= starved + 5)

        assert tunnel.agents["client"].machine.key_id == key_id
        assert {each.reason for each in tunnel.noted(Starved)} == {"not_enough_key"}
        assert {each.outcome for each in tunnel.noted(Delivered) if each.status == 503} == {"not_enough_key"}
        await tunnel.feed()
        await tunnel.refreshed(2)
        assert "failed" not in {each.reason for each in tunnel.noted(SessionEnded)}
        tunnel.check_keys(*tunnel.channels.values())


async def test_fail_closed_takes_the_tunnel_down_when_its_key_is_too_old_and_up_with_the_next(
    tmp_path: Path, pki: Pki
) -> None:  # fmt: skip
    policy: dict[str, Any] = {"starvation": "fail-closed", "max_key_age_s": 0.6, "period_s": 0.2}
    async with place(tmp_path, pki, feed=False, **policy) as tunnel:
        await tunnel.feed(1024)
        await until(lambda: any(each.reason == "expired" for each in tunnel.noted(SessionEnded)), 20.0)
        await until(lambda: tunnel.agents["server"].machine.key_id is None)
        await until(lambda: not tunnel.channels["client"]._sessions and not tunnel.channels["server"]._sessions)
        assert not tunnel.channels["client"]._sealers
        await tunnel.feed()
        await tunnel.refreshed(2)

        await tunnel.same_key()
        tunnel.check_keys(*tunnel.channels.values())


async def test_a_gateway_that_will_not_take_the_tunnel_down_is_told_again(tmp_path: Path, pki: Pki) -> None:
    policy: dict[str, Any] = {"starvation": "fail-closed", "max_key_age_s": 0.5, "period_s": 30.0}
    async with place(tmp_path, pki, **policy) as tunnel:
        await tunnel.refreshed(1)
        tunnel.channels["client"].fails.add("take_down")
        await until(lambda: any(each.reason == "expired" for each in tunnel.noted(SessionEnded)))
        await asyncio.sleep(0.2)
        assert tunnel.channels["client"]._sessions
        tunnel.channels["client"].fails.clear()
        await until(lambda: not tunnel.channels["client"]._sessions)


@pytest.mark.parametrize("side", ["server", "client"])
async def test_an_agent_that_is_killed_and_started_again_gets_the_tunnel_back_with_a_fresh_key(
    tmp_path: Path, pki: Pki, side: Side
) -> None:
    async with place(tmp_path, pki, period_s=30.0) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        first, channels = tunnel.agents["client"].machine.key_id, list(tunnel.channels.values())
        await tunnel.kill_agent(side)
        await asyncio.sleep(0.3)
        began_s = tunnel.now()
        tunnel.start_agent(side)
        await tunnel.refreshed(1)
        await tunnel.same_key()

        assert tunnel.now() - began_s < 5.0
        assert tunnel.agents["client"].machine.key_id != first
        tunnel.check_keys(*channels, *tunnel.channels.values())
        assert [each.reason for each in tunnel.noted(SessionEnded)] == (
            ["failed"] if side == "server" else ["end of run"]
        )  # fmt: skip


async def test_no_key_is_drawn_while_the_peer_is_away(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki, agents=["client"]) as tunnel:
        await until(lambda: bool(tunnel.noted(Starved)))
        await asyncio.sleep(1.0)
        assert not tunnel.noted(Delivered)
        assert [each.reason for each in tunnel.noted(Starved)] == [AWAY]
        tunnel.start_agent("server")
        await tunnel.refreshed(2)
        await tunnel.same_key()


@pytest.mark.parametrize("kme", ["kme-a", "kme-b"])
async def test_a_kme_that_is_restarted_delays_the_next_key_and_no_more(tmp_path: Path, pki: Pki, kme: str) -> None:
    async with place(tmp_path, pki, period_s=0.4) as tunnel:
        await tunnel.refreshed(2)
        await tunnel.nodes.pop(kme).stop(0.1)
        await until(lambda: bool(tunnel.noted(Starved)))
        held = tunnel.agents["client"].machine.key_id
        await asyncio.sleep(0.5)
        assert tunnel.agents["client"].machine.key_id == held is not None
        await tunnel.start_kme(kme)
        await tunnel.refreshed(2)
        await tunnel.same_key()

        tunnel.check_keys(*tunnel.channels.values())
        assert {each.reason for each in tunnel.noted(SessionEnded)} == {"replaced"}
        assert sum(each.lost for each in tunnel.noted(Probed)) == 0


@pytest.mark.parametrize("side", ["server", "client"])
async def test_a_gateway_that_is_restarted_gets_a_fresh_key_and_never_the_old_one(
    tmp_path: Path, pki: Pki, side: Side
) -> None:
    async with place(tmp_path, pki, period_s=30.0) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        first = tunnel.agents["client"].machine.key_id
        began_s = tunnel.now()
        await tunnel.channels[side].restart_gateway()
        await tunnel.refreshed(1)
        await tunnel.same_key()

        assert tunnel.now() - began_s < 5.0
        assert first not in tunnel.channels["client"].switches[1:]
        assert [each.reason for each in tunnel.noted(SessionEnded)] == ["failed"]
        tunnel.check_keys(*tunnel.channels.values())


async def test_a_lost_session_without_key_stays_down_until_there_is_key_though_the_policy_is_keep_old(
    tmp_path: Path, pki: Pki
) -> None:  # fmt: skip
    async with place(tmp_path, pki, feed=False, period_s=0.3, agents=()) as tunnel:
        await tunnel.feed(1024)
        tunnel.start_agent("server")
        tunnel.start_agent("client")
        await until(lambda: any(each.held for each in tunnel.noted(Starved)), 20.0)
        switches = list(tunnel.channels["client"].switches)
        await tunnel.channels["server"].restart_gateway()
        await until(lambda: any(each.reason == "failed" for each in tunnel.noted(SessionEnded)))
        await asyncio.sleep(1.0)
        assert tunnel.agents["client"].machine.key_id is None
        assert await tunnel.channels["client"].in_use() is None
        assert tunnel.channels["client"].switches == switches
        await tunnel.feed()
        await tunnel.refreshed(1)
        await tunnel.same_key()


async def test_a_gateway_that_does_not_answer_for_a_while_loses_nothing(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki, period_s=30.0) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        tunnel.channels["client"].fails.add("in_use")
        await asyncio.sleep(1.3)
        tunnel.channels["client"].fails.clear()
        await asyncio.sleep(1.1)

        assert not tunnel.noted(SessionEnded)


@pytest.mark.parametrize(("side", "what"), [("client", "load"), ("client", "switch"), ("server", "load"),
                                            ("server", "verify")])  # fmt: skip
async def test_a_step_that_fails_destroys_the_new_key_at_both_ends_and_the_next_attempt_does(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch, side: Side, what: str
) -> None:
    monkeypatch.setattr(agent_lane, "VERIFY_S", 0.2)
    async with place(tmp_path, pki, period_s=0.5) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        held = tunnel.agents["client"].machine.key_id
        tunnel.channels[side].fails.add(what)
        if what == "verify":  # the client has switched then, and must be told that the server has not
            await until(lambda: any(each.reason == "failed" for each in tunnel.noted(SessionEnded)))
        else:
            await until(lambda: bool(tunnel.noted(Starved)))
            assert tunnel.agents["client"].machine.key_id == held
        tunnel.channels[side].fails.clear()
        await tunnel.refreshed(1)
        await tunnel.same_key()

        tunnel.check_keys(*tunnel.channels.values())
        await until(lambda: all(len(each._sealers) <= 2 for each in tunnel.channels.values()))
        server = tunnel.agents["server"].machine
        assert isinstance(server, Server)


async def test_a_peer_with_another_certificate_gets_no_key(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki, agents=()) as tunnel:
        tunnel.start_agent("server", pki.agent("bert"))
        tunnel.start_agent("client")
        await until(lambda: bool(tunnel.noted(Starved)))
        await asyncio.sleep(0.5)

        assert not tunnel.noted(Delivered)


async def test_a_session_is_renewed_with_its_key_where_its_length_is_configured(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki, period_s=30.0, session_s=0.3) as tunnel:
        await until(lambda: sum(each.renewed for each in tunnel.noted(SessionBegan)) >= 2)

        assert len({each.key_id for each in tunnel.noted(SessionBegan)}) == 1
        assert {each.reason for each in tunnel.noted(SessionEnded)} == {"renewed"}


async def test_after_finish_no_key_is_asked_for_and_stop_ends_the_session(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki, period_s=0.2) as tunnel:
        await tunnel.refreshed(2)
        for agent in tunnel.agents.values():
            agent.finish()
        await asyncio.sleep(0.2)
        asked = len(tunnel.noted(Delivered))
        await asyncio.sleep(0.5)
        assert len(tunnel.noted(Delivered)) == asked
        tunnel.agents["client"].stop()
        await tunnel.running["client"][0]

        assert tunnel.noted(SessionEnded)[-1].reason == "end of run"


async def test_agents_of_one_daemon_switch_one_at_a_time(tmp_path: Path, pki: Pki) -> None:
    async with place(tmp_path, pki, period_s=30.0, agents=["server"]) as tunnel:
        turn = asyncio.Lock()
        agent = tunnel.start_agent("client")
        agent._lane._turn = turn
        async with turn:
            await until(lambda: agent._lane._loaded != set())
            await asyncio.sleep(0.2)
            assert tunnel.channels["client"].switches == []
        await tunnel.refreshed(1)
