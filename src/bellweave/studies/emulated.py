"""An emulated run beside the simulation of the same network: where they agree, bit for bit, and where they may not.

With the same scenario, seed and speed both sample the same photons and draw the same randomness, so every block that
both distil is equal in every count, its key included. When it is distilled, and so when keys come and tunnels refresh,
depends in the emulation on the machine: those numbers are close, not equal.

The simulation knows the faults of the scenario that a simulation can have. Of a fault on command it knows nothing.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from bellweave.errors import ScenarioError
from bellweave.results.emulated import Beside, Both, LinkBeside, TunnelBeside
from bellweave.results.io import read_events, read_manifest
from bellweave.results.network_records import (
    BlockDistilled,
    BlockLost,
    Event,
    FaultChanged,
    Probed,
    ProcessChanged,
    Refreshed,
    SlotBegan,
)
from bellweave.results.records import BlockRecord, Shard
from bellweave.roles.run import NetworkRun, describe
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import emulated_only
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import NetworkSummary, summarise

FOLDER = "simulated"
"""Where the simulation lies, in the directory of the emulated run."""

MOST_SLOTS = 1500
"""Slots up to which a run is simulated without being asked for: some minutes of computing."""

CHANNEL = "channel"
"""Name under which a run notes what protects its tunnels, as a process that is ready."""


def as_run(run: NetworkRun) -> NetworkRun:
    """Return an emulated run as far as it came: with as many slots as have begun."""
    schedule = run.scenario.schedule
    begun = sum(isinstance(event, SlotBegan) for event in run.events)
    if schedule is None or not begun or begun >= run.manifest.shard.blocks:
        return run
    scenario = replace(run.scenario, schedule=replace(schedule, slots=begun))
    return NetworkRun(run.manifest, scenario, run.events, begun * schedule.wall_slot_s)


def counterpart(run: NetworkRun) -> Scenario:
    """Return what is to be simulated: the same, without what only an emulation can have."""
    scenario = as_run(run).scenario
    faults = {name: fault for name, fault in scenario.fault.items() if emulated_only(fault) is None}
    tunnels = scenario.tunnel if _has_tunnels(run) else {}
    return replace(scenario, fault=faults, tunnel=tunnels)


def simulated(run: NetworkRun, directory: Path, *, watch: Callable[[Event], None] | None = None) -> NetworkRun:
    """Return the simulation that belongs to an emulated run; an earlier one is read, else it is run and written.

    Args:
        run: The emulated run.
        directory: Its directory.
        watch: Called with each event of the simulation, for progress.

    Raises:
        ScenarioError: The directory can't be written.
    """
    scenario, folder = counterpart(run), directory / FOLDER
    schedule = scenario.schedule
    slots = (schedule.slots if schedule else None) or scenario.run.blocks
    wanted = describe(scenario, Shard(blocks=slots), verb="simulate-network")
    try:
        whole = read_manifest(folder) == wanted and (folder / "complete").exists()
        events = read_events(folder) if whole else ()
    except ScenarioError:
        events = ()
    if events:
        return NetworkRun(wanted, scenario, events, slots * schedule.wall_slot_s if schedule else 0.0)
    if folder.exists():
        for old in ("complete", "manifest.json"):
            (folder / old).unlink(missing_ok=True)
    made = simulate_network(scenario, folder, watch=watch)
    (folder / "complete").touch()
    return made


def compare(run: NetworkRun, simulation: NetworkRun | None) -> Beside:
    """Return the two runs beside each other; without a simulation, what the emulated one alone tells."""
    cut = as_run(run) is not run
    run = as_run(run)
    ours, theirs = summarise(run), None if simulation is None else summarise(simulation)
    known = set(run.scenario.fault if simulation is None else simulation.scenario.fault)
    began = dict.fromkeys(event.fault for event in run.events if isinstance(event, FaultChanged) and event.active)
    unknown = tuple(name for name in began if name not in known)
    refreshed = [event for event in run.events if isinstance(event, Refreshed)]
    return Beside(
        channel=channel(run),
        totals=_totals(ours, theirs, tunnels=_has_tunnels(run)),
        links=tuple(_links(run, simulation, ours, theirs)),
        tunnels=tuple(_tunnels(run, ours, theirs)) if _has_tunnels(run) else (),
        steps_s={
            "enc_keys": tuple(event.enc_s for event in refreshed),
            "peer": tuple(event.peer_s for event in refreshed),
            "switch": tuple(event.switch_s for event in refreshed),
        },
        unknown_faults=unknown,
        undisturbed=_undisturbed(run, simulation, unknown) if unknown and simulation else None,
        cut=cut,
        alone=simulation is None,
        problems=tuple(_problems(run.events)),
    )


def channel(run: NetworkRun) -> str:
    """Return what protected the tunnels; empty where there were none."""
    if not _has_tunnels(run):
        return ""
    found = [event for event in run.events if isinstance(event, ProcessChanged)]
    said = next((event.detail for event in found if event.process == CHANNEL), "")
    return said or ("ipsec" if any(event.process == "world" for event in found) else "aead")


def _has_tunnels(run: NetworkRun) -> bool:
    """Whether agents ran: a network that only serves keys has none."""
    if not run.scenario.tunnel:
        return False
    return any(hasattr(event, "tunnel") for event in run.events)


def _totals(ours: NetworkSummary, theirs: NetworkSummary | None, *, tunnels: bool) -> dict[str, Both]:
    def values(summary: NetworkSummary) -> dict[str, float | None]:
        each_tunnel = summary.tunnels.values()
        found: dict[str, float | None] = {
            "blocks": float(summary.minted.blocks),
            "sifted_bits": float(summary.minted.sifted_bits),
            "final_bits_in_total": float(summary.minted.final_bits),
            "rejected_blocks": float(sum(link.rejected for link in summary.links.values())),
            "alarms": float(sum(link.alarms for link in summary.links.values())),
        }
        if not tunnels:
            return found
        return found | {
            "keys_delivered": float(summary.minted.keys_delivered),
            "sessions": float(summary.minted.sessions),
            "first_key_s": summary.minted.first_key_s,
            "refused": float(sum(each.refused for each in each_tunnel)),
            "renewals": float(sum(each.renewals for each in each_tunnel)),
            "tunnels_without_key": float(sum(each.sessions == 0 for each in each_tunnel)),
            "key_age_max_s": max((each.age_max_s or 0.0 for each in each_tunnel), default=None),
            "without_session_s": sum(each.down_s for each in each_tunnel),
        }

    simulation = {} if theirs is None else values(theirs)
    return {name: Both(emulated=value, simulated=simulation.get(name)) for name, value in values(ours).items()}


def _links(
    run: NetworkRun, simulation: NetworkRun | None, ours: NetworkSummary, theirs: NetworkSummary | None
) -> Iterable[LinkBeside]:
    here, there = _blocks(run), {} if simulation is None else _blocks(simulation)
    for name, link in ours.links.items():
        other = None if theirs is None else theirs.links[name]
        mine = {number: block for (where, number), block in here.items() if where == name}
        its = {number: block for (where, number), block in there.items() if where == name}
        common = sorted(mine.keys() & its.keys())
        unequal = tuple(number for number in common if mine[number] != its[number])
        yield LinkBeside(
            link=name,
            blocks=Both(emulated=link.blocks, simulated=None if other is None else other.blocks),
            sifted_bits=Both(emulated=link.ledger.sifted, simulated=None if other is None else other.ledger.sifted),
            key_bits=Both(emulated=link.ledger.final, simulated=None if other is None else other.ledger.final),
            rejected=Both(emulated=link.rejected, simulated=None if other is None else other.rejected),
            alarms=Both(emulated=link.alarms, simulated=None if other is None else other.alarms),
            equal=len(common) - len(unequal),
            unequal=unequal,
            only_simulated=tuple(sorted(its.keys() - mine.keys())),
            only_emulated=tuple(sorted(mine.keys() - its.keys())) if other else (),
        )


def _blocks(run: NetworkRun) -> dict[tuple[str, int], BlockRecord]:
    return {
        (event.block.link, event.block.block): event.block for event in run.events if isinstance(event, BlockDistilled)
    }


def _undisturbed(run: NetworkRun, simulation: NetworkRun, faults: tuple[str, ...]) -> tuple[int, int]:
    """Return how many blocks from before these faults are equal in both runs, of how many."""
    first_s = min(e.at_s for e in run.events if isinstance(e, FaultChanged) and e.active and e.fault in faults)
    slot = max((e.slot for e in run.events if isinstance(e, SlotBegan) and e.at_s <= first_s), default=0)
    there = _blocks(simulation)
    pairs = [
        (event.block, there[event.block.link, event.block.block])
        for event in run.events
        if isinstance(event, BlockDistilled) and event.slot < slot and (event.block.link, event.block.block) in there
    ]
    return sum(mine == its for mine, its in pairs), len(pairs)


def _tunnels(run: NetworkRun, ours: NetworkSummary, theirs: NetworkSummary | None) -> Iterable[TunnelBeside]:
    refreshes_s: dict[str, list[float]] = {name: [] for name in ours.tunnels}
    probed: dict[str, list[Probed]] = {name: [] for name in ours.tunnels}
    for event in run.events:
        if isinstance(event, Refreshed):
            refreshes_s[event.tunnel].append(event.total_s)
        elif isinstance(event, Probed):
            probed[event.tunnel].append(event)
    for name, tunnel in ours.tunnels.items():
        other, found = None if theirs is None else theirs.tunnels[name], probed[name]
        round_trips_s = [each.rtt_s for each in found if each.rtt_s is not None]
        yield TunnelBeside(
            tunnel=name,
            mode=run.scenario.tunnel[name].mode,
            keys=Both(emulated=tunnel.keys, simulated=None if other is None else other.keys),
            sessions=Both(emulated=tunnel.sessions, simulated=None if other is None else other.sessions),
            refused=Both(emulated=tunnel.refused, simulated=None if other is None else other.refused),
            first_session_s=Both(
                emulated=tunnel.first_session_s, simulated=None if other is None else other.first_session_s
            ),
            key_age_max_s=Both(emulated=tunnel.age_max_s, simulated=None if other is None else other.age_max_s),
            down_s=Both(emulated=tunnel.down_s, simulated=None if other is None else other.down_s),
            refreshes_s=tuple(refreshes_s[name]),
            sent=sum(each.sent for each in found),
            lost=sum(each.lost for each in found),
            longest_gap_s=max((each.longest_gap_s for each in found), default=0.0),
            rtt_s=median(round_trips_s) if round_trips_s else None,
        )


def _problems(events: Iterable[Event]) -> Iterable[str]:
    """Yield what should not have been: lost blocks, processes that ended while the network ran."""
    listed = list(events)
    last_s = max((event.at_s for event in listed if isinstance(event, SlotBegan)), default=0.0)
    for event in listed:
        if isinstance(event, BlockLost):
            number = len(event.blocks)
            yield f"{event.at_s:.1f} s: {event.node} gave up {number} block(s) of {event.link}, {event.reason}"
        elif isinstance(event, ProcessChanged) and event.state in {"ended", "killed"} and event.at_s < last_s:
            detail = f", {event.detail}" if event.detail else ""
            yield f"{event.at_s:.1f} s: {event.process} {event.state}{detail}"
