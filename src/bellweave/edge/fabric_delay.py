"""Delay and bandwidth of a data network, by what this kernel has; and what came of it, measured.

Kernels without netem get a switch in user space (:mod:`bellweave.edge.delay_link`). That costs a processor: it is only
started for delays that matter, :data:`LEAST_S` or more, or where it is asked for.
"""

import re
import sys
from pathlib import Path
from typing import Literal

import msgspec

from bellweave.edge import delay_link
from bellweave.edge.fabric import FABRIC, Fabric
from bellweave.edge.world import World
from bellweave.edge.world_errors import WorldError

LEAST_S = 0.001
BURST_S = 0.005
LEAST_BURST_BYTES = 32_000
"""Must hold one segment of 64 KiB before it is cut up, or nothing passes."""

MEASURED_PINGS = 9
MEASURE_S = 15.0

_TIME = re.compile(r"time=([\d.]+) ms")


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What a data network does to traffic.

    Attributes:
        asked_s: One way, as the scenario says.
        rtt_s: Round trip between two gateways as measured, median; None: there are no two.
        delay_by: What delays.
        asked_bits_per_s: Bandwidth of each gateway's line, as the scenario says; None: any.
        bandwidth_by: What limits it.
    """

    asked_s: float
    rtt_s: float | None
    delay_by: Literal["netem", "user-space switch", "nothing"]
    asked_bits_per_s: float | None
    bandwidth_by: Literal["netem", "tbf", "user-space switch", "nothing"]

    def __str__(self) -> str:
        measured = "not measured" if self.rtt_s is None else f"{1000.0 * self.rtt_s:.2f} ms round trip measured"
        words = f"data network: {1000.0 * self.asked_s:g} ms one way asked, {measured} ({self.delay_by})"
        if self.asked_bits_per_s is None:
            return words
        return f"{words}; {self.asked_bits_per_s / 1e6:g} Mbit/s a gateway ({self.bandwidth_by})"


async def apply(
    fabric: Fabric,
    world: World,
    latency_s: float,
    bits_per_s: float | None = None,
    *,
    insist: bool = False,
    log: Path | None = None,
) -> Applied:
    """Delay and limit what gateways send to each other, and measure what came of it.

    Args:
        fabric: The network, built.
        world: It is there.
        latency_s: One way.
        bits_per_s: Of each gateway's line; None: as much as the machine can.
        insist: Delay in user space also what is below :data:`LEAST_S`.
        log: For what the switch in user space says.

    Raises:
        WorldError: The gateways don't reach each other.
    """
    delay_by: Literal["netem", "user-space switch", "nothing"] = "nothing"
    bandwidth_by: Literal["netem", "tbf", "user-space switch", "nothing"] = "nothing"
    rate = [] if bits_per_s is None else ["rate", f"{bits_per_s:.0f}bit"]
    if latency_s and await _qdisc(fabric, world, ["netem", "delay", f"{1e6 * latency_s:.0f}us", *rate]):
        delay_by = "netem"
        bandwidth_by = "netem" if rate else "nothing"
    else:
        if bits_per_s is not None:
            burst_bytes = round(max(LEAST_BURST_BYTES, bits_per_s * BURST_S / 8.0))
            tbf = ["tbf", *rate, "burst", str(burst_bytes), "latency", "50ms"]
            bandwidth_by = "tbf" if await _qdisc(fabric, world, tbf) else "user-space switch"
        in_user_space = bandwidth_by == "user-space switch"
        if latency_s >= LEAST_S or in_user_space or (insist and latency_s):
            delay_by = "user-space switch"
            await _user_space(fabric, world, latency_s, bits_per_s if in_user_space and bits_per_s else 0.0, log)
    return Applied(
        asked_s=latency_s, rtt_s=await _measured(fabric, world), delay_by=delay_by, asked_bits_per_s=bits_per_s,
        bandwidth_by=bandwidth_by,
    )  # fmt: skip


async def _qdisc(fabric: Fabric, world: World, words: list[str]) -> bool:
    """Set how every gateway's line is queued; False: this kernel can't."""
    for name in fabric.gateways:
        try:
            await world.run(["tc", "qdisc", "replace", "dev", "eth0", "root", *words], namespace=name)
            shown = await world.run(["tc", "qdisc", "show", "dev", "eth0"], namespace=name)
        except WorldError:
            return False
        if f"qdisc {words[0]} " not in shown:
            return False
    return True


async def _user_space(fabric: Fabric, world: World, latency_s: float, bits_per_s: float, log: Path | None) -> None:
    ports = fabric.ports()
    await world.ip(FABRIC, *(f"link set {port} nomaster" for port in ports))
    program = [sys.executable, "-I", "-S", delay_link.__file__, repr(latency_s), repr(bits_per_s), *ports]
    await world.spawn(FABRIC, program, log=log)


async def _measured(fabric: Fabric, world: World) -> float | None:
    """Return the median round trip between the first gateway and the last."""
    names = list(fabric.gateways)
    if len(names) < 2:
        return None
    _, outer = fabric.gateways[names[-1]]
    arrived = ["ping", "-c", "1", "-W", "1", outer]
    await world.run(
        ["sh", "-c", f"until {' '.join(arrived)} >/dev/null; do sleep 0.05; done"], namespace=names[0],
        timeout_s=MEASURE_S,
    )  # fmt: skip
    command = ["ping", "-c", str(MEASURED_PINGS), "-i", "0.02", "-W", "2", outer]
    times_s = sorted(
        float(each) / 1000.0 for each in _TIME.findall(await world.run(command, namespace=names[0], check=False))
    )
    return times_s[len(times_s) // 2] if times_s else None
