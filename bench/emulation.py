"""An emulated network measured: how fast tunnels come up and refresh, what is lost meanwhile, what it needs.

The network is `datacenter-modern`: 4 nodes, 24 hosts, 12 tunnels, 256-bit keys. Key is made in its first seconds, then
the source is idle, so that what is measured is key servers, agents and tunnels. It is run four times for each channel:

* idle: all tunnels begin at the same time and have no refresh. Time from the first key that a client gets until the
  twelfth session; then memory and processor time of all processes, with the usual probes (20/s a tunnel, 240 packets/s
  there and back), and in another run with one probe a second in each tunnel, which is as idle as a tunnel gets.
* in turn: tunnels refresh one after another, 60 rounds: time of a refresh with both calls of ETSI 014, probes lost.
* together, under load: all tunnels refresh at the same time, 60 rounds, while a busy loop runs for each core: the time
  of a round, from its first request to its last new session, before the load; probes lost in a refresh, under it.

Rows are `ipsec` (24 gateways on a bridge), `rack` (a gateway for each node, hosts behind it) and `aead`. Machines that
others use too distort times: the load average is a row, too.

    python bench/emulation.py           a table
    python bench/emulation.py --json    one object {measure: {value, unit, target}}
    python bench/emulation.py --quick   ten rounds instead of 60
    python bench/emulation.py --only ipsec
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import msgspec
from emulation_network import RunningNetwork, cpu_s, load, pss_bytes

from bellweave.edge.probe import PROBE_HZ
from bellweave.results.network_records import Delivered, Event, Probed, Refreshed, SessionBegan
from bellweave.scenario.load import load as load_scenario
from bellweave.scenario.schema import Scenario

ROWS = {"ipsec": ("ipsec", "bridge"), "rack": ("ipsec", "rack"), "aead": ("aead", "bridge")}
ROUNDS, QUICK_ROUNDS = 60, 10
FILLS = 3
"""Blocks that each link gets before its tunnels begin: some 300 keys."""

SPEED = 4.0
START_S = 12.0
IN_TURN_S = 1.8
TOGETHER_S = 2.5
"""Period of tunnels that refresh in turn, or together."""

IDLE_S = 20.0
QUIET_HZ = 1.0
SETTLE_S = 4.0
PATIENCE_S = 90.0
NEVER_S = 3600.0
MIB = 2.0**20

Results = dict[str, dict[str, float | str | None]]


def network(period_s: float, *, in_turn: bool) -> Scenario:
    """Return the network whose source makes key first and is idle then."""
    scenario = load_scenario("datacenter-modern")
    if scenario.schedule is None:
        raise AssertionError("the preset has a schedule")
    replace = msgspec.structs.replace
    served = tuple((link,) for _ in range(FILLS) for link in scenario.link)
    slots = int(NEVER_S * SPEED / scenario.schedule.slot_s)
    schedule = replace(
        scenario.schedule, scheduler="table", table=served + ((),) * (slots - len(served)), slots=slots, speed=SPEED
    )
    tunnels = {
        name: replace(
            tunnel,
            period_s=period_s,
            start_s=START_S + (place * period_s / len(scenario.tunnel) if in_turn else 0.0),
            retry_s=1.0,
            max_key_age_s=None,
        )
        for place, (name, tunnel) in enumerate(scenario.tunnel.items())
    }
    return replace(scenario, name="measured", schedule=schedule, tunnel=tunnels)


class Measured:
    """A network that runs, and its events; ``async with Measured(...) as measured``."""

    def __init__(self, row: str, scenario: Scenario, folder: Path, *, probe_hz: float = PROBE_HZ) -> None:
        channel, layout = ROWS[row]
        self.events: list[Event] = []
        self.tunnels = len(scenario.tunnel)
        self.running = RunningNetwork(
            scenario, folder / "run", channel=channel, layout=layout, probe_hz=probe_hz, watch=self.events.append
        )

    async def sessions(self, number: int) -> None:
        """Wait for so many sessions since the run began."""
        async with asyncio.timeout(PATIENCE_S + number):
            while sum(isinstance(event, SessionBegan) for event in self.events) < number:
                if not self.running.running:
                    raise AssertionError(f"the network ended: {self.running.said[-3:]}")
                await asyncio.sleep(0.1)

    def refreshes(self, *, since: int = 0) -> list[Refreshed]:
        """Return the refreshes since a moment; those that make a tunnel's first session are none."""
        found = [event for event in self.events[since:] if isinstance(event, Refreshed)]
        return found[self.tunnels :] if since == 0 else found

    def lost(self, since: int = 0) -> tuple[int, int]:
        """Return probes sent and lost since a moment."""
        probed = [event for event in self.events[since:] if isinstance(event, Probed)]
        return sum(event.sent for event in probed), sum(event.lost for event in probed)


