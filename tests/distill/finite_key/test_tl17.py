"""The proof's numbers, against the check values of facts/distillation.md, section 7."""

import math

import pytest

from bellweave.distill import finite_key


@pytest.mark.parametrize(
    ("key", "sample", "threshold", "nu", "leak", "failure", "length"),
    [
        (10_000, 10_000, 0.01, 0.07, 900, 2.295351e-11, 4971.948),
        (50_000, 20_000, 0.03, 0.041, 10_200, 3.726058e-11, 21209.290),
        (1_000_000, 200_000, 0.05, 0.012, 300_000, 3.775588e-11, 364557.857),
    ],
)
def test_lengths_at_fixed_nu(
    key: int, sample: int, threshold: float, nu: float, leak: int, failure: float, length: float
) -> None:
    got = finite_key.sampling_failure(key, sample, nu)
    amplification = 1e-10 - 2.0**-40 - 2 * got

    assert got == pytest.approx(failure, rel=2e-7)
    assert finite_key.key_length_at(key, leak, threshold, nu, 40, amplification) == pytest.approx(length, abs=5e-4)


@pytest.mark.parametrize(
    ("key", "sample", "threshold", "leak", "printed", "best"),
    [
        (10_000, 10_000, 0.01, 900, 4998.3, 5001.630),
        (50_000, 20_000, 0.03, 10_200, 21238.5, 21244.115),
        (100_000, 40_000, 0.064, 36_200, 19094.6, 19099.578),
        (1_000_000, 200_000, 0.05, 300_000, 364808.2, 364809.353),
    ],
)
def test_lengths_at_the_best_nu(
    key: int, sample: int, threshold: float, leak: int, printed: float, best: float
) -> None:
    """The facts page's values come from 40 steps in nu; 400 000 steps give up to 6 bits more, and so do we."""
    length = finite_key.key_length(key, sample, threshold, leak, 40, 1e-10)

    assert printed <= length < printed + 6.0
    assert length == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize(
    ("key", "sample", "threshold", "leak", "epsilon", "length"),
    [
        (1832, 609, 0.064, 696, 1e-10, -572),
        (1832, 609, 0.064, 696, 1e-6, -401),
        (1832, 609, 0.064, 696, 1e-2, -113),
        (918, 306, 0.0, 352, 1e-10, -377),
        (918, 306, 0.0, 352, 1e-6, -254),
        (918, 306, 0.058, 352, 1e-10, -423),
    ],
)
def test_the_papers_single_blocks_give_no_key(
    key: int, sample: int, threshold: float, leak: int, epsilon: float, length: float
) -> None:
    tag_bits = math.ceil(math.log2(100 / epsilon))

    assert finite_key.key_length(key, sample, threshold, leak, tag_bits, epsilon) == pytest.approx(length, abs=1.5)


def test_no_nu_beats_the_best_one() -> None:
    key, sample, threshold, leak, epsilon = 50_000, 20_000, 0.03, 10_200, 1e-10
    best = finite_key.key_length(key, sample, threshold, leak, 40, epsilon)
    for step in range(1, 400):
        nu = 0.03 + step * 1e-4
        amplification = epsilon - 2.0**-40 - 2 * finite_key.sampling_failure(key, sample, nu)
        if amplification > 0:
            assert finite_key.key_length_at(key, leak, threshold, nu, 40, amplification) <= best + 1e-6


@pytest.mark.parametrize(("key", "sample", "tag_bits"), [(1000, 0, 50), (0, 1000, 50), (1000, 1000, 33)])
def test_where_the_proof_can_not_hold_there_is_no_key(key: int, sample: int, tag_bits: int) -> None:
    """No sample, no bits, or a tag that alone fails more often than epsilon = 1e-10."""
    assert finite_key.key_length(key, sample, 0.01, 10, tag_bits, 1e-10) == -10 - tag_bits
