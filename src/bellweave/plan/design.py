"""Which source, number of sources, slot, period or number of users a data centre needs: closed forms, turned round.

A design is good if every link's supply is at least ``1 + headroom`` times its tunnels' demand. The least value that
does is looked for, others staying as they are: on a grid first, because brightness helps only up to where accidental
coincidences spoil it, and because provable keys begin at a threshold; then by bisection.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from bellweave.errors import ScenarioError
from bellweave.network import theory
from bellweave.photonics.params import PulsedSource, Source
from bellweave.plan.least import Least, grid_of, least, rounded_up
from bellweave.plan.margin import Margin, margin
from bellweave.plan.shortfall import missing, reason
from bellweave.plan.supply import duration_s, schedule_of, slot_yields, users_of
from bellweave.scenario.assemble import lost_s
from bellweave.scenario.demand import demand_bits_per_s
from bellweave.scenario.scaled import scaled
from bellweave.scenario.schema import Scenario

Quantity = Literal["brightness", "sources", "slot", "period", "users"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

DIMMEST_HZ, BRIGHTEST_HZ = 100.0, 1e11
"""Pairs a second between which a source is looked for."""

MOST_PAIRS_PER_PULSE = 1.0
"""Brighter pulses hold more accidental than true coincidences."""

SHORTEST_SLOT_S, LONGEST_SLOT_S = 0.001, 3600.0
"""Slots that are looked at; longer ones help no more: switching and finite-key effects are gone by then."""

MOST_USERS = 256
"""Larger networks are answered, but no scenario of their tens of thousands of links is made."""


class Design(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity solved for.

    Attributes:
        solve: Which.
        unit: Of its values.
        now: What the scenario has.
        value: The least that is enough (the most, for users); null: none is.
        best: Where the most key comes, if none is enough.
        factor: Supply over demand of the scarcest link, with ``value``, or else with ``best``; null: not worked out.
        needed: What the factor must be, 1 + headroom.
        limited_by: What runs short first, then.
        why: A sentence: what that means.
        changes: By path, what the scenario gets; empty for users, whose nodes and links are made anew.
    """

    solve: Quantity
    unit: str
    now: float
    value: float | None
    best: float | None
    factor: float | None
    needed: float
    limited_by: str
    why: str
    changes: dict[str, Any]


@dataclass(frozen=True)
class Solved:
    """A design, and the scenario that has it; None if nothing can, or it would be too large to write down."""

    design: Design
    scenario: Scenario | None


def solve(scenario: Scenario, quantity: Quantity, headroom: float = 0.0) -> Solved:
    """Return what a quantity must be for the scenario's tunnels to be served, everything else staying as it is.

    Args:
        scenario: With a schedule and tunnels, checked.
        quantity: ``brightness`` (of all sources alike), ``sources`` (served at once), ``slot`` (its length),
            ``period`` (of all tunnels alike) or ``users`` (all like the first, with as many tunnels between any two).
        headroom: Supply beyond demand, as a share of demand.

    Raises:
        ScenarioError: No schedule, no tunnels, or a table of slots that the quantity can't change.
    """
    if met(scenario) is None:
        raise ScenarioError("no tunnel asks for key", path="tunnel")
    if schedule_of(scenario).scheduler == "table" and quantity in {"sources", "users"}:
        raise ScenarioError(f"a fixed table of slots does not change with {quantity}", path="schedule.scheduler")
    needed = 1.0 + headroom
    match quantity:
        case "brightness":
            return _brightness(scenario, needed)
        case "sources":
            return _sources(scenario, needed)
        case "slot":
            return _slot(scenario, needed)
        case "period":
            return _period(scenario, needed)
        case "users":
            return _users(scenario, needed)


def met(scenario: Scenario) -> Margin | None:
    """Return supply over demand of the scarcest link; None without demand."""
    used = [name for name, asked in demand_bits_per_s(scenario).items() if asked > 0.0]
    return margin(scenario, slot_yields(scenario, used)) if used else None


# ------------------------------------------------------------------------------------------------------- the quantities


def _brightness(scenario: Scenario, needed: float) -> Solved:
    now_hz = max(source.emitted_pair_rate_hz for source in scenario.source.values())
    most = [
        MOST_PAIRS_PER_PULSE / each.mean_pairs for each in scenario.source.values() if isinstance(each, PulsedSource)
    ]
    most_hz = min([BRIGHTEST_HZ, *(now_hz * factor for factor in most)])

    def with_value(value_hz: float) -> Scenario:
        sources = {name: _brighter(each, value_hz / now_hz) for name, each in scenario.source.items()}
        return msgspec.structs.replace(scenario, source=sources)

    found = least(lambda value: _factor(with_value(value)), grid_of(DIMMEST_HZ, most_hz), needed)
    changes = {}
    if found.value is not None:
        made = with_value(found.value)
        changes = {
            f"source.{name}.{key}": getattr(each, key)
            for name, each in made.source.items()
            for key in [_rate_key(each)]
        }
    return _solved("brightness", "pairs/s", now_hz, found, needed, with_value, changes)


def _brighter(source: Source, factor: float) -> Source:
    key = _rate_key(source)
    return msgspec.structs.replace(source, **{key: float(f"{getattr(source, key) * factor:.8g}")})


def _rate_key(source: Source) -> str:
    if source.local_pair_rate_hz is not None:
        return "local_pair_rate_hz"
    return "mean_pairs_per_pulse" if isinstance(source, PulsedSource) else "pair_rate_hz"


