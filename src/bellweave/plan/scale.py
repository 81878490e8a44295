"""A data centre that grows: keys per tunnel against users, by scheduler, and where its sources stop being enough.

Users and links are like the scenario's first ones, every pair shares a link. A user begins as many tunnels as in the
scenario, to those that follow it on a ring: so what a user asks for stays the same, while the number of links grows
with the square. Round robin serves all of them; a scheduler that goes by demand serves those with tunnels alone.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product

import msgspec

from bellweave.errors import ScenarioError
from bellweave.network import theory
from bellweave.network.params import SchedulerName
from bellweave.plan.supply import schedule_of, slot_yields, users_of
from bellweave.scenario.scaled import MOST_USERS, scaled
from bellweave.scenario.schema import Scenario

SCHEDULERS: tuple[SchedulerName, ...] = ("round-robin", "deficit", "optimum")
"""Those with a closed form. The last two go by demand and have the same: what the best schedule gives."""

HOUR_S = 3600.0
WHOLE = 1.0 - theory.ROUNDING


class ScalePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One number of users under one scheduler.

    Attributes:
        users, scheduler: Which.
        links, tunnels: How many there are.
        keys_per_hour: That a tunnel gets in the long run, mean over tunnels; at most what it asks for.
        sources_needed: That serve every tunnel fully; null: no number does, for a user is in one session at a time.
    """

    users: int
    scheduler: SchedulerName
    links: int
    tunnels: int
    keys_per_hour: float
    sources_needed: int | None


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How a scenario's devices serve more users.

    Attributes:
        slot_bits: Key of a slot.
        sources: Links served at once.
        tunnels_per_user: That a user begins.
        asked_per_hour: Keys that are due at each tunnel.
        enough_until: By scheduler, the most users that the sources serve fully; 1: not even two.
        most_users: Up to where that is looked for.
        points: By users and scheduler.
    """

    slot_bits: float
    sources: int
    tunnels_per_user: int
    asked_per_hour: float
    enough_until: dict[str, int]
    most_users: int
    points: tuple[ScalePoint, ...]


class Devices(msgspec.Struct, frozen=True, kw_only=True):
    """What all users have in common, however many there are.

    Attributes:
        slot_bits: Key of a slot.
        slot_s: How long it lasts by the clock of those who use key.
        sources: Links served at once.
        partners: Tunnels that a user begins.
        key_bits, period_s: Of each tunnel.
    """

    slot_bits: float
    slot_s: float
    sources: int
    partners: int
    key_bits: int
    period_s: float

    @property
    def asked_per_hour(self) -> float:
        """Keys that are due at each tunnel."""
        return HOUR_S / self.period_s

    def per_hour(self, users: int, scheduler: SchedulerName) -> float:
        """Return the keys an hour that a tunnel gets in the long run, mean over tunnels; at most what it asks for."""
        return self.asked_per_hour * self._share(users, scheduler, 1.0)

    def possible_per_hour(self, users: int, scheduler: SchedulerName) -> float:
        """Return the keys an hour that a tunnel could get if all asked for more, mean over tunnels."""
        return self.asked_per_hour * self._share(users, scheduler, math.inf)

    def sources_needed(self, users: int, scheduler: SchedulerName) -> int | None:
        """Return the fewest sources that serve every tunnel fully; None: no number does."""
        loads = _loads(users, self.partners)
        if self.slot_bits <= 0.0:
            return None
        if scheduler == "round-robin":
            return theory.sources_needed(users, self.slot_s, self.slot_bits, max(loads) * self._tunnel_bps)
        total = _tunnels(loads) * self._tunnel_share
        fewest = max(1, math.ceil(total - theory.ROUNDING))
        return fewest if fewest <= users // 2 and 2.0 * total / users <= 1.0 + theory.ROUNDING else None

    def enough_until(self, scheduler: SchedulerName) -> int:
        """Return the most users whom the sources serve fully; 1: not even two."""
        counts = range(2, MOST_USERS + 1)
        return next((count - 1 for count in counts if self._share(count, scheduler, 1.0) < WHOLE), MOST_USERS)

    @property
    def _tunnel_bps(self) -> float:
        """Demand of a tunnel."""
        return self.key_bits / self.period_s

    @property
    def _tunnel_share(self) -> float:
        """Share of all slots that a tunnel's demand takes."""
        return self._tunnel_bps * self.slot_s / self.slot_bits if self.slot_bits > 0.0 else math.inf

    def _share(self, users: int, scheduler: SchedulerName, most: float) -> float:
        """Return the share of its due keys, at most ``most``, that a tunnel gets, mean over tunnels."""
        loads = _loads(users, self.partners)
        if scheduler == "round-robin":
            link_bps = theory.link_bits_per_s(users, self.sources, self.slot_s, self.slot_bits)
            keys = sum(min(link_bps, most * load * self._tunnel_bps) * links for load, links in loads.items())
            return keys / (self._tunnel_bps * _tunnels(loads))
        total, busiest = _tunnels(loads) * self._tunnel_share, 2.0 * _tunnels(loads) / users * self._tunnel_share
        return min(most, theory.links_at_once(users, self.sources) / total, 1.0 / busiest)


