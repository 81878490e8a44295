"""Probe streams between namespaces of a world, and the feed that tells what they met; no tunnel here."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bellweave.edge.probe import ProbePlan
from bellweave.edge.probe_feed import ProbeFeed, command
from bellweave.edge.world import Spawned, World
from bellweave.results.network_records import Probed
from bellweave.testing.strongswan import SBIN
from bellweave.testing.system import program

pytestmark = pytest.mark.emu

PLAN = ProbePlan(rate_hz=100.0, timeout_s=2.0)
QUICK = ProbePlan(rate_hz=100.0, timeout_s=0.3)
"""What did not come back is told soon."""

HANG_S = 60.0
TUNNELS = {f"t{number}": (("here", f"10.1.0.{number}"), ("there", f"10.2.0.{number}")) for number in range(1, 4)}


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Give a world with two hosts that reach each other."""
    program("unshare", "util-linux", SBIN)
    program("ip", "iproute2", SBIN)
    async with World() as made:
        await made.ip("", "netns add here", "netns add there",
                      "link add name eth0 netns here type veth peer name eth0 netns there")  # fmt: skip
        for name, mine, theirs in (("here", 1, 2), ("there", 2, 1)):
            await made.ip(
                name, "link set lo up", "link set eth0 up", f"addr add 10.9.0.{mine}/24 dev eth0",
                *(f"addr add 10.{mine}.0.{number}/32 dev lo" for number in range(1, 4)),
                f"route add 10.{theirs}.0.0/24 via 10.9.0.{theirs}",
            )  # fmt: skip
        yield made


async def started(made: World, path: Path, plan: ProbePlan = PLAN) -> Spawned:
    spawned = await made.spawn("", command(path, TUNNELS, plan), log=path.with_suffix(".log"))

    def ready() -> bool:
        assert spawned.running, path.with_suffix(".log").read_text()
        return path.exists()

    async with asyncio.timeout(HANG_S):
        while not ready():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.02)
    return spawned


async def told(feed: ProbeFeed, tunnel: str, enough: Callable[[Probed], bool] = lambda _: True) -> Probed:
    async with asyncio.timeout(HANG_S):
        while True:
            found = feed.take(tunnel)
            if found is not None and enough(found):
                return found
            await asyncio.sleep(0.05)


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """Give a folder whose name is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="bw-") as name:
        yield Path(name)


async def test_every_tunnel_has_its_stream_and_its_reader() -> None:
    async with folder() as place, world() as made:
        feeds = [ProbeFeed(place / "probes", ["t1", "t2"]), ProbeFeed(place / "probes", ["t3"])]
        for feed in feeds:
            feed.start()  # before there is anything to read
        await started(made, place / "probes")
        for tunnel, feed in (("t1", feeds[0]), ("t2", feeds[0]), ("t3", feeds[1])):
            await told(feed, tunnel)
            probed = await told(feed, tunnel)

            assert probed.tunnel == tunnel
            assert probed.sent > 30
            assert probed.lost == 0
            assert abs(probed.sent - probed.received) <= 10
            assert probed.rtt_s is not None
            assert probed.rtt_s < 0.5
            assert probed.longest_gap_s < 1.5
            assert probed.bits_per_s == pytest.approx(200 * 8 * 100, rel=0.5)
        assert feeds[1].take("t1") is None
        assert (place / "probes").stat().st_mode & 0o077 == 0
        for feed in feeds:
            await feed.close()


async def test_an_outage_is_told_whole_to_who_was_away_meanwhile() -> None:
    async with folder() as place, world() as made:
        await started(made, place / "probes", QUICK)
        first = ProbeFeed(place / "probes", TUNNELS)
        first.start()
        await told(first, "t1")
        await first.close()

        await made.ip("here", "link set eth0 down")
        await asyncio.sleep(1.0)
        await made.ip("here", "link set eth0 up", "route add 10.2.0.0/24 via 10.9.0.2")
        await asyncio.sleep(0.5)
        second = ProbeFeed(place / "probes", TUNNELS)
        second.start()
        probed = await told(second, "t1")

        assert probed.lost > 60
        assert probed.longest_gap_s > 0.9
        again = await told(second, "t1")
        assert again.lost <= 30
        assert again.received > 50
        await second.close()


async def test_a_feed_finds_streams_that_were_started_again() -> None:
    async with folder() as place, world() as made:
        spawned = await started(made, place / "probes")
        feed = ProbeFeed(place / "probes", TUNNELS)
        feed.start()
        await told(feed, "t2")
        await made.kill(spawned, 9)
        (place / "probes").unlink()
        await started(made, place / "probes")
        feed.take("t2")

        assert (await told(feed, "t2")).lost == 0
        await feed.close()


async def test_a_burst_is_throughput_and_no_loss() -> None:
    async with folder() as place, world() as made:
        await started(made, place / "probes", ProbePlan(rate_hz=20.0, burst=40, burst_every_s=0.5))
        feed = ProbeFeed(place / "probes", TUNNELS)
        feed.start()
        probed = await told(feed, "t3", lambda found: found.bits_per_s > 40 * 1200 * 8 / 2)

        assert probed.sent < 30
        await feed.close()