async def idle(row: str, folder: Path, _: int) -> Results:
    """Measure the start, and a network that has nothing to do."""
    measured = Measured(row, network(NEVER_S, in_turn=False), folder)
    async with measured.running as running:
        await measured.sessions(measured.tunnels)
        await asyncio.sleep(SETTLE_S)
        first_s = min(event.at_s for event in measured.events if isinstance(event, Delivered) and event.key_id)
        up_s = max(event.at_s for event in measured.events if isinstance(event, SessionBegan)) - first_s
        processes, busy = await _busy(running)
        pss = {pid: (pss_bytes(pid) or 0) / MIB for pid in processes}
    nodes = [name for name in processes.values() if name in load_scenario("datacenter-modern").node]
    share = sum(100.0 * busy[pid] for pid, name in processes.items() if name in nodes)
    probing = sum(100.0 * busy[pid] for pid, name in processes.items() if name.startswith(("probes", "charon")))
    return {
        f"{row}: 12 tunnels up after the first key": {"value": up_s, "unit": "s", "target": 3.0},
        f"{row}: memory, sum of PSS": {"value": sum(pss.values()), "unit": "MiB", "target": 1536.0},
        f"{row}: memory of a node": {
            "value": statistics.median(pss[pid] for pid, name in processes.items() if name in nodes),
            "unit": "MiB", "target": None,
        },
        f"{row}: processor, {PROBE_HZ:g} probes/s a tunnel": {
            "value": 100.0 * sum(busy.values()), "unit": "% of a core", "target": 15.0,
        },
        f"{row}: of that, the four nodes": {"value": share, "unit": "% of a core", "target": None},
        f"{row}: of that, probes and daemons": {"value": probing, "unit": "% of a core", "target": None},
    }  # fmt: skip


async def quiet(row: str, folder: Path, _: int) -> Results:
    """Measure a network that has nothing to do, and hardly any probes."""
    measured = Measured(row, network(NEVER_S, in_turn=False), folder, probe_hz=QUIET_HZ)
    async with measured.running as running:
        await measured.sessions(measured.tunnels)
        await asyncio.sleep(SETTLE_S)
        busy = (await _busy(running))[1]
    return {
        f"{row}: processor, {QUIET_HZ:g} probe/s a tunnel": {
            "value": 100.0 * sum(busy.values()), "unit": "% of a core", "target": 15.0,
        },
    }  # fmt: skip


async def _busy(running: RunningNetwork) -> tuple[dict[int, str], dict[int, float]]:
    """Return all processes by number, and the share of a core that each uses."""
    processes = running.processes()
    before = {pid: cpu_s(pid) for pid in processes}
    await asyncio.sleep(IDLE_S)
    return processes, {pid: (cpu_s(pid) - before[pid]) / IDLE_S for pid in processes}