def devices(scenario: Scenario) -> Devices:
    """Return what all users of a scenario that grows have in common: its first links and its first tunnel.

    Raises:
        ScenarioError: No schedule, or no tunnel that all could be like.
    """
    schedule = schedule_of(scenario)
    if not scenario.tunnel:
        raise ScenarioError("there is no tunnel that others could be like", path="tunnel")
    tunnel = next(iter(scenario.tunnel.values()))
    by_turns = msgspec.structs.replace(scenario, schedule=msgspec.structs.replace(schedule, scheduler="round-robin"))
    three = scaled(by_turns, 3, tunnels=0)
    return Devices(
        slot_bits=next(iter(slot_yields(three).values())).key_bits,
        slot_s=schedule.wall_slot_s,
        sources=schedule.sources,
        partners=max(1, round(len(scenario.tunnel) / len(users_of(scenario)))),
        key_bits=tunnel.key_bits,
        period_s=tunnel.period_s,
    )


def scale(scenario: Scenario, users: Sequence[int]) -> Scale:
    """Return what each number of users gets, from 2 on.

    Raises:
        ScenarioError: As :func:`devices`, or an impossible number of users.
    """
    found = devices(scenario)
    for count in users:
        if not 2 <= count <= MOST_USERS:
            raise ScenarioError(f"a data centre has 2 to {MOST_USERS} users, got {count}", path="users")
    return Scale(
        slot_bits=found.slot_bits,
        sources=found.sources,
        tunnels_per_user=found.partners,
        asked_per_hour=found.asked_per_hour,
        enough_until={name: found.enough_until(name) for name in SCHEDULERS},
        most_users=MOST_USERS,
        points=tuple(_point(found, count, name) for count, name in product(users, SCHEDULERS)),
    )


def _point(found: Devices, users: int, scheduler: SchedulerName) -> ScalePoint:
    return ScalePoint(
        users=users,
        scheduler=scheduler,
        links=math.comb(users, 2),
        tunnels=_tunnels(_loads(users, found.partners)),
        keys_per_hour=found.per_hour(users, scheduler),
        sources_needed=found.sources_needed(users, scheduler),
    )


def _loads(users: int, partners: int) -> dict[int, int]:
    """Return how many links have how many tunnels, links without left out.

    >>> _loads(4, 3), _loads(5, 3), _loads(10, 3)
    ({2: 6}, {1: 5, 2: 5}, {1: 30})
    """
    if users > 2 * partners:
        return {1: users * partners}
    steps = range(1, min(partners, users - 1) + 1)
    on_link = Counter(frozenset((at, (at + step) % users)) for at in range(users) for step in steps)
    return dict(sorted(Counter(on_link.values()).items()))


def _tunnels(loads: dict[int, int]) -> int:
    return sum(load * links for load, links in loads.items())
