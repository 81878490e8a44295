"""Two agents with real KMEs, a real line and a real channel: what the tunnel does, whatever is killed meanwhile."""

import asyncio
import secrets
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from bellweave.edge.aead_channel import AeadChannel
from bellweave.edge.channel import ChannelError
from bellweave.edge.ports import free_ports
from bellweave.edge.probe import ProbePlan
from bellweave.emu import agent_lane
from bellweave.emu.agent import AWAY
from bellweave.results.network_records import Delivered, Probed, Refreshed, SessionBegan, SessionEnded, Starved
from bellweave.testing.certificates import Pki
from bellweave.testing.tunnel_agents import ENDS, Agents, tunnel_agents, until
from bellweave.tunnel.aead import Side

pytestmark = pytest.mark.emu

FAST = ProbePlan(rate_hz=100.0, timeout_s=1.0)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


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


class Ends(dict[Side, Recording]):
    """The channels of a test: the latest at each end, and all there were."""

    def __init__(self) -> None:
        self.all: list[Recording] = []
        self.ports = dict(zip(("client", "server"), free_ports(["127.0.0.1"] * 2), strict=True))

    def make(self, side: Side) -> Recording:
        other: Side = "server" if side == "client" else "client"
        self[side] = Recording(
            ENDS, side, local=("127.0.0.1", self.ports[side]), remote=("127.0.0.1", self.ports[other]), probe=FAST
        )  # fmt: skip
        self.all.append(self[side])
        return self[side]

    def check(self, tunnel: Agents) -> None:
        """No key was used twice, and both ends had the same under each id."""
        assert tunnel.used_twice() == []
        for one in self.all:
            for other in self.all:
                for key_id in one.keys.keys() & other.keys.keys():
                    assert secrets.compare_digest(one.keys[key_id], other.keys[key_id])
                    assert len(one.keys[key_id]) == 32


@pytest.fixture
def channels() -> Ends:
    return Ends()


@pytest.fixture
def place(tmp_path: Path, pki: Pki, channels: Ends) -> Any:
    def made(**options: Any) -> AbstractAsyncContextManager[Agents]:
        return tunnel_agents(tmp_path, pki, channels.make, **options)

    return made


async def test_twenty_refreshes_with_equal_keys_and_no_probe_lost(place: Any, channels: Ends) -> None:
    async with place() as tunnel:
        await tunnel.refreshed(21)
        await until(lambda: len(tunnel.noted(Probed)) >= 2)
        await tunnel.same_key()

        channels.check(tunnel)
        probed = tunnel.noted(Probed)
        assert sum(each.sent for each in probed) > 100
        assert sum(each.lost for each in probed) == 0
        began, ended = tunnel.noted(SessionBegan), tunnel.noted(SessionEnded)
        assert [each.key_id for each in ended] == [each.key_id for each in began][: len(ended)]
        assert {each.reason for each in ended} == {"replaced"}
        assert not tunnel.noted(Starved)
        for each in tunnel.noted(Refreshed):
            assert each.total_s == pytest.approx(each.enc_s + each.peer_s + each.switch_s)
            assert 0.0 < each.total_s < 5.0
        answers = tunnel.noted(Delivered)
        assert {(each.side, each.outcome, each.status, each.bits) for each in answers} == {
            ("client", "delivered", 200, 256), ("server", "taken", 200, 256),
        }  # fmt: skip
        assert {each.provable_bits for each in answers} == {256}
        for end in tunnel.agents.values():
            assert len(end._keys) == 0
            assert len(end._lane._loaded) <= 2
        for channel in channels.values():
            assert len(channel._sealers) <= 2


async def test_without_key_the_old_session_stays_and_refreshes_go_on_when_there_is_key(
    place: Any, channels: Ends
) -> None:  # fmt: skip
    async with place(feed=False, period_s=0.1) as tunnel:
        await tunnel.feed(512)
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
        channels.check(tunnel)


async def test_fail_closed_takes_the_tunnel_down_when_its_key_is_too_old_and_up_with_the_next(
    place: Any, channels: Ends
) -> None:  # fmt: skip
    policy: dict[str, Any] = {"starvation": "fail-closed", "max_key_age_s": 0.6, "period_s": 0.2}
    async with place(feed=False, **policy) as tunnel:
        await tunnel.feed(512)
        await until(lambda: any(each.reason == "expired" for each in tunnel.noted(SessionEnded)))
        await until(lambda: tunnel.agents["server"].machine.key_id is None)
        await until(lambda: not channels["client"]._sessions and not channels["server"]._sessions)
        assert not channels["client"]._sealers
        await tunnel.feed()
        await tunnel.refreshed(2)

        await tunnel.same_key()
        channels.check(tunnel)


