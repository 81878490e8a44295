"""More users behind the same source: closed forms for any number, simulated points for some.

Every user has tunnels to the three users that follow it on a ring, two on a link for four users as in the data-centre
paper. Round robin serves all N (N - 1) / 2 pairs, whether or not they have tunnels; a scheduler that looks at demand
serves those 3 N alone. The closed forms are the plan's (:mod:`bellweave.plan.scale`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bellweave.network.params import Schedule, SchedulerName
from bellweave.plan.scale import SCHEDULERS, Devices, devices
from bellweave.results.network_records import Event
from bellweave.results.records import Row
from bellweave.scenario.scaled import scaled
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import summarise

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
        devices: What all users have in common, and its closed forms.
        points: What was simulated.
    """

    title: str
    devices: Devices
    points: tuple[Point, ...]

    def enough_until(self, scheduler: SchedulerName) -> int:
        """Return the largest number of users, from 4 on, whom the sources serve fully; 0: not even four."""
        enough = self.devices.enough_until(scheduler)
        return enough if enough >= USERS[0] else 0


def scale(scenario: Scenario, title: str, simulated: Sequence[int], watch: Watch | None = None) -> Scaling:
    """Return how a scenario's devices serve more users.

    Args:
        scenario: With a ``[schedule]`` and a tunnel, which all tunnels are like.
        title: For figures.
        simulated: Numbers of users to simulate, besides the closed forms; at the level of coincidences.
        watch: Called with each event of all runs.
    """
    points = tuple(point for users in simulated for point in _points(scenario, users, watch))
    return Scaling(title=title, devices=devices(scenario), points=points)


def ring(scenario: Scenario, users: int) -> Scenario:
    """Return the scenario with so many users, each with tunnels to those that follow it on a ring."""
    partners = devices(scenario).partners
    tunnel = next(iter(scenario.tunnel.values()))
    wide = scaled(scenario, users, tunnels=0)
    names = list(wide.node)
    tunnels = {
        f"{name}-{step}": msgspec.structs.replace(tunnel, client=name, server=names[(at + step) % users])
        for at, name in enumerate(names)
        for step in range(1, partners + 1)
    }
    return msgspec.structs.replace(wide, tunnel=tunnels)


def rows(found: Scaling) -> tuple[Row, ...]:
    """Return report rows: keys an hour and tunnel by number of users, and where one source stops being enough."""
    simulated = {(point.users, point.scheduler): point for point in found.points}
    table, asked = [], f"{found.devices.asked_per_hour:.0f} an hour are asked for"
    for users in USERS:
        for scheduler in SCHEDULERS:
            point = simulated.get((users, scheduler))
            table.append(
                Row(
                    quantity=f"keys per tunnel and hour, {users} users, {scheduler}, {found.title}",
                    unit="1/h",
                    theory=found.devices.per_hour(users, scheduler),
                    mean=point.keys_per_hour if point else None,
                    n=1 if point else None,
                    note=f"{asked}; theory: in the long run, one source",
                )
            )
    kinds: tuple[tuple[str, SchedulerName], ...] = (("round robin", "round-robin"), ("demand alone", "optimum"))
    for words, scheduler in kinds:
        table.append(
            Row(
                quantity=f"users that one source serves fully, {words}, {found.title}",
                unit="",
                theory=float(found.enough_until(scheduler)),
                note="0: not even four",
            )
        )
    return tuple(table)


def _points(scenario: Scenario, users: int, watch: Watch | None) -> Iterator[Point]:
    wide = ring(scenario, users)
    schedule = wide.schedule or Schedule()
    slots = min(ROUNDS * len(wide.link), MOST_SLOTS)
    for scheduler in SCHEDULERS:
        planned = msgspec.structs.replace(schedule, scheduler=scheduler, slots=slots)
        run = msgspec.structs.replace(wide.run, level="coincidences")
        done = simulate_network(msgspec.structs.replace(wide, schedule=planned, run=run), watch=watch)
        sessions = summarise(done).minted.sessions
        keys_per_hour = sessions / len(wide.tunnel) / done.duration_s * HOUR_S
        yield Point(users=users, scheduler=scheduler, keys_per_hour=keys_per_hour, slots=slots)