async def in_turn(row: str, folder: Path, rounds: int) -> Results:
    """Measure tunnels that refresh one after another."""
    measured = Measured(row, network(IN_TURN_S, in_turn=True), folder)
    async with measured.running:
        await measured.sessions(measured.tunnels)
        place = len(measured.events)
        await measured.sessions((1 + rounds) * measured.tunnels)
        refreshes = measured.refreshes(since=place)
        _, lost = measured.lost(place)
    total_ms = sorted(1e3 * event.total_s for event in refreshes)
    parts = {
        "enc_keys": [1e3 * event.enc_s for event in refreshes],
        "the peer: dec_keys, loaded": [1e3 * event.peer_s for event in refreshes],
        "the switch": [1e3 * event.switch_s for event in refreshes],
    }
    return {
        f"{row}: a refresh, p50": {"value": statistics.median(total_ms), "unit": "ms", "target": 30.0},
        f"{row}: a refresh, p99": {"value": total_ms[int(0.99 * len(total_ms))], "unit": "ms", "target": 150.0},
        **{
            f"{row}: of that, {part}": {"value": statistics.median(each), "unit": "ms, p50", "target": None}
            for part, each in parts.items()
        },
        f"{row}: probes lost in {rounds} rounds, in turn": {"value": float(lost), "unit": "probes", "target": 0.0},
    }  # fmt: skip


async def together(row: str, folder: Path, rounds: int) -> Results:
    """Measure tunnels that refresh at the same time; from the middle on under load."""
    measured = Measured(row, network(TOGETHER_S, in_turn=False), folder)
    async with measured.running:
        await measured.sessions(measured.tunnels)
        place = len(measured.events)
        calm = max(3, rounds // 3)
        await measured.sessions((1 + calm) * measured.tunnels)
        took_s = _rounds(measured.refreshes(since=place))
        with busy_loops():
            place = len(measured.events)
            await measured.sessions((1 + calm + rounds) * measured.tunnels)
            refreshes = measured.refreshes(since=place)
            _, lost = measured.lost(place)
    return {
        f"{row}: a round of 12 at the same time": {"value": statistics.median(took_s), "unit": "s, p50", "target": 0.5},
        f"{row}: probes lost under load": {
            "value": 10.0 * lost / len(refreshes), "unit": "in 10 refreshes", "target": 1.0,
        },
    }  # fmt: skip


def _rounds(refreshes: list[Refreshed]) -> list[float]:
    """Return how long each round took, from its first request to its last session."""
    ordered = sorted(refreshes, key=lambda event: event.at_s)
    rounds: list[list[Refreshed]] = [[ordered[0]]]
    for before, event in itertools.pairwise(ordered):
        if event.at_s - before.at_s > TOGETHER_S / 2.0:
            rounds.append([])
        rounds[-1].append(event)
    return [max(e.at_s for e in each) - min(e.at_s - e.total_s for e in each) for each in rounds]


@contextlib.contextmanager
def busy_loops() -> Iterator[None]:
    """Keep every core busy meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


async def measures(rows: list[str], rounds: int) -> Results:
    """Return every measure."""
    found: Results = {}
    loads = [load()]
    for row in rows:
        for measure in (idle, quiet, in_turn, together):
            with tempfile.TemporaryDirectory(prefix="emulation-") as folder:
                measured = await measure(row, Path(folder), rounds)
            found |= measured
            loads.append(load())
            print(f"{measure.__name__}, load average {loads[-1]:.1f}", file=sys.stderr)
            show(measured, sys.stderr)
    found["load average of the machine"] = {"value": statistics.median(loads), "unit": "processes", "target": None}
    return found


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=sorted(ROWS), action="append")
    given = parser.parse_args()
    rows = asyncio.run(measures(given.only or list(ROWS), QUICK_ROUNDS if given.quick else ROUNDS))
    if given.json:
        print(json.dumps(rows))
        return
    show(rows, sys.stdout)


def show(rows: Results, where: TextIO) -> None:
    """Print a table."""
    for name, each in rows.items():
        target = "" if each["target"] is None else f"   (target {each['target']:g})"
        print(f"{name:52} {each['value']:10.4g} {each['unit']}{target}", file=where, flush=True)


if __name__ == "__main__":
    main()
