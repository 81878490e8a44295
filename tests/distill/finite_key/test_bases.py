"""Each basis proven by the other: limits, soundness of the sample, and what it costs."""

import math

import numpy as np
import pytest

from bellweave import rng
from bellweave.distill import theory
from bellweave.distill.finite_key import bases, proofs, tl17


def test_one_pair_is_the_pooled_theorem_with_the_other_basis_as_sample() -> None:
    one = bases.key_length([(50_000, 20_000)], 0.03, 10_200, 40, 1e-10)

    assert one == pytest.approx(tl17.key_length(50_000, 20_000, 0.03, 10_200, 40, 1e-10), abs=1e-3)


def test_it_agrees_with_tomamichel_lim_gisin_renner_to_a_percent() -> None:
    """Another proof of the same protocol, with an allowance of its own."""
    ours = bases.key_length([(1_000_000, 50_000)], 0.05, 315_000, 50, 1e-10)
    theirs = proofs.tlgr(1_000_000, 50_000, 0.05, 315_000, 1e-10, 1e-15)

    assert ours == pytest.approx(theirs, rel=0.01)


def test_two_pairs_cost_little_more_than_their_parts() -> None:
    both = bases.key_length([(50_000, 20_000), (40_000, 25_000)], 0.03, 20_000, 40, 1e-10)
    parts = [bases.key_length([pair], 0.03, 10_000, 40, 1e-10) for pair in ((50_000, 20_000), (40_000, 25_000))]

    assert sum(parts) - 150 < both < sum(parts)


@pytest.mark.parametrize("pairs", [[], [(0, 100)], [(100, 0)], [(100, 50), (50, 0)]])
def test_without_bits_or_without_a_sample_there_is_nothing(pairs: list[bases.Pair]) -> None:
    assert bases.key_length(pairs, 0.03, 10, 40, 1e-10) == -50


def test_a_basis_without_key_needs_no_sample_for_it() -> None:
    assert bases.key_length([(50_000, 20_000), (0, 0)], 0.03, 0, 40, 1e-10) > 0


def test_long_blocks_tend_to_the_asymptotic_rate() -> None:
    n = 10**12
    rate = bases.key_length([(n, n)], 0.05, 1.1 * n * theory.binary_entropy(0.05), 50, 1e-10) / n

    assert rate == pytest.approx(theory.shor_preskill(0.05, 0.05, 1.1), abs=1e-4)


def test_rounds_of_a_biased_choice_are_a_fair_sample_of_each_other() -> None:
    """Given how many there are, which of the sifted rounds fell on X is uniform: errors split hypergeometrically.

    A fixed set of 60 of 600 rounds would err in X. Both parties choose X with probability 0.3. The share of these that
    land in the X sample must average to the sample's share of the rounds: 4 sigma over 3000 repetitions.
    """
    generator = rng.stream(1, "biased")
    excess = []
    for _ in range(3000):
        alice, bob = generator.random((2, 600)) < 0.3
        x, z = alice & bob, ~alice & ~bob
        sample, key = int(x.sum()), int(z.sum())
        errors = np.array([int(x[:60].sum()), int(z[:60].sum())])
        excess.append(errors[0] - errors.sum() * sample / (sample + key))
    mean = float(np.mean(excess))

    assert abs(mean) < 4.0 * float(np.std(excess)) / math.sqrt(len(excess))
