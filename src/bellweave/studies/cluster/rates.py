"""Simulated rates and times of chains, with their errors: what the points of the figures are."""

import math
from collections.abc import Sequence

import numpy as np

from bellweave import rng
from bellweave.network.wide.chains.run import Chain
from bellweave.network.wide.theory import distribution_rate, success_probability
from bellweave.network.wide.topology import Topology, chain
from bellweave.results.panels import Point

ATTEMPT_S = 145e-6
LOSS_DB_PER_KM = 0.4

BATCHES = 16
"""Parts of a run whose means give its error."""

PAIRS_A_BATCH = 150.0
"""Pairs that a batch should have; rare pairs get fewer."""

MOST_SLOTS = 400_000
"""Longest batch, in attempt periods."""


def equal_hops(hops: int, length_km: float, units: int, swap: float) -> Topology:
    """Return a chain as the paper has it: Eq. 7 for every hop, swaps that take no time, no noise."""
    success = success_probability(length_km, LOSS_DB_PER_KM)
    return chain(hops, length_km=length_km, success=success, units=units, swap_probability=swap, attempt_s=ATTEMPT_S)


def rate(seed: int, name: Sequence[str | int], hops: int, length_km: float, units: int, swap: float, x: float) -> Point:
    """Return the rate of end-to-end pairs of a chain in pairs per attempt period, in steady state.

    Spans are halved (``nested``) and memories finite, so it lies below Eq. 9, which knows no full memory.
    """
    topology = equal_hops(hops, length_km, units, swap)
    bound = distribution_rate(hops, units, success_probability(length_km, LOSS_DB_PER_KM), swap)
    slots = int(min(MOST_SLOTS, max(200.0, PAIRS_A_BATCH / max(bound, 1e-12))))
    running = Chain(
        topology,
        range(hops + 1),
        rng.stream(seed, "cluster", *name),
        order="nested",
    )
    running.advance(slots * ATTEMPT_S)
    counts = [len(running.advance((2 + batch) * slots * ATTEMPT_S)) / slots for batch in range(BATCHES)]
    return Point(x, float(np.mean(counts)), float(np.std(counts, ddof=1) / math.sqrt(BATCHES)), BATCHES)


def time_s(chains: Sequence[Chain], pairs: int, guess_s: float) -> float:
    """Return when the last of some chains has delivered so many pairs, from the start."""
    ends = []
    for each in chains:
        have, until_s = 0, 0.0
        while have < pairs:
            until_s += guess_s / 4.0
            delivered = each.advance(until_s)
            if have + len(delivered) >= pairs:
                ends.append(float(delivered.at_s[pairs - have - 1]))
            have += len(delivered)
    return max(ends)


def repeated(x: float, values: Sequence[float]) -> Point:
    """Return the mean of independent repetitions with its error."""
    return Point(x, float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values))), len(values))
