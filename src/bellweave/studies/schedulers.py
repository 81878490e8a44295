"""Run one scenario under every scheduler, and put beside them what no schedule can pass."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from bellweave.network.optimum import bound
from bellweave.network.params import Schedule, SchedulerName
from bellweave.network.scheduling import Situation
from bellweave.plan import expected_block
from bellweave.results.network_records import Event
from bellweave.results.records import Row
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import NetworkSummary, summarise

Watch = Callable[[Event], None]


@dataclass(frozen=True)
class Compared:
    """What a scheduler achieved.

    Attributes:
        scheduler: Its name.
        keys: Keys that began a session.
        wanted: Keys that were due.
        refused: How often one was due and could not be had.
        served: Smallest and mean share of a tunnel's due keys that it got.
        wait_mean_s, wait_max_s: Of links with tunnels, until their next slot.
        fairness: Jain's index over the tunnels' shares.
        of_bound: Keys over the most that any schedule could have given; more than 1 is luck with the photons.
    """

    scheduler: SchedulerName
    keys: int
    wanted: int
    refused: int
    served: tuple[float, float]
    wait_mean_s: float
    wait_max_s: float
    fairness: float
    of_bound: float


def compare(scenario: Scenario, watch: Watch | None = None) -> Iterator[Compared]:
    """Simulate a scenario under each scheduler; the fixed table only where the scenario has one.

    Args:
        scenario: With a ``[schedule]``.
        watch: Called with each event of all runs.
    """
    schedule = scenario.schedule or Schedule()
    most = most_keys(scenario)
    for name in schedulers(scenario):
        changed = msgspec.structs.replace(schedule, scheduler=name)
        run = simulate_network(msgspec.structs.replace(scenario, schedule=changed), watch=watch)
        yield _compared(name, scenario, summarise(run), most)


def schedulers(scenario: Scenario) -> tuple[SchedulerName, ...]:
    """Return the schedulers that can serve a scenario."""
    table: tuple[SchedulerName, ...] = ("table",) if scenario.schedule and scenario.schedule.table else ()
    return ("round-robin", *table, "deficit", "optimum")


def most_keys(scenario: Scenario) -> float:
    """Return the most keys that any schedule is expected to give over the whole run: the bound of the linear program.

    Slots may be split there, blocks are the mean block, and key is of use as soon as its photons are.
    """
    schedule = scenario.schedule or Schedule()
    slots = schedule.slots or scenario.run.blocks
    demand_bits, key_bits = _demand(scenario)
    links = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
    duration_s = slots * schedule.wall_slot_s
    together = scenario.distill.accumulate_blocks
    gain = {name: expected_block(scenario, name).accountings[scenario.kms.mint] / together for name in links}
    given = Situation(
        slot=0,
        links=links,
        level_bits=dict.fromkeys(links, 0.0),
        demand_bits_per_s={name: bits / duration_s for name, bits in demand_bits.items()},
        yield_bits=gain,
        slot_s=schedule.wall_slot_s,
    )
    best = bound(given, schedule.sources, slots)
    return sum(
        min(demand_bits[name], count * gain[name]) / key_bits[name]
        for name, count in best.slots.items()
        if demand_bits[name]
    )


def rows(compared: Mapping[str, tuple[Compared, ...]]) -> tuple[Row, ...]:
    """Return report rows; by situation, what each scheduler achieved."""
    return tuple(
        Row(
            quantity=f"sessions, {each.scheduler}, {situation}",
            unit="",
            theory=each.keys / each.of_bound if each.of_bound else None,
            mean=float(each.keys),
            n=1,
            note="theory: the most that any schedule gives (linear program, mean blocks, slots split)",
        )
        for situation, found in compared.items()
        for each in found
    )


def _demand(scenario: Scenario) -> tuple[dict[str, float], dict[str, float]]:
    """Return by link how many bits all requests of the run ask for, and the mean size of a key."""
    schedule = scenario.schedule or Schedule()
    duration_s = (schedule.slots or scenario.run.blocks) * schedule.wall_slot_s
    link_of = {frozenset((link.alice, link.bob)): name for name, link in scenario.link.items()}
    bits, keys = dict.fromkeys(scenario.link, 0.0), dict.fromkeys(scenario.link, 0.0)
    for tunnel in scenario.tunnel.values():
        link = link_of.get(frozenset((tunnel.client, tunnel.server)))
        if link is not None and duration_s > tunnel.start_s:
            due = -(-(duration_s - tunnel.start_s) // tunnel.period_s)
            bits[link] += due * tunnel.key_bits
            keys[link] += due
    return bits, {name: bits[name] / keys[name] if keys[name] else 0.0 for name in bits}


def _compared(name: SchedulerName, scenario: Scenario, summary: NetworkSummary, most: float) -> Compared:
    due = {
        each: max(1.0, -(-(summary.duration_s - tunnel.start_s) // tunnel.period_s))
        for each, tunnel in scenario.tunnel.items()
    }
    shares = [summary.tunnels[each].sessions / due[each] for each in due] or [0.0]
    ends = {frozenset((tunnel.client, tunnel.server)) for tunnel in scenario.tunnel.values()}
    used = [link for link in summary.links.values() if frozenset(link.ends) in ends]
    square = sum(share * share for share in shares)
    return Compared(
        scheduler=name,
        keys=summary.minted.sessions,
        wanted=int(sum(due.values())),
        refused=sum(tunnel.refused for tunnel in summary.tunnels.values()),
        served=(min(shares), sum(shares) / len(shares)),
        wait_mean_s=sum(link.wait_mean_s for link in used) / len(used) if used else 0.0,
        wait_max_s=max((link.wait_max_s for link in used), default=0.0),
        fairness=sum(shares) ** 2 / (len(shares) * square) if square else 1.0,
        of_bound=summary.minted.sessions / most if most else 0.0,
    )
