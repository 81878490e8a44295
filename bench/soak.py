"""A soak: an emulated network for a long time at high speed, with random faults of every kind.

    python bench/soak.py                        30 minutes at speed 20, prints one JSON object
    python bench/soak.py --minutes 5 --seed 7   shorter

The network is the paper's (`datacenter`: 4 nodes, 24 hosts, 12 tunnels), photon pairs as coincidences, with keys of 128
bits under RFC 8784 every 10 s for each tunnel, spread over the period; two cores could not distil what today's devices
(`datacenter-modern`) give at this speed. Faults go through the control socket, one after another or together, of all
kinds in turn; from `--seed`. One node is never killed, and the daemons of one half of the tunnels are not: what leaks
slowly shows in those.

What must hold, or it is listed under `violations` and the exit code is 1:

* No leak: over the time after the warm-up no process that lived through it, or through most of it, grows by more than
  GROWTH_MIB, or has more than GROWTH_FILES more files open; a daemon has two IKE SAs and SECRETS secrets at most.
* No key twice: no key id in two sessions, no two ids with equal keys (compared by keyed fingerprints), and at both ends
  of a tunnel the same key.
* Every tunnel carries traffic with a session of its own 10 s after the last fault that touches it has ended, and at
  the end of the run.
* All books are closed and balanced, all processes are gone.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random  # noqa: TID251 which faults there are; no key comes from it
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from emulation_network import RunningNetwork, load, open_files, plain, private_bytes, pss_bytes
from emulation_run import PRINTS, SECRET
from soak_growth import Growth, by_kind, growth
from soak_recovery import Recovery
from soak_seen import Seen

from bellweave.emu.control import Wanted, ask
from bellweave.emu.messages import Fault
from bellweave.errors import ScenarioError
from bellweave.results.network_records import Event
from bellweave.scenario.load import load as load_scenario
from bellweave.scenario.schema import Scenario

PERIOD_S = 10.0
BEGIN_S = 120.0
"""How long all tunnels may take to come up at the start."""

WARM_UP_S = 60.0
"""After that: what grows in this time is caches that fill."""

QUIET_S = 25.0
"""At the end without faults."""

SAMPLE_S = 15.0
LONG_S = 300.0
"""A process that lived so long is judged."""

GROWTH_MIB = 16.0
GROWTH_FILES = 8
SAS = 2
SECRETS = 4
PAUSE_S = (4.0, 16.0)
"""Between the beginnings of two faults."""

LENGTHS_S = {
    "eavesdropper": (5.0, 20.0),
    "cut": (5.0, 20.0),
    "down": (1.0, 6.0),
    "partition": (3.0, 15.0),
    "store": (3.0, 12.0),
    "charon": (0.0, 0.0),
    "clock": (5.0, 20.0),
}
CLOCK_S = (-120.0, 120.0)
MIB = 2.0**20
SIDES = ("client", "server")


def network(speed: float, slots: int, seed: int) -> Scenario:
    """Return the paper's network as it is soaked."""
    scenario = load_scenario("datacenter")
    if scenario.schedule is None:
        raise AssertionError("the preset has a schedule")
    replace = msgspec.structs.replace
    return replace(
        scenario,
        name="soak",
        run=replace(scenario.run, level="coincidences", seed=seed),
        schedule=replace(scenario.schedule, slots=slots, speed=speed),
        kms=replace(scenario.kms, key_size_bits=128),
        tunnel={
            name: replace(
                tunnel,
                key_bits=128,
                period_s=PERIOD_S,
                start_s=PERIOD_S * (1.0 + place / len(scenario.tunnel)),
                retry_s=1.0,
                session_s=None,
                mode="ppk",
            )
            for place, (name, tunnel) in enumerate(scenario.tunnel.items())
        },
    )


