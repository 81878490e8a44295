"""Two slaves of one cluster and their memories in a time slot: the model behind Fig. 6b.

At the beginning of a slot the master makes one attempt for every pair of memory units: both photons of a pair arrive,
each over its own fibre, or the pair is lost. Stored qubits are retrieved and measured one after the other; one that
reaches its lifetime before its turn is over is lost. Each measured pair is one key bit, as everywhere in the paper.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bellweave.network.wide.theory import MEASUREMENT_S, RETRIEVAL_S, success_probability

TURN_S = MEASUREMENT_S + RETRIEVAL_S


def stored_probability(length_km: float, loss_db_per_km: float) -> float:
    """Return the probability that both photons of a pair arrive, each over ``length_km``."""
    return success_probability(2.0 * length_km, loss_db_per_km)


def expected_keys(units: int, stored: float, lifetime_s: float) -> float:
    """Return the mean keys of a slot: E[min(S, lifetime / turn)], S binomial."""
    turns = math.floor(lifetime_s / TURN_S + 1e-9)
    counts = np.arange(units + 1)
    return float(np.sum(stats.binom.pmf(counts, units, stored) * np.minimum(counts, turns)))


def simulated_keys(
    generator: np.random.Generator, units: int, stored: float, lifetime_s: float, slots: int
) -> NDArray[np.int64]:
    """Return the keys of each of so many slots, qubit by qubit: stored or not, measured in time or not."""
    arrived = generator.random((slots, units)) < stored
    turn = np.cumsum(arrived, axis=1)
    in_time = turn * TURN_S <= lifetime_s + 1e-12
    keys: NDArray[np.int64] = np.sum(arrived & in_time, axis=1)
    return keys