def _sources(scenario: Scenario, needed: float) -> Solved:
    schedule, most = schedule_of(scenario), max(1, len(users_of(scenario)) // 2)

    def with_value(value: float) -> Scenario:
        return msgspec.structs.replace(scenario, schedule=msgspec.structs.replace(schedule, sources=int(value)))

    tried = [float(count) for count in range(1, most + 1)]
    value = next((count for count in tried if _factor(with_value(count)) >= needed), None)
    found = Least(value, float(most))
    changes = {} if value is None else {"schedule.sources": int(value)}
    return _solved("sources", "", float(schedule.sources), found, needed, with_value, changes)


def _slot(scenario: Scenario, needed: float) -> Solved:
    schedule, lost, whole_s = schedule_of(scenario), lost_s(scenario), duration_s(scenario)

    def with_value(value_s: float) -> Scenario:
        slots = max(1, math.ceil(whole_s * schedule.speed / value_s - theory.ROUNDING))
        links = {name: msgspec.structs.replace(link, block_s=value_s) for name, link in scenario.link.items()}
        return msgspec.structs.replace(
            scenario, link=links, schedule=msgspec.structs.replace(schedule, slot_s=value_s, slots=slots)
        )

    found = least(
        lambda value: _factor(with_value(value)), grid_of(max(SHORTEST_SLOT_S, 1.02 * lost), LONGEST_SLOT_S), needed
    )
    changes: dict[str, Any] = {}
    if found.value is not None:
        made = schedule_of(with_value(found.value))
        changes = {"schedule.slot_s": made.slot_s, "schedule.slots": made.slots, "link.*.block_s": made.slot_s}
    return _solved("slot", "s", schedule.slot_s, found, needed, with_value, changes)


def _period(scenario: Scenario, needed: float) -> Solved:
    now_s = min(tunnel.period_s for tunnel in scenario.tunnel.values())
    factor = _factor(scenario)

    def with_value(value_s: float) -> Scenario:
        tunnels = {
            name: msgspec.structs.replace(tunnel, period_s=tunnel.period_s * value_s / now_s)
            for name, tunnel in scenario.tunnel.items()
        }
        return msgspec.structs.replace(scenario, tunnel=tunnels)

    value_s = rounded_up(now_s * needed / factor * (1.0 - theory.ROUNDING)) if factor > 0.0 else None
    changes = (
        {f"tunnel.{name}.period_s": tunnel.period_s for name, tunnel in with_value(value_s).tunnel.items()}
        if value_s is not None
        else {}
    )
    return _solved("period", "s", now_s, Least(value_s, now_s), needed, with_value, changes)


def _users(scenario: Scenario, needed: float) -> Solved:
    schedule, now = schedule_of(scenario), len(users_of(scenario))
    on_a_link = math.ceil(len(scenario.tunnel) / len(scenario.link))
    tunnel = next(iter(scenario.tunnel.values()))
    slot_bits = slot_yields(scaled(scenario, max(3, now), tunnels=0)).popitem()[1].key_bits
    demand = needed * on_a_link * tunnel.key_bits / tunnel.period_s
    users = theory.most_users(schedule.sources, schedule.wall_slot_s, slot_bits, demand)
    value = float(users) if users > 1 else None

    def with_value(count: float) -> Scenario:
        wide = scaled(scenario, int(count))
        doubled = {f"{name}-{lap}": each for lap in range(1, on_a_link + 1) for name, each in wide.tunnel.items()}
        return msgspec.structs.replace(wide, tunnel=doubled)

    if value is not None and value > MOST_USERS:
        design = Design(
            solve="users",
            unit="",
            now=float(now),
            value=value,
            best=None,
            factor=None,
            needed=needed,
            limited_by="schedule.sources",
            why=f"{slot_bits:.4g} bits a slot; a scenario is only made for up to {MOST_USERS} users",
            changes={},
        )
        return Solved(design, None)
    return _solved("users", "", float(now), Least(value, 2.0), needed, with_value, {})


# ----------------------------------------------------------------------------------------------------------- the answer


def _solved(
    quantity: Quantity,
    unit: str,
    now: float,
    found: Least,
    needed: float,
    with_value: Callable[[float], Scenario],
    changes: Mapping[str, Any],
) -> Solved:
    made = with_value(next(value for value in (found.value, found.best, now) if value is not None))
    tight = met(made)
    assert tight is not None, "there is demand"  # noqa: S101 -- solve() has looked
    worst = tight.limited_by.removeprefix("link.") if tight.limited_by.startswith("link.") else next(iter(made.link))
    slot = slot_yields(made, [worst])[worst]
    numbers = f"{slot.key_bits:.4g} bits a slot of {worst} at {slot.qber:.2%} QBER"
    if found.value is not None:
        why = f"{tight.limited_by} is the limit: {numbers}"
    elif tight.factor > 0.0:
        why = f"at most {tight.factor / needed:.1%} of what is needed: {numbers}; {reason(made, quantity, slot)}"
    else:
        why = f"no key at all: {slot.sifted_bits:.4g} sifted bits a slot at {slot.qber:.2%} QBER; {missing(made, slot)}"
    design = Design(
        solve=quantity,
        unit=unit,
        now=now,
        value=found.value,
        best=found.best if found.value is None and tight.factor > 0.0 else None,
        factor=tight.factor,
        needed=needed,
        limited_by=tight.limited_by,
        why=why,
        changes=dict(changes),
    )
    return Solved(design, made if found.value is not None else None)


def _factor(scenario: Scenario) -> float:
    found = met(scenario)
    return found.factor if found else 0.0