class Soak:
    """One soak."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._length_s = 60.0 * options.minutes
        slots = int((self._length_s + 600.0) * options.speed / 10.5)
        self.scenario = network(options.speed, slots, options.seed)
        self.seen = Seen()
        self.recovery = Recovery(self.scenario)
        self.samples: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self._choose = random.Random(options.seed)
        self._prints = folder / "prints.jsonl"
        self._journal = folder / "samples.jsonl"
        self._up: dict[str, str] = {}
        env = {PRINTS: str(self._prints), SECRET: secrets.token_hex(32)}
        self.network = RunningNetwork(
            self.scenario, folder / "run", channel=options.channel, layout=options.layout, watch=self._watch, env=env
        )

    def _watch(self, event: Event) -> None:
        self.seen.note(event)
        self.recovery.note(event)

    async def run(self) -> None:
        """Do it, and judge it."""
        async with self.network:
            began_s = time.monotonic()
            while len(self.seen.up) < len(self.scenario.tunnel):
                if time.monotonic() - began_s > BEGIN_S or not self.network.running:
                    self.violations.append(f"only {len(self.seen.up)} tunnels came up at all")
                    break
                await asyncio.sleep(0.5)
            self._say(f"{len(self.seen.up)} tunnels are up")
            sampling = asyncio.create_task(self._sample())
            end_s = time.monotonic() + self._length_s
            await asyncio.sleep(min(WARM_UP_S, self._length_s / 5.0))
            while time.monotonic() < end_s - QUIET_S and self.network.running:
                for kind in self._choose.sample(sorted(LENGTHS_S), len(LENGTHS_S)):
                    if time.monotonic() < end_s - QUIET_S and self.network.running:
                        await self._fault(kind, end_s - QUIET_S - time.monotonic())
                        await asyncio.sleep(self._choose.uniform(*PAUSE_S))
            await self.network.ended(end_s - time.monotonic())
            if not self.network.running:
                self.violations.append("the supervisor ended by itself")
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            await self._look()
            self._up = dict(self.seen.up)
            alive = self.network.processes()
        await asyncio.sleep(1.0)
        left = [f"{name} ({pid})" for pid, name in alive.items() if _lives(pid, self.network.process.pid)]
        self._judge(left)

    # ----------------------------------------------------------------------------------------------------- what is done

    async def _fault(self, kind: str, most_s: float) -> None:
        """Let something go wrong, chosen at random."""
        choose, scenario = self._choose, self.scenario
        nodes, tunnels = list(scenario.node), list(scenario.tunnel)
        value = 1.0
        match kind:
            case "eavesdropper" | "cut":
                target = choose.choice(list(scenario.link))
            case "partition":
                target = ",".join(choose.sample(nodes, 2))
            case "charon" if self._options.channel == "ipsec":
                target = f"{choose.choice(tunnels[::2])}.{choose.choice(['client', 'server'])}"
            case "charon":
                return
            case "down":
                target = choose.choice(nodes[1:])
            case _:
                target = choose.choice(nodes)
                value = choose.uniform(*CLOCK_S)
        for_s = min(choose.uniform(*LENGTHS_S[kind]), max(0.5, most_s))
        fault = Fault(kind=kind, target=target, value=value)
        try:
            await ask(self.network.out, Wanted(fault=fault, for_s=None if kind == "charon" else for_s))
        except ScenarioError as error:
            self.violations.append(f"{kind} {target}: {error}")

    async def _sample(self) -> None:
        for number in itertools.count():
            began_s = time.monotonic()
            await self._look()
            if number % 4 == 0:
                self._say(
                    f"{self.seen.last_s:.0f} s: {len(self.seen.up)} tunnels up, {len(self.seen.refresh_s)} refreshes, "
                    f"{sum(self.seen.faults.values())} faults, load {load():.1f}"
                )
            await asyncio.sleep(max(0.0, SAMPLE_S - (time.monotonic() - began_s)))

    async def _look(self) -> None:
        """Look at all processes and daemons."""
        found: dict[str, Any] = {"at_s": time.monotonic(), "load": load(), "processes": {}}
        for pid, name in self.network.processes().items():
            pss, private, files = pss_bytes(pid), private_bytes(pid), open_files(pid)
            if pss is not None and private is not None and files is not None:
                found["processes"][f"{name} {pid}"] = pss / MIB, private / MIB, files
        found["daemons"] = await self.network.daemons()
        self.samples.append(found)
        with self._journal.open("a") as file:
            file.write(json.dumps(found) + "\n")

    @staticmethod
    def _say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    # -------------------------------------------------------------------------------------------------- what came of it

    def _judge(self, left: list[str]) -> None:
        wrong, seen = self.violations, self.seen
        if left:
            wrong.append(f"still there afterwards: {', '.join(left)}")
        if self.network.code:
            wrong.append(f"exit code {self.network.code}: {self.network.said[-1:]}")
        wrong += [f"{name}: {why}" for name, why in self._leaks()]
        wrong += [f"key id {key_id} in {times} sessions" for key_id, times in seen.sessions.items() if times > 1]
        wrong += self._doubles()
        wrong += self.recovery.violations()
        wrong += [f"{tunnel} was not up at the end" for tunnel in self.scenario.tunnel if tunnel not in self._up]
        if len(seen.ledgers) != 2 * len(self.scenario.link):
            wrong.append(f"{len(seen.ledgers)} books closed, {2 * len(self.scenario.link)} expected")
        for closed in seen.ledgers:
            spent = sum(bits for name, bits in closed.accounts.items() if name != "ingested")
            if spent != closed.accounts.get("ingested", 0):
                wrong.append(f"the books of {closed.kme} for {closed.link} do not balance: {closed.accounts}")
        if self._options.minutes >= 3.0:
            kinds = [kind for kind in LENGTHS_S if kind != "charon" or self._options.channel == "ipsec"]
            wrong += [f"no fault of kind {kind} happened" for kind in kinds if not seen.faults[kind]]

    def growth(self) -> dict[str, Growth]:
        """Return how processes grew that lived long enough to be judged."""
        warm_up_s = min(WARM_UP_S, self._length_s / 5.0)
        return growth(self.samples, warm_up_s, min(LONG_S, self._length_s / 3.0))

    def _leaks(self) -> list[tuple[str, str]]:
        found = []
        for name, grown in self.growth().items():
            if grown.growth_mib > GROWTH_MIB:
                found.append((name, f"grew by {grown.growth_mib:.1f} MiB in {grown.lived_s:.0f} s"))
            if grown.growth_files > GROWTH_FILES:
                found.append((name, f"has {grown.growth_files:.0f} more files open"))
        each = 1 if self._options.layout == "bridge" else len(self.scenario.tunnel) // 2
        for sample in self.samples:
            for name, (sas, loaded) in sample["daemons"].items():
                if sas > SAS * each:
                    found.append((name, f"had {sas} IKE SAs"))
                if loaded > SECRETS * each:
                    found.append((name, f"had {loaded} secrets loaded"))
        return found

    def _keys(self) -> list[dict[str, str]]:
        if not self._prints.exists():
            return []
        return [json.loads(line) for line in self._prints.read_text().splitlines()]

    def _doubles(self) -> list[str]:
        """Return which keys were given twice, or differ at the ends of a tunnel."""
        ids: dict[str, str] = {}  # print to id
        known: dict[str, str] = {}  # id to print
        given: Counter[tuple[str, str]] = Counter()
        wrong = []
        for each in self._keys():
            key_id, found = each["key_id"], each["print"]
            given[key_id, each["side"]] += 1
            if ids.setdefault(found, key_id) != key_id:
                wrong.append(f"{key_id} is the same key as {ids[found]}")
            if known.setdefault(key_id, found) != found:
                wrong.append(f"{key_id} differs at the two ends of {each['tunnel']}")
        for (key_id, side), times in given.items():
            if times > 1:
                wrong.append(f"{key_id} was given {times} times at the {side}")
        return wrong

    def result(self) -> dict[str, Any]:
        """Return what is printed."""
        seen = self.seen
        refresh = sorted(seen.refresh_s)
        loads = [sample["load"] for sample in self.samples]
        totals = [sum(pss for pss, _, _ in sample["processes"].values()) for sample in self.samples]
        daemons = [each for sample in self.samples for each in sample["daemons"].values()]
        keys = Counter(each["key_id"] for each in self._keys())
        options = {name: value for name, value in vars(self._options).items() if name not in {"json", "out"}}
        result = {
            "soak": options | {"scenario": "datacenter", "emulated_s": seen.last_s, "cores": os.cpu_count()},
            "load": {"median": statistics.median(loads), "most": max(loads)},
            "faults": dict(seen.faults),
            "recovery": self.recovery.figures(),
            "memory": {
                "network_pss_mib": {"first": totals[0], "last": totals[-1], "most": max(totals)},
                "by_process": by_kind(self.growth()),
            },
            "daemons": {
                "most_ike_sas": max((sas for sas, _ in daemons), default=0),
                "most_secrets": max((loaded for _, loaded in daemons), default=0),
                "at_end": dict(Counter(f"{sas} SAs, {loaded} secrets" for sas, loaded in self._at_end())),
                "samples": len(self.samples),
            },
            "keys": {
                "delivered": len(keys),
                "at_both_ends": sum(times == len(SIDES) for times in keys.values()),
                "sessions": sum(seen.sessions.values()),
                "distilled_bits": seen.bits,
            },
            "refresh_s": {"number": len(refresh), "p50": _quantile(refresh, 0.5), "p99": _quantile(refresh, 0.99)},
            "probes": dict(seen.probes),
            "sessions_ended": dict(seen.ended),
            "starved": dict(seen.starved),
            "refused": dict(seen.refused),
            "processes": dict(seen.processes),
            "events": dict(seen.counts),
            "said": [text for text in self.network.said if " late: " not in text][-20:],
            "violations": self.violations,
        }
        return plain(result)

    def _at_end(self) -> list[tuple[int, int]]:
        return list(self.samples[-1]["daemons"].values())


def _quantile(values: list[float], share: float) -> float | None:
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


def _lives(pid: int, supervisor: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return pid != supervisor and state != "Z"
    return False


def main() -> int:
    """Soak, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--channel", choices=("ipsec", "aead"), default="ipsec")
    parser.add_argument("--layout", choices=("bridge", "rack"), default="bridge")
    parser.add_argument("--out", help="folder for events and samples; default: a temporary one")
    parser.add_argument("--json", action="store_true", help="as always: one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = Path(options.out or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        soak = Soak(options, folder)
        asyncio.run(soak.run())
        print(json.dumps(soak.result(), indent=2))
    return 1 if soak.violations else 0


if __name__ == "__main__":
    sys.exit(main())