async def test_a_gateway_that_will_not_take_the_tunnel_down_is_told_again(place: Any, channels: Ends) -> None:
    policy: dict[str, Any] = {"starvation": "fail-closed", "max_key_age_s": 0.5, "period_s": 30.0}
    async with place(**policy) as tunnel:
        await tunnel.refreshed(1)
        channels["client"].fails.add("take_down")
        await until(lambda: any(each.reason == "expired" for each in tunnel.noted(SessionEnded)))
        await asyncio.sleep(0.2)
        assert channels["client"]._sessions
        channels["client"].fails.clear()
        await until(lambda: not channels["client"]._sessions)


@pytest.mark.parametrize("side", ["server", "client"])
async def test_an_agent_that_is_killed_and_started_again_gets_the_tunnel_back_with_a_fresh_key(
    place: Any, channels: Ends, side: Side
) -> None:
    async with place(period_s=30.0) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        first = tunnel.agents["client"].machine.key_id
        await tunnel.kill_agent(side)
        await asyncio.sleep(0.3)
        began_s = tunnel.now()
        tunnel.start_agent(side)
        await tunnel.refreshed(1)
        await tunnel.same_key()

        assert tunnel.now() - began_s < 10.0
        assert tunnel.agents["client"].machine.key_id != first
        channels.check(tunnel)
        assert [each.reason for each in tunnel.noted(SessionEnded)] == (
            ["failed"] if side == "server" else ["end of run"]
        )  # fmt: skip


async def test_no_key_is_drawn_while_the_peer_is_away(place: Any, channels: Ends) -> None:
    async with place(agents=["client"]) as tunnel:
        await until(lambda: bool(tunnel.noted(Starved)))
        await asyncio.sleep(1.0)
        assert not tunnel.noted(Delivered)
        assert [each.reason for each in tunnel.noted(Starved)] == [AWAY]
        tunnel.start_agent("server")
        await tunnel.refreshed(2)
        await tunnel.same_key()


@pytest.mark.parametrize("kme", ["kme-a", "kme-b"])
async def test_a_kme_that_is_restarted_delays_the_next_key_and_no_more(place: Any, channels: Ends, kme: str) -> None:
    async with place(period_s=0.4) as tunnel:
        await tunnel.refreshed(2)
        await tunnel.nodes.pop(kme).stop(0.1)
        await until(lambda: bool(tunnel.noted(Starved)))
        held = tunnel.agents["client"].machine.key_id
        await asyncio.sleep(0.5)
        assert tunnel.agents["client"].machine.key_id == held is not None
        await tunnel.start_kme(kme)
        await tunnel.refreshed(2)
        await tunnel.same_key()

        channels.check(tunnel)
        assert {each.reason for each in tunnel.noted(SessionEnded)} == {"replaced"}
        assert sum(each.lost for each in tunnel.noted(Probed)) == 0


@pytest.mark.parametrize("side", ["server", "client"])
async def test_a_gateway_that_is_restarted_gets_a_fresh_key_and_never_the_old_one(
    place: Any, channels: Ends, side: Side
) -> None:
    async with place(period_s=30.0) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        first = tunnel.agents["client"].machine.key_id
        began_s = tunnel.now()
        await channels[side].restart_gateway()
        await tunnel.refreshed(1)
        await tunnel.same_key()

        assert tunnel.now() - began_s < 10.0
        assert first not in channels["client"].switches[1:]
        assert [each.reason for each in tunnel.noted(SessionEnded)] == ["failed"]
        channels.check(tunnel)


async def test_a_lost_session_without_key_stays_down_until_there_is_key_though_the_policy_is_keep_old(
    place: Any, channels: Ends
) -> None:  # fmt: skip
    async with place(feed=False, period_s=0.15, agents=()) as tunnel:
        await tunnel.feed(512)
        tunnel.start_agent("server")
        tunnel.start_agent("client")
        await until(lambda: any(each.held for each in tunnel.noted(Starved)))
        switches = list(channels["client"].switches)
        await channels["server"].restart_gateway()
        await until(lambda: any(each.reason == "failed" for each in tunnel.noted(SessionEnded)))
        await asyncio.sleep(1.0)
        assert tunnel.agents["client"].machine.key_id is None
        assert await channels["client"].in_use() is None
        assert channels["client"].switches == switches
        await tunnel.feed()
        await tunnel.refreshed(1)
        await tunnel.same_key()


