"""More users behind the same source: closed forms for any number, simulated points for some.

Every user has tunnels to the three users that follow it on a ring, two on a link for four users as in the data-centre
paper. Round robin serves all N (N - 1) / 2 pairs, whether or not they have tunnels; a scheduler that looks at demand
serves those 3 N alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bellweave.network.params import Schedule, SchedulerName
from bellweave.plan import expected_block
from bellweave.results.network_records import Event
from bellweave.results.records import Row
from bellweave.scenario.scaled import scaled
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import summarise

PARTNERS = 3
"""Tunnels that a user begins."""

USERS = (4, 8, 16, 32, 64, 128)
"""Numbers of users that are reported."""

ROUNDS = 10
"""Times that each link is served in a simulated point by round robin, as far as ``MOST_SLOTS`` allow."""

MOST_SLOTS = 360
"""Slots of a simulated point."""

HOUR_S = 3600.0

Watch = Callable[[Event], None]


@dataclass(frozen=True)
class Point:
    """A simulated number of users.

    Attributes:
        users: N.
        scheduler: Which one.
        keys_per_hour: Mean over tunnels.
        slots: How many were simulated.
    """

    users: int
    scheduler: SchedulerName
    keys_per_hour: float
    slots: int


@dataclass(frozen=True)
class Scaling:
    """One set of devices with more and more users.

    Attributes:
        title: Of the devices.
        block_bits: Key that a slot gives.
        slot_s, key_bits, period_s: Of the scenario.
        points: What was simulated.
    """

    title: str
    block_bits: float
    slot_s: float
    key_bits: int
    period_s: float
    points: tuple[Point, ...]

    @property
    def wanted_per_hour(self) -> float:
        """Keys an hour that a tunnel asks for."""
        return HOUR_S / self.period_s

    def keys_per_hour(self, users: float, *, all_links: bool) -> float:
        """Return the keys an hour that a tunnel gets in the long run: what can be given, at most what is asked for."""
        return min(self.wanted_per_hour, self.possible_per_hour(users, all_links=all_links))

    def possible_per_hour(self, users: float, *, all_links: bool) -> float:
        """Return the keys an hour that one source can give a tunnel in the long run.

        All slots' key, shared by all pairs (``all_links``: round robin) or by those with tunnels alone.
        """
        pairs = users * (users - 1.0) / 2.0
        tunnels = PARTNERS * users
        keys = HOUR_S / self.slot_s * self.block_bits / self.key_bits
        used = min(pairs, tunnels) / pairs if all_links else 1.0
        return keys * used / tunnels

    def enough_until(self, *, all_links: bool) -> int:
        """Return the largest number of users, >= 4 and below 10,000, whom one source serves fully; 0: not even four."""
        enough = 0
        for users in range(4, 10_000):
            if self.keys_per_hour(users, all_links=all_links) < self.wanted_per_hour * (1.0 - 1e-12):
                break
            enough = users
        return enough


def scale(scenario: Scenario, title: str, simulated: Sequence[int], watch: Watch | None = None) -> Scaling:
    """Return how a scenario's devices serve more users.

    Args:
        scenario: With a ``[schedule]`` and a tunnel, which all tunnels are like.
        title: For figures.
        simulated: Numbers of users to simulate, besides the closed forms; at the level of coincidences.
        watch: Called with each event of all runs.
    """
    schedule = scenario.schedule or Schedule()
    tunnel = next(iter(scenario.tunnel.values()))
    link, each = next(iter(scenario.link.items()))
    lost_s = scenario.switch.reconfiguration_s + scenario.switch.synchronisation_s if scenario.switch else 0.0
    shorter = msgspec.structs.replace(each, block_s=schedule.slot_s - lost_s)
    expected = expected_block(msgspec.structs.replace(scenario, link=scenario.link | {link: shorter}), link)
    return Scaling(
        title=title,
        block_bits=expected.accountings[scenario.kms.mint] / scenario.distill.accumulate_blocks,
        slot_s=schedule.slot_s,
        key_bits=tunnel.key_bits,
        period_s=tunnel.period_s,
        points=tuple(point for users in simulated for point in _points(scenario, users, watch)),
    )


def ring(scenario: Scenario, users: int) -> Scenario:
    """Return the scenario with so many users, each with a tunnel to the three that follow it on a ring."""
    tunnel = next(iter(scenario.tunnel.values()))
    wide = scaled(scenario, users, tunnels=0)
    names = list(wide.node)
    tunnels = {
        f"{name}-{step}": msgspec.structs.replace(tunnel, client=name, server=names[(at + step) % users])
        for at, name in enumerate(names)
        for step in range(1, PARTNERS + 1)
    }
    return msgspec.structs.replace(wide, tunnel=tunnels)


def rows(found: Scaling) -> tuple[Row, ...]:
    """Return report rows: keys an hour and tunnel by number of users, and where one source stops being enough."""
    simulated = {(point.users, point.scheduler): point for point in found.points}
    kinds: tuple[tuple[SchedulerName, bool], ...] = (("round-robin", True), ("deficit", False), ("optimum", False))
    table = []
    for users in USERS:
        for scheduler, all_links in kinds:
            point = simulated.get((users, scheduler))
            table.append(
                Row(
                    quantity=f"keys per tunnel and hour, {users} users, {scheduler}, {found.title}",
                    unit="1/h",
                    theory=found.keys_per_hour(users, all_links=all_links),
                    mean=point.keys_per_hour if point else None,
                    n=1 if point else None,
                    note=f"{found.wanted_per_hour:.0f} an hour are asked for; theory: in the long run, one source",
                )
            )
    for words, all_links in (("round robin", True), ("demand alone", False)):
        table.append(
            Row(
                quantity=f"users that one source serves fully, {words}, {found.title}",
                unit="",
                theory=float(found.enough_until(all_links=all_links)),
                note="0: not even four",
            )
        )
    return tuple(table)


def _points(scenario: Scenario, users: int, watch: Watch | None) -> Iterator[Point]:
    wide = ring(scenario, users)
    schedule = wide.schedule or Schedule()
    slots = min(ROUNDS * len(wide.link), MOST_SLOTS)
    for scheduler in ("round-robin", "deficit", "optimum"):
        planned = msgspec.structs.replace(schedule, scheduler=scheduler, slots=slots)
        run = msgspec.structs.replace(wide.run, level="coincidences")
        done = simulate_network(msgspec.structs.replace(wide, schedule=planned, run=run), watch=watch)
        sessions = summarise(done).minted.sessions
        keys_per_hour = sessions / len(wide.tunnel) / done.duration_s * HOUR_S
        yield Point(users=users, scheduler=scheduler, keys_per_hour=keys_per_hour, slots=slots)
