"""One number of repeaters under trial: what the closed form asks for, and what a run of the kernel gives."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np

from bellweave.bell import ekert_settings
from bellweave.distill.params import Distillation
from bellweave.network.wide import states, theory
from bellweave.network.wide.chains.run import Chain
from bellweave.network.wide.params import Purification, Repeater, SwapOrder
from bellweave.network.wide.purification import after, errors, least_units
from bellweave.network.wide.topology import Topology, uniform
from bellweave.plan.wide_key import pairs_bits
from bellweave.scenario.wide import ATTEMPT_S, swap_fidelity

MOST_UNITS = 2000
"""On a hop; candidates that need more are none."""

LEAST_PAIRS = 400
"""A run lasts until so many pairs are expected: 5 % statistical error."""

SHORTEST_RUN_S, LONGEST_RUN_S = 0.25, 20.0

STEADY = 4.0
"""Runs with a lifetime are so many times as long: where pairs are dropped, rates swing for tenths of a second."""

WARM_UP = 0.3
"""Share of a run that is waited before pairs are counted."""

GROWTH = 1.15
"""Units are raised by so much at least, from one run to the next."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, and what with.

    Attributes:
        distance_km: From end to end.
        bits_per_s: Key.
        loss_db_per_km: Of the fibre.
        repeater: What each repeater is like, and how the ends measure.
        fidelity: Of fresh pairs, in ``physical`` mode.
        mode: ``paper``: one pair is one key bit.
        swap_order: As in a scenario; not ``optimal``.
        light_km_per_s: In fibre.
        distill, epsilon, block_pairs: How key is distilled in ``physical`` mode, of blocks of so many pairs; epsilon
            is that of the CHSH test.
        most_rounds: Rounds of DEJMPS purification that are looked at in ``physical`` mode.
    """

    distance_km: float
    bits_per_s: float
    loss_db_per_km: float = 0.4
    repeater: Repeater = msgspec.field(default_factory=Repeater)
    fidelity: float = 1.0
    mode: Literal["paper", "physical"] = "paper"
    swap_order: SwapOrder = "asap"
    light_km_per_s: float = 2.0e5
    distill: Distillation = msgspec.field(default_factory=Distillation)
    epsilon: float = 1e-10
    block_pairs: int = 100_000
    most_rounds: int = 3


Generate = Callable[[str], np.random.Generator]
"""Makes the random stream of that name."""


@dataclass(frozen=True)
class Ran:
    """What a run of the kernel gave."""

    pairs_per_s: float
    bits_per_s: float
    fidelity: float | None


@dataclass(frozen=True)
class Trial:
    """One number of repeaters under trial, with so many rounds of purification on every hop."""

    wish: Wish
    repeaters: int
    stream: Generate
    rounds: int = 0

    @property
    def purification(self) -> Purification | None:
        """How hops purify."""
        return Purification(protocol="dejmps", rounds=self.rounds) if self.rounds else None

    def least_units(self) -> int | None:
        """Return the units that the closed form asks for, or None beyond the most."""
        wish, hops = self.wish, self.repeaters + 1
        hop_km = wish.distance_km / hops
        success = theory.success_probability(hop_km, wish.loss_db_per_km)
        busy_s = wish.repeater.measurement_s + wish.repeater.memory.retrieval_s
        cycle_s = attempt_s(wish, hop_km) + success * busy_s
        links, _ = self._hop()
        each = theory.distribution_rate(hops, 1, success, wish.repeater.swap_probability) / (cycle_s * links)
        needed = wish.bits_per_s / (each * self.best_fraction()) if each * self.best_fraction() > 0.0 else math.inf
        return max(math.ceil(needed), least_units(self.purification)) if needed <= MOST_UNITS else None

    def _hop(self) -> tuple[float, states.Reals]:
        """Return the links that a hop's pair takes on average, and the populations of a pair as it is swapped."""
        state = states.werner(fresh(self.wish))
        if self.purification is None:
            return 1.0, state
        err = errors(chain_of(self.wish, 0, 1, lifetime_s=math.inf, coherence_s=math.inf), 0)
        links, state = after(fresh(self.wish), self.purification, err)
        return float(links), state

    def best_fraction(self) -> float:
        """Return the key of a pair that was stored no longer than it takes."""
        quality = 1.0 if self.wish.mode == "paper" else swap_fidelity(self.wish.repeater)
        links = states.correlations(self._hop()[1]) ** (self.repeaters + 1)
        return self.fraction(states.populations(links * float(states.weight_of(quality)) ** self.repeaters))

    def fraction(self, state: states.Reals) -> float:
        """Return the key bits of one pair in this state, in the blocks that a run would distil."""
        wish = self.wish
        if wish.mode == "paper":
            return 1.0
        settings = ekert_settings("unbiased")
        return pairs_bits(state, settings, wish.epsilon, wish.distill, wish.block_pairs) / wish.block_pairs

    def problem(self) -> str:
        """Return why there are no units that would do."""
        if self.best_fraction() <= 0.0:
            return f"so many swaps and links leave no entanglement that gives key in blocks of {self.wish.block_pairs}"
        return f"more than {MOST_UNITS} units on a hop"

    def enough_units(self, least: int) -> int | None:
        """Return the fewest units, within a twentieth, whose run is enough."""
        few, units = least - 1, least
        while (rate := self.run(units).bits_per_s) < self.wish.bits_per_s:
            few, factor = units, min(2.0, max(GROWTH, self.wish.bits_per_s / max(rate, 1e-9)))
            units = max(units + 1, math.ceil(units * factor))
            if units > MOST_UNITS:
                return None
        while units - few > max(1, units // 20):
            middle = (units + few) // 2
            if self.run(middle).bits_per_s >= self.wish.bits_per_s:
                units = middle
            else:
                few = middle
        return units

    def run(self, units: int, *, lifetime_s: float = math.inf, coherence_s: float = math.inf) -> Ran:
        """Run the chain, after as long as its first pair may take."""
        wish = self.wish
        expected = wish.bits_per_s / max(self.best_fraction(), 1e-6)
        length_s = min(LONGEST_RUN_S, max(SHORTEST_RUN_S, LEAST_PAIRS / expected))
        length_s *= STEADY if math.isfinite(lifetime_s) else 1.0
        net = chain_of(wish, self.repeaters, units, lifetime_s=lifetime_s, coherence_s=coherence_s)
        name = f"{self.repeaters} repeaters, {units} units, {lifetime_s!r} s, {coherence_s!r} s"
        name += f", {self.rounds} rounds" if self.rounds else ""
        chain = Chain(
            net,
            range(net.nodes),
            self.stream(name),
            order=wish.swap_order,
            mode=wish.mode,
            light_km_per_s=wish.light_km_per_s,
            purification=self.purification,
        )
        chain.advance(WARM_UP * length_s)
        got = chain.advance((1.0 + WARM_UP) * length_s)
        if not len(got):
            return Ran(0.0, 0.0, None)
        state = states.populations(got.correlation.mean(axis=0))
        per_s = len(got) / length_s
        return Ran(per_s, per_s * self.fraction(state), float(state[0]))


def chain_of(wish: Wish, repeaters: int, units: int, *, lifetime_s: float, coherence_s: float) -> Topology:
    """Return a candidate's chain; its ends measure like its repeaters and swap nothing."""
    hops = repeaters + 1
    hop_km = wish.distance_km / hops
    places = np.arange(hops, dtype=np.int32)
    chain = uniform(
        np.stack((places, places + 1), axis=1),
        hops + 1,
        length_km=hop_km,
        success=theory.success_probability(hop_km, wish.loss_db_per_km),
        attempt_s=attempt_s(wish, hop_km),
        units=units,
        fidelity=1.0 if wish.mode == "paper" else wish.fidelity,
        coherence_s=math.inf if wish.mode == "paper" else coherence_s,
        lifetime_s=lifetime_s,
    )
    swap = np.full(hops + 1, wish.repeater.swap_probability)
    swap[[0, -1]] = 0.0
    quality = 1.0 if wish.mode == "paper" else swap_fidelity(wish.repeater)
    return replace(
        chain,
        swap_probability=swap,
        measurement_s=np.full(hops + 1, wish.repeater.measurement_s),
        retrieval_s=np.full(hops + 1, wish.repeater.memory.retrieval_s),
        swap_fidelity=np.full(hops + 1, quality),
        gate_fidelity=np.full(hops + 1, wish.repeater.gate_fidelity),
        readout_error=np.full(hops + 1, wish.repeater.readout_error),
    )


def attempt_s(wish: Wish, hop_km: float) -> float:
    """Return the period of attempts on a hop."""
    return max(ATTEMPT_S, 2.0 * hop_km / wish.light_km_per_s)


def fresh(wish: Wish) -> float:
    """Return the fidelity of a fresh pair."""
    return 1.0 if wish.mode == "paper" else wish.fidelity