async def test_a_gateway_that_does_not_answer_for_a_while_loses_nothing(place: Any, channels: Ends) -> None:
    async with place(period_s=30.0) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        channels["client"].fails.add("in_use")
        await asyncio.sleep(1.3)
        channels["client"].fails.clear()
        await asyncio.sleep(1.1)

        assert not tunnel.noted(SessionEnded)


@pytest.mark.parametrize(("side", "what"), [("client", "load"), ("client", "switch"), ("server", "load"),
                                            ("server", "verify")])  # fmt: skip
async def test_a_step_that_fails_destroys_the_new_key_at_both_ends_and_the_next_attempt_does(
    place: Any, channels: Ends, monkeypatch: pytest.MonkeyPatch, side: Side, what: str
) -> None:
    monkeypatch.setattr(agent_lane, "VERIFY_S", 0.2)
    async with place(period_s=0.5) as tunnel:
        await tunnel.refreshed(1)
        await tunnel.same_key()
        held = tunnel.agents["client"].machine.key_id
        channels[side].fails.add(what)
        if what == "verify":  # the client has switched then, and must be told that the server has not
            await until(lambda: any(each.reason == "failed" for each in tunnel.noted(SessionEnded)))
        else:
            await until(lambda: bool(tunnel.noted(Starved)))
            assert tunnel.agents["client"].machine.key_id == held
        channels[side].fails.clear()
        await tunnel.refreshed(1)
        await tunnel.same_key()

        channels.check(tunnel)
        await until(lambda: all(len(each._sealers) <= 2 for each in channels.values()))


async def test_a_peer_with_another_certificate_gets_no_key(place: Any, pki: Pki) -> None:
    async with place(agents=()) as tunnel:
        tunnel.start_agent("server", pki.agent("bert"))
        tunnel.start_agent("client")
        await until(lambda: bool(tunnel.noted(Starved)))
        await asyncio.sleep(0.5)

        assert not tunnel.noted(Delivered)


async def test_a_session_is_renewed_with_its_key_where_its_length_is_configured(place: Any, channels: Ends) -> None:
    async with place(period_s=30.0, session_s=0.3) as tunnel:
        await until(lambda: sum(each.renewed for each in tunnel.noted(SessionBegan)) >= 2)

        assert len({each.key_id for each in tunnel.noted(SessionBegan)}) == 1
        assert {each.reason for each in tunnel.noted(SessionEnded)} == {"renewed"}


async def test_after_finish_no_key_is_asked_for_and_stop_ends_the_session(place: Any, channels: Ends) -> None:
    async with place(period_s=0.2) as tunnel:
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


async def test_agents_of_one_daemon_switch_one_at_a_time(place: Any, channels: Ends) -> None:
    async with place(period_s=30.0, agents=["server"]) as tunnel:
        turn = asyncio.Lock()
        agent = tunnel.start_agent("client")
        agent._lane._turn = turn
        async with turn:
            await until(lambda: agent._lane._loaded != set())
            await asyncio.sleep(0.2)
            assert channels["client"].switches == []
        await tunnel.refreshed(1)


async def test_an_offset_moves_the_refreshes_and_not_the_first_key(place: Any) -> None:
    async with place(period_s=2.0, agents=()) as tunnel:
        tunnel.offset_s = 1.2
        tunnel.began_s = tunnel.loop.time()
        tunnel.start_agent("server")
        tunnel.start_agent("client")
        await tunnel.refreshed(3)

        first, *later = [event.at_s - event.total_s for event in tunnel.noted(Refreshed)]
        assert first < 1.19
        assert all(1.19 <= at_s % 2.0 < 1.99 for at_s in later)


async def test_the_bytes_of_a_key_are_wiped_when_it_is_loaded_and_when_it_is_given_up(place: Any) -> None:
    async with place(period_s=30.0, agents=["server"]) as tunnel:
        held: list[bytearray] = []

        class Watched(dict[str, bytearray]):
            def __setitem__(self, key_id: str, key: bytearray) -> None:
                assert any(key)
                held.append(key)
                super().__setitem__(key_id, key)

        client = tunnel.start_agent("client")
        for agent in tunnel.agents.values():
            agent._keys._held = Watched()
        await tunnel.refreshed(1)
        assert len(held) == 2
        assert not any(map(any, held))

        await client._keys.draw()
        assert any(held[2])
        client.stop()
        await tunnel.running["client"][0]
        assert not any(held[2])
        assert len(held[2]) == 32
