"""Exact waiting times against closed forms, brute force, and the limits that they must have."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.network.wide import theory
from bellweave.network.wide.waiting.distribution import Waiting, joined, nested, segment


@settings(deadline=None)
@given(st.floats(0.05, 1.0), st.floats(0.1, 1.0))
def test_two_segments_wait_as_long_as_the_closed_form_says(success: float, swap: float) -> None:
    waiting = nested(1, success, swap)
    assert waiting.tail < 1e-9
    assert waiting.mean == pytest.approx(theory.two_segment_attempts(success, swap), rel=1e-7)


@pytest.mark.parametrize("levels", [0, 1, 2, 3, 4])
def test_a_chain_that_never_fails_to_swap_waits_for_its_slowest_segment(levels: int) -> None:
    success, segments = 0.3, 2**levels
    periods = np.arange(2000)
    expected = float(np.sum(1.0 - (1.0 - (1.0 - success) ** periods) ** segments))
    assert nested(levels, success, 1.0).mean == pytest.approx(expected, rel=1e-9)


def test_what_is_cut_off_changes_nothing_below_it() -> None:
    short, long = nested(3, 0.4, 0.6, limit=64), nested(3, 0.4, 0.6, limit=4096)
    assert short.probability == pytest.approx(long.probability[:65], rel=1e-9, abs=1e-15)
    assert short.tail == pytest.approx(1.0 - long.probability[:65].sum(), abs=1e-12)
    assert short.mean_at_least < long.mean


def brute_force(half: Waiting, swap: float, cutoff: int, decay: float) -> Waiting:
    """The same by enumeration of rounds, period after period."""
    limit = len(half.probability) - 1
    came, came_weighted, given_up = np.zeros(limit + 1), np.zeros(limit + 1), np.zeros(limit + 1)
    f, w = half.probability, half.weight
    for a, b in itertools.product(range(limit + 1), repeat=2):
        if abs(a - b) <= cutoff:
            came[max(a, b)] += f[a] * f[b]
            came_weighted[max(a, b)] += f[a] * f[b] * w[a] * w[b] * math.exp(-decay * abs(a - b))
        elif min(a, b) + cutoff <= limit:
            given_up[min(a, b) + cutoff] += f[a] * f[b]
    beyond = 1.0 - f.sum()
    for a in range(limit + 1 - cutoff):  # the other half comes after the limit
        given_up[a + cutoff] += 2.0 * f[a] * beyond
    again = given_up + (1.0 - swap) * came
    start = np.zeros(limit + 1)  # P(a round starts at t)
    start[0] = 1.0
    for t in range(1, limit + 1):
        start[t] = sum(start[t - s] * again[s] for s in range(1, t + 1))
    probability = swap * np.convolve(start, came)[: limit + 1]
    with_weight = swap * np.convolve(start, came_weighted)[: limit + 1]
    return Waiting(probability, np.divide(with_weight, probability, out=np.zeros(limit + 1), where=probability > 0))


@pytest.mark.parametrize(("cutoff", "decay"), [(0, 0.0), (2, 0.1), (5, 0.3), (25, 0.0)])
def test_cutoffs_and_decay_are_those_of_an_enumeration(cutoff: int, decay: float) -> None:
    fast, slow = segment(0.35, 40, 0.9), segment(0.35, 40, 0.9)
    for _ in range(2):
        fast, slow = joined(fast, 0.7, cutoff=cutoff, decay=decay), brute_force(slow, 0.7, cutoff, decay)
    assert fast.probability == pytest.approx(slow.probability, abs=1e-12)
    likely = slow.probability > 1e-6
    assert fast.weight[likely] == pytest.approx(slow.weight[likely], rel=1e-6)


def test_a_shorter_cutoff_waits_longer_for_a_better_pair() -> None:
    chains = [nested(2, 0.2, 0.5, cutoff=cutoff, decay=0.02, weight=0.95) for cutoff in (3, 10, 30, None)]
    means = [chain.mean for chain in chains]
    weights = [chain.mean_weight for chain in chains]
    assert means == sorted(means, reverse=True)
    assert weights == sorted(weights, reverse=True)


def test_without_decay_every_pair_is_the_product_of_its_links_and_swaps() -> None:
    waiting = nested(2, 0.5, 0.5, weight=0.9, swap_weight=0.95, limit=500)
    assert waiting.weight[5:100] == pytest.approx(np.full(95, 0.9**4 * 0.95**3), rel=1e-6)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        segment(0.0, 10)
    with pytest.raises(ValueError, match="-1"):
        joined(segment(0.5, 10), 0.5, cutoff=-1)
