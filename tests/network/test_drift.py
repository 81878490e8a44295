"""Drift: the walk against its closed form."""

import math

import numpy as np
import pytest

from bellweave import rng
from bellweave.network.drift import Walk, qber, variance_rad2
from bellweave.network.params import Drift


@pytest.mark.agreement
@pytest.mark.parametrize("now_s", [100.0, 300.0, 450.0, 1000.0, 5000.0])
@pytest.mark.parametrize("correction", [0.0, 0.5, 1.0])
def test_the_variance_of_many_walks_is_the_closed_form_within_four_sigma(now_s: float, correction: float) -> None:
    params = Drift(rad_per_sqrt_hour=0.3, feedback_s=300.0, correction=correction)
    walks = 4000
    angles = np.array([Walk(params, rng.stream(7, "walk", n)).angle_rad(now_s) for n in range(walks)])

    expected = variance_rad2(params, now_s)

    assert abs(float(np.mean(angles**2)) - expected) <= 4.0 * expected * math.sqrt(2.0 / walks)


@pytest.mark.agreement
def test_the_qber_of_a_gaussian_angle_is_the_closed_form() -> None:
    draw = rng.stream(8, "angles")
    variance = 0.09
    flips = np.sin(draw.normal(0.0, math.sqrt(variance), 200_000) / 2.0) ** 2

    sigma = float(np.std(flips)) / math.sqrt(flips.size)

    assert abs(float(np.mean(flips)) - qber(variance)) <= 4.0 * sigma


def test_without_drift_the_angle_stays_zero() -> None:
    params = Drift(rad_per_sqrt_hour=0.0)

    assert Walk(params, rng.stream(1, "still")).angle_rad(1e5) == 0.0


def test_a_walk_does_not_go_back() -> None:
    walk = Walk(Drift(rad_per_sqrt_hour=0.1), rng.stream(1, "walk"))
    walk.angle_rad(10.0)

    with pytest.raises(ValueError, match=r"9\.0 s comes after 10\.0 s"):
        walk.angle_rad(9.0)
