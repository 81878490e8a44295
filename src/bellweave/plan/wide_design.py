"""How many repeaters, and which memories, for so much key over such a distance: candidates, compared.

For each number of repeaters on equal hops:

1. The closed form says how many memory units a hop needs at least: Eq. 9, with the time in which a unit's pair is
   measured taken off (a bound: pairs find partners at once).
2. The kernel runs the chain, with more units until the pairs are enough.
3. With these units it runs again with shorter and shorter memory lifetimes: the shortest that keeps nine tenths of
   the key.
4. In ``physical`` mode the key is what finite blocks of pairs in these states mint, by Ekert91
   (:mod:`bellweave.plan.wide_key`), and beside the lifetime stands the shortest coherence time that keeps nine tenths.
5. In ``physical`` mode hops may purify: where the closed form asks for fewer units with some rounds of DEJMPS than
   without, the kernel runs both, and the one that takes fewer units is the candidate.

The best candidate takes the fewest memory units in total. A run of a second has a statistical error of about the square
root of its pairs; candidates are judged by their runs, so another seed may give a unit more or less.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import msgspec
import numpy as np

from bellweave.errors import ScenarioError
from bellweave.network.wide import states, theory
from bellweave.network.wide.params import Demand, Hop, Master, Purification, Slave
from bellweave.plan.wide_trial import MOST_UNITS, Generate, Trial, Wish, attempt_s, fresh
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import backbone_of

TIMES_S = (1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2, 5e-2, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 100.0)
"""Lifetimes and coherence times that are tried."""

NEARLY = 0.9
"""Memories that keep so much of the key of endless ones are long enough."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One number of repeaters.

    Attributes:
        repeaters: On the way.
        hop_km: Between two.
        success: Of one attempt (Eq. 7).
        attempt_s: Its period.
        units_at_least: On each side of a hop, by the closed form; null: more than are looked at.
        units: That are enough, by the kernel; null: none.
        total_units: In all nodes together; null with ``units``.
        lifetime_s: Shortest memory lifetime that keeps nine tenths of the key; null: none of those tried.
        coherence_s: The same of the coherence time, in ``physical`` mode.
        pairs_per_s, bits_per_s: Of the run with ``units`` and endless memories.
        fidelity: Mean of its pairs.
        rounds: Of purification on every hop; 0: none.
        trusted_bits_per_s: Key with trusted nodes in the repeaters' places and the same units: hops make key of their
            own pairs, and nothing waits.
        why: What stands in the way, if ``units`` is null.
    """

    repeaters: int
    hop_km: float
    success: float
    attempt_s: float
    units_at_least: int | None
    units: int | None = None
    total_units: int | None = None
    lifetime_s: float | None = None
    coherence_s: float | None = None
    pairs_per_s: float | None = None
    bits_per_s: float | None = None
    fidelity: float | None = None
    trusted_bits_per_s: float | None = None
    rounds: int = 0
    why: str = ""


class WideDesign(msgspec.Struct, frozen=True, kw_only=True):
    """All candidates, and the best.

    Attributes:
        wish: What was asked.
        candidates: By number of repeaters.
        best: Its number of repeaters; null: no candidate will do.
    """

    wish: Wish
    candidates: tuple[Candidate, ...]
    best: int | None


def design(wish: Wish, repeaters: tuple[int, ...], stream: Generate) -> WideDesign:
    """Return candidates for a wish.

    Args:
        wish: What is wanted.
        repeaters: Numbers to look at.
        stream: Makes random streams for the kernel.

    Raises:
        ScenarioError: The wish makes no sense.
    """
    if wish.distance_km <= 0.0 or wish.bits_per_s <= 0.0:
        raise ScenarioError(f"a distance and a rate are > 0, got {wish.distance_km:g} km, {wish.bits_per_s:g} bit/s")
    if wish.swap_order == "optimal":
        raise ScenarioError("give hop-by-hop, nested or asap", path="backbone.swap_order")
    found = tuple(_candidate(wish, number, stream) for number in repeaters)
    able = [each for each in found if each.total_units is not None]
    best = min(able, key=lambda each: (each.total_units, each.repeaters), default=None)
    return WideDesign(wish=wish, candidates=found, best=None if best is None else best.repeaters)


def numbers(distance_km: float, longest_km: float = 150.0, shortest_km: float = 10.0) -> tuple[int, ...]:
    """Return numbers of repeaters worth looking at, about a dozen: hops between the two lengths.

    >>> numbers(500.0)
    (3, 4, 5, 7, 9, 12, 15, 19, 24, 31, 39, 49)
    """
    fewest = max(0, math.ceil(distance_km / longest_km) - 1)
    most = max(fewest, math.floor(distance_km / shortest_km) - 1)
    return tuple(sorted({round(float(step)) - 1 for step in np.geomspace(fewest + 1, most + 1, 12)}))


def _candidate(wish: Wish, repeaters: int, stream: Generate) -> Candidate:
    hop_km = wish.distance_km / (repeaters + 1)
    trial, units, least = _chosen(wish, repeaters, stream)
    plain = Candidate(
        repeaters=repeaters,
        hop_km=hop_km,
        success=theory.success_probability(hop_km, wish.loss_db_per_km),
        attempt_s=attempt_s(wish, hop_km),
        units_at_least=least,
        rounds=trial.rounds,
    )
    if least is None:
        return msgspec.structs.replace(plain, why=trial.problem())
    if units is None:
        return msgspec.structs.replace(plain, why=f"more than {MOST_UNITS} units on a hop")
    run = trial.run(units)
    nearly = NEARLY * run.bits_per_s
    lifetime_s = _shortest(lambda time_s: trial.run(units, lifetime_s=time_s).bits_per_s >= nearly)
    coherence_s = None
    if wish.mode == "physical":
        coherence_s = _shortest(lambda time_s: trial.run(units, coherence_s=time_s).bits_per_s >= nearly)
    hop_rate = units * plain.success / plain.attempt_s
    return msgspec.structs.replace(
        plain,
        units=units,
        total_units=2 * units * (repeaters + 1),
        lifetime_s=lifetime_s,
        coherence_s=coherence_s,
        pairs_per_s=run.pairs_per_s,
        bits_per_s=run.bits_per_s,
        fidelity=run.fidelity,
        trusted_bits_per_s=hop_rate * trial.fraction(states.werner(fresh(wish))),
    )


def _chosen(wish: Wish, repeaters: int, stream: Generate) -> tuple[Trial, int | None, int | None]:
    """Return the trial that takes the fewest units, those units by the kernel, and those by the closed form."""
    plain = Trial(wish, repeaters, stream)
    least = plain.least_units()
    options = [(plain, least)]
    if wish.mode == "physical":
        purified = [Trial(wish, repeaters, stream, rounds) for rounds in range(1, wish.most_rounds + 1)]
        able = [(units, trial) for trial in purified if (units := trial.least_units()) is not None]
        fewest = min(able, key=lambda each: each[0], default=None)
        if fewest is not None and (least is None or fewest[0] < least):
            options.append((fewest[1], fewest[0]))
    tried = [(trial, bound, None if bound is None else trial.enough_units(bound)) for trial, bound in options]
    best = min(tried, key=lambda each: (each[2] is None, each[2] or 0, each[1] is None, each[0].rounds))
    return best[0], best[2], best[1]


def _shortest(enough: Callable[[float], bool]) -> float | None:
    """Return the first of the times that is enough, all longer ones being so too; None if the longest is not."""
    low, high = -1, len(TIMES_S)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(TIMES_S[middle]) else (middle, high)
    return TIMES_S[high] if high < len(TIMES_S) else None


def scenario_of(given: Scenario, design: WideDesign) -> Scenario:
    """Return a scenario whose one demand runs over the best candidate: its outermost repeaters are the two masters.

    Raises:
        ScenarioError: There is no best, or it has fewer than two repeaters.
    """
    wish = design.wish
    best = next((each for each in design.candidates if each.repeaters == design.best), None)
    if best is None or best.units is None or best.repeaters < 2:
        raise ScenarioError("clusters at both ends take two repeaters or more, and units that are enough")
    memory = msgspec.structs.replace(wish.repeater.memory, lifetime_s=best.lifetime_s, coherence_s=best.coherence_s)
    like = msgspec.structs.replace(wish.repeater, memory=memory)
    visibility = float(states.weight_of(fresh(wish)))
    names = ["west", *(f"r{number}" for number in range(1, best.repeaters - 1)), "east"]
    km, loss, units = best.hop_km, wish.loss_db_per_km, best.units
    ends = {"alice": "west", "bob": "east"}
    slaves = {
        name: Slave(
            master=master, length_km=km, loss_db_per_km=loss, units=units, memory=memory, hosts=(f"{name}-host",)
        )
        for name, master in ends.items()
    }
    backbone = msgspec.structs.replace(
        backbone_of(given),
        mode=wish.mode,
        swap_order=wish.swap_order,
        light_km_per_s=wish.light_km_per_s,
        block_pairs=wish.block_pairs,
        purification=Purification(protocol="dejmps", rounds=best.rounds) if best.rounds else None,
    )
    return Scenario(
        format=1,
        name=f"{wish.distance_km:g}km",
        description=f"{best.repeaters} repeaters on {wish.distance_km:g} km, designed for {wish.bits_per_s:g} bit/s.",
        master={name: Master(visibility=visibility, repeater=like) for name in ends.values()},
        slave=slaves,
        repeater=dict.fromkeys(names[1:-1], like),
        hop={
            f"{a}-{b}": Hop(a=a, b=b, length_km=km, loss_db_per_km=loss, units=units, fidelity=fresh(wish))
            for a, b in pairwise(names)
        },
        backbone=backbone,
        demand={"alice-bob": Demand(a="alice", b="bob")},
        distill=wish.distill,
        kms=given.kms,
        run=given.run,
    )
