import asyncio
import itertools
import secrets
import time
import uuid
from pathlib import Path

import pytest

from bellweave.edge.fabric import planned
from bellweave.errors import ScenarioError
from bellweave.testing.strongswan import Lab, captured, lab

NODES = ("alice", "bob", "charlie", "diana")
TUNNELS = {
    f"{a}-{b}-{n}": (a, b) for a, b in itertools.combinations(NODES, 2) for n in (1, 2)
}  # as the data-centre paper: two for each of six pairs
MARKER = b"bellweave clear"


async def all_up(lab_: Lab) -> None:
    for tunnel in TUNNELS:
        await lab_.refresh(tunnel, str(uuid.uuid4()), secrets.token_bytes(32))


def test_on_a_bridge_each_end_is_a_host_with_addresses_of_its_own() -> None:
    fabric = planned(TUNNELS, "bridge")
    places = fabric.places.values()

    assert len(fabric.gateways) == 24
    assert len({place.outer for place in places}) == len({place.inner for place in places}) == 24
    assert all(place.host == place.gateway and place.selector == f"{place.inner}/32" for place in places)
    assert fabric.places["alice-bob-1", "client"].outer == "10.9.1.1"
    assert fabric.places["alice-bob-2", "client"].outer == "10.9.1.2"
    assert fabric.places["bob-charlie-1", "client"].outer == "10.9.2.3"


def test_with_racks_each_node_has_one_gateway_and_each_end_a_host_behind_it() -> None:
    fabric = planned(TUNNELS, "rack")
    places = fabric.places.values()

    assert [node for node, _ in fabric.gateways.values()] == list(NODES)
    assert len({place.host for place in places}) == len({place.selector for place in places}) == 24
    assert len(fabric.ends_at("g1")) == 6


def test_more_ends_than_addresses_are_refused() -> None:
    with pytest.raises(ScenarioError, match=r"node\.a: at most 250 tunnel ends"):
        planned({str(n): ("a", str(n % 100)) for n in range(251)}, "bridge")
    with pytest.raises(ScenarioError, match="at most 250 tunnels in racks"):
        planned({str(n): ("a", "b") for n in range(251)}, "rack")


@pytest.mark.emu
async def test_24_hosts_on_a_bridge_are_up_with_12_tunnels_in_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    async with lab(tmp_path, TUNNELS) as lab_:
        built_s = time.monotonic() - began
        async with captured(lab_.network, tmp_path, MARKER) as seen:
            began = time.monotonic()
            await all_up(lab_)
            up_s = time.monotonic() - began
            came_back = await asyncio.gather(*(lab_.ping(tunnel) for tunnel in TUNNELS))
            await asyncio.sleep(0.2)
            counts = seen()

    assert came_back == [3] * 12
    assert set(counts) <= {"arp", "ike", "esp-in-udp", "marked", "examples"}
    assert counts["marked"] == 0
    assert built_s < 60.0  # two or three, and less than one, where nothing else runs: bench/emulation.py measures it
    assert up_s < 30.0


@pytest.mark.emu
async def test_racks_talk_through_their_gateways_and_in_clear_only_inside(tmp_path: Path) -> None:
    async with lab(tmp_path, TUNNELS, layout="rack") as lab_, captured(lab_.network, tmp_path, MARKER) as seen:
        world, places = lab_.network.world, lab_.network.fabric.places
        here, there = places["alice-bob-1", "client"], places["alice-bob-1", "server"]
        neighbour = places["alice-diana-2", "client"]

        async def reaches(to: str) -> bool:
            command = ["ping", "-q", "-c", "2", "-i", "0.05", "-W", "1", "-p", MARKER.hex(), to]
            return " 2 received" in await world.run(command, namespace=here.host, check=False)

        assert not await reaches(there.inner)  # no tunnel yet: the guard
        assert await reaches(neighbour.inner)  # the same rack
        await all_up(lab_)
        assert await reaches(there.inner)
        assert await reaches(neighbour.inner)
        assert not await reaches(there.outer)
        assert not await reaches(places["bob-charlie-1", "client"].inner)  # another site, and no tunnel goes there
        came_back = await asyncio.gather(*(lab_.ping(tunnel) for tunnel in TUNNELS))
        await lab_.channel("alice-bob-1", "client").take_down()
        assert not await reaches(there.inner)
        assert await lab_.ping("alice-bob-2") == 3  # the other tunnel between the same gateways
        await asyncio.sleep(0.2)
        counts = seen()

    assert came_back == [3] * 12
    assert set(counts) <= {"arp", "ike", "esp-in-udp", "marked", "examples"}
    assert counts["marked"] == 0
