from pathlib import Path

import pytest

from bellweave.edge import fabric_delay
from bellweave.edge.fabric import Fabric, build, planned
from bellweave.edge.fabric_delay import apply
from bellweave.edge.world import World
from bellweave.testing.system import program

pytestmark = pytest.mark.emu

TUNNELS = {"t1": ("alice", "bob"), "t2": ("alice", "charlie")}

SINK = """
import socket
received = 0
with socket.create_server(('{outer}', 7000)) as server:
    print('up', flush=True)
    c, _ = server.accept()
    while data := c.recv(1 << 16):
        received += len(data)
    c.sendall(str(received).encode())
"""
SOURCE = """
import socket, time
c = socket.create_connection(('{outer}', 7000))
began = time.perf_counter()
c.sendall(bytes(1_000_000))
c.shutdown(socket.SHUT_WR)
assert c.recv(100) == b'1000000'
print(8e6 / (time.perf_counter() - began))
"""


@pytest.fixture(autouse=True)
def needs() -> None:
    for name, package in (("unshare", "util-linux"), ("ip", "iproute2"), ("tc", "iproute2"), ("ping", "iputils-ping")):
        program(name, package, ("/usr/sbin", "/sbin"))


async def bits_per_s(world: World, fabric: Fabric, folder: Path) -> float:
    """Return how fast TCP is between two gateways."""
    here, there = fabric.places["t1", "client"], fabric.places["t1", "server"]
    await world.spawn(there.gateway, ["python3", "-c", SINK.format(outer=there.outer)], log=folder / "sink")
    await world.run(["sh", "-c", f"until grep -q up '{folder}/sink'; do sleep 0.02; done"], timeout_s=60.0)
    return float(await world.run(["python3", "-c", SOURCE.format(outer=there.outer)], namespace=here.gateway))


@pytest.mark.parametrize("latency_s", [0.005, 0.025])
async def test_delay_is_what_was_asked_for_and_measured(tmp_path: Path, latency_s: float) -> None:
    fabric = planned(TUNNELS, "bridge")
    async with World() as world:
        await build(fabric, world)
        applied = await apply(fabric, world, latency_s, log=tmp_path / "log")
        fast = await bits_per_s(world, fabric, tmp_path)

    assert applied.delay_by != "nothing"
    assert applied.rtt_s is not None
    assert 2.0 * latency_s <= applied.rtt_s < 2.0 * latency_s + 0.03
    assert fast > 2e6  # TCP passes, whose sums veth leaves unfinished
    assert f"{1000.0 * latency_s:g} ms one way asked" in str(applied)


async def test_a_delay_too_small_to_matter_is_left_out_and_said() -> None:
    fabric = planned(TUNNELS, "bridge")
    async with World() as world:
        await build(fabric, world)
        applied = await apply(fabric, world, 0.0005)

    assert applied.rtt_s is not None
    assert (applied.delay_by == "netem") == (applied.rtt_s >= 0.001)
    assert "measured" in str(applied)


@pytest.mark.parametrize(("latency_s", "lean"), [(0.0, False), (0.002, False), (0.0, True), (0.002, True)])
async def test_bandwidth_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latency_s: float, lean: bool
) -> None:
    async def none(*_: object) -> bool:
        return False

    if lean:  # a kernel without netem and tbf
        monkeypatch.setattr(fabric_delay, "_qdisc", none)
    fabric = planned(TUNNELS, "bridge")
    async with World() as world:
        await build(fabric, world)
        applied = await apply(fabric, world, latency_s, 10e6)
        slow = await bits_per_s(world, fabric, tmp_path)

    assert applied.bandwidth_by == "user-space switch" if lean else applied.bandwidth_by in {"netem", "tbf"}
    assert 3e6 < slow < 12.5e6
    assert "10 Mbit/s a gateway" in str(applied)
