import asyncio
import signal
from pathlib import Path

import pytest

from bellweave.edge import charon as charon_module
from bellweave.edge.charon import Charon
from bellweave.edge.vici_client import ViciClient, ViciError
from bellweave.edge.world import World
from bellweave.edge.world_errors import WorldError
from bellweave.testing.strongswan import require_strongswan

pytestmark = pytest.mark.emu

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def needs() -> None:
    require_strongswan()


async def in_a_world(world: World, folder: Path) -> Charon:
    await world.ip("", "netns add h", "link add name eth0 type veth peer name eth1")
    charon = Charon(world, "h", folder, name="t1.client")
    await charon.start()
    return charon


async def test_a_daemon_starts_stops_and_starts_again(tmp_path: Path) -> None:
    async with World() as world:
        charon = await in_a_world(world, tmp_path)
        assert charon.running
        assert await charon.answers()
        await charon.stop()
        assert not await charon.answers()
        assert "SIGTERM" in charon.last_words()
        await charon.restart()
        assert await charon.answers()
        assert charon.starts == 2


async def test_a_folder_whose_path_is_longer_than_socket_addresses_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with World() as world:
        charon = await in_a_world(world, folder)

        assert len(str(charon.vici)) > 108
        assert await charon.answers()


async def test_a_folder_that_a_world_cannot_see_is_refused(tmp_path: Path) -> None:
    async with World() as world:
        with pytest.raises(WorldError, match="inside a world /run is another one"):
            await Charon(world, "", Path("/run/bellweave")).start()


async def test_a_daemon_that_does_not_start_says_why(tmp_path: Path) -> None:
    async with World() as world:
        broken = Charon(world, "h", tmp_path, name="t1.client", daemon="/bin/false")
        await world.ip("", "netns add h")
        with pytest.raises(WorldError, match=r"t1\.client ended: it said nothing"):
            await broken.start()


async def test_a_plugin_that_was_left_out_is_noticed(tmp_path: Path) -> None:
    async with World() as world:
        await world.run(["mount", "--bind", "/dev/null", "/dev/net/tun"])  # only inside
        await world.ip("", "netns add h")
        with pytest.raises(WorldError, match="did not load kernel-libipsec; is /dev/net/tun readable and writable"):
            await Charon(world, "h", tmp_path).start()


@pytest.mark.parametrize("how", ["crash", "hang"])
async def test_the_watch_starts_a_daemon_again_that_ended_or_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(charon_module, "WATCH_S", 0.2)
    monkeypatch.setattr(charon_module, "ANSWER_S", 0.5 if how == "hang" else 30.0)
    noted: list[str] = []
    async with World() as world:
        charon = await in_a_world(world, tmp_path)
        watching = asyncio.ensure_future(charon.watch(lambda state, _: noted.append(state)))
        assert charon._spawned is not None
        await world.kill(charon._spawned, signal.SIGKILL if how == "crash" else signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE_S):
            while charon.starts < 2:  # noqa: ASYNC110 the watch has no event
                await asyncio.sleep(0.02)
            monkeypatch.setattr(charon_module, "ANSWER_S", 30.0)  # a slow machine is no second hang
            while noted[-1:] != ["ready"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await charon.answers()
        watching.cancel()

    assert noted == ["ended", "ready"]


async def test_the_watch_leaves_a_daemon_down_while_a_fault_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charon_module, "WATCH_S", 0.1)
    held = True
    async with World() as world:
        charon = await in_a_world(world, tmp_path)
        watching = asyncio.ensure_future(charon.watch(lambda *_: None, lambda: held))
        await charon.kill()
        await asyncio.sleep(0.5)
        assert charon.starts == 1
        held = False
        async with asyncio.timeout(PATIENCE_S):
            while charon.starts < 2:  # noqa: ASYNC110 the watch has no event
                await asyncio.sleep(0.02)
        watching.cancel()


async def test_calls_find_a_restarted_daemon_and_those_under_way_fail(tmp_path: Path) -> None:
    async with World() as world:
        charon = await in_a_world(world, tmp_path)
        client = ViciClient(str(charon.vici))
        assert (await client.call("version"))["daemon"] == b"charon-systemd"
        with pytest.raises(ViciError, match="not found") as refused:
            await client.call("unload-conn", {"name": "none"})
        assert refused.value.refused
        await charon.restart()
        assert (await client.call("version"))["daemon"] == b"charon-systemd"
        await charon.kill()
        with pytest.raises(ViciError, match="does not answer") as silent:
            await client.call("version")
        assert not silent.value.refused
        client.close()
        with pytest.raises(ViciError, match="was closed"):
            await client.call("version")


async def test_a_call_without_an_answer_is_given_up(tmp_path: Path) -> None:
    async with World() as world:
        charon = await in_a_world(world, tmp_path)
        client = ViciClient(str(charon.vici))
        await client.call("version")
        assert charon._spawned is not None
        await world.kill(charon._spawned, signal.SIGSTOP)
        with pytest.raises(ViciError, match=r"no answer within 0\.2 s"):
            await client.call("version", timeout_s=0.2)
        await world.kill(charon._spawned, signal.SIGCONT)
        assert (await client.call("version"))["daemon"] == b"charon-systemd"
        client.close()
