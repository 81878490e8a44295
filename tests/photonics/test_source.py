"""Emission times and pair numbers."""

import math

import numpy as np
import pytest

from bellweave.photonics import source
from bellweave.photonics.params import CwSource, PulsedSource
from bellweave.rng import stream


def test_continuous_pairs_are_poisson_and_uniform() -> None:
    drawn = source.pairs(CwSource(pair_rate_hz=200_000.0), 2.0, 0.5, stream(1, "x")).time_ps

    assert abs(drawn.size - 200_000) < 4.0 * math.sqrt(200_000)
    assert 0 <= drawn.min() <= drawn.max() < 2 * 10**12
    assert abs(drawn.mean() / 10**12 - 1.0) < 4.0 * 2.0 / math.sqrt(12 * drawn.size)


def test_the_papers_detected_rate_is_the_emitted_one_over_the_efficiency_squared() -> None:
    assert CwSource(local_pair_rate_hz=8200.0).emitted_pair_rate_hz == 8200.0
    assert math.isclose(CwSource(local_pair_rate_hz=8200.0, local_efficiency=0.5).emitted_pair_rate_hz, 32_800.0)


def test_pulses_stand_at_their_nominal_times() -> None:
    pulsed = PulsedSource(repetition_rate_hz=3e6, mean_pairs_per_pulse=0.1)

    assert source.pulse_time_ps(pulsed, np.array([0, 1, 2, 3])).tolist() == [0, 333_333, 666_667, 1_000_000]
    assert source.pulses(pulsed, 0.5) == 1_500_000
    drawn = source.pairs(pulsed, 0.5, 0.2, stream(1, "x")).time_ps
    index = np.rint(drawn * 3e-6).astype(np.int64)
    assert np.array_equal(drawn, source.pulse_time_ps(pulsed, index))
    assert index.max() < 1_500_000
    assert abs(drawn.size - 30_000) < 4.0 * math.sqrt(30_000)


@pytest.mark.parametrize(("mean", "keep"), [(0.3, 1.0), (3.0, 0.4), (0.05, 0.3)])
def test_thermal_pair_numbers_are_those_of_two_modes(mean: float, keep: float) -> None:
    """P(n) = (n + 1) x^n (1 - x)^2, x = m / (1 + m), m half the mean; thinning scales the mean. 4 sigma."""
    pulsed = PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=mean, statistics="thermal")
    drawn = source.pairs(pulsed, 0.2, keep, stream(1, "x"))

    assert drawn.pulse is not None
    number = np.bincount(drawn.pulse)
    assert number.min() == 1
    assert np.unique(drawn.time_ps).size == number.size
    assert np.array_equal(drawn.time_ps, source.pulse_time_ps(pulsed, np.rint(drawn.time_ps * 1e-6).astype(np.int64)))
    share = 0.5 * mean * keep / (1.0 + 0.5 * mean * keep)
    for pairs in range(1, 6):
        expected = 200_000 * (pairs + 1) * share**pairs * (1.0 - share) ** 2
        assert abs((number == pairs).sum() - expected) < 4.0 * math.sqrt(expected) + 1.0


def test_nothing_is_kept_with_probability_zero() -> None:
    for statistics in ("poisson", "thermal"):
        pulsed = PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=1.0, statistics=statistics)
        assert source.pairs(pulsed, 1.0, 0.0, stream(1, "x")).time_ps.size == 0


def test_a_thermal_source_of_many_empty_pulses_costs_only_the_busy_ones() -> None:
    pulsed = PulsedSource(repetition_rate_hz=1e11, mean_pairs_per_pulse=1e-9, statistics="thermal")

    assert abs(source.pairs(pulsed, 10.0, 1.0, stream(1, "x")).time_ps.size - 1000) < 4.0 * math.sqrt(1000)
