"""Drift of a node's polarisation (or phase) frame: a random walk that feedback pulls back; and its closed forms.

The misalignment angle is a rotation of the Bloch sphere. Between corrections its variance grows by ``rate^2`` an hour;
a correction leaves ``1 - correction`` of the angle.
"""

import math

from numpy.random import Generator

from bellweave.network.params import Drift

HOUR_S = 3600.0


class Walk:
    """The angle of one node, asked for at moments that do not decrease.

    Args:
        params: Rate and feedback.
        draw: The node's own stream, such as ``rng.stream(seed, "node", name, "drift")``.
    """

    def __init__(self, params: Drift, draw: Generator) -> None:
        self._params = params
        self._draw = draw
        self._now_s = 0.0
        self._corrections = 0
        self._angle_rad = 0.0

    def angle_rad(self, now_s: float) -> float:
        """Return the angle at a moment.

        Raises:
            ValueError: If the moment lies before the last one.
        """
        if now_s < self._now_s:
            raise ValueError(f"a walk goes forward: {now_s} s comes after {self._now_s} s")
        while (next_s := (self._corrections + 1) * self._params.feedback_s) <= now_s:
            self._wander(next_s)
            self._angle_rad *= 1.0 - self._params.correction
            self._corrections += 1
        self._wander(now_s)
        return self._angle_rad

    def _wander(self, until_s: float) -> None:
        sigma_rad = self._params.rad_per_sqrt_hour * math.sqrt((until_s - self._now_s) / HOUR_S)
        self._angle_rad += float(self._draw.normal(0.0, sigma_rad)) if sigma_rad > 0.0 else 0.0
        self._now_s = until_s


def variance_rad2(params: Drift, now_s: float) -> float:
    """Return the variance of the angle at a moment, starting from 0.

    After n corrections, v_n = k (v_(n-1) + r^2 F) with k = (1 - correction)^2 and F the feedback period, and then it
    grows linearly.

    >>> round(variance_rad2(Drift(rad_per_sqrt_hour=0.2, feedback_s=3600.0, correction=0.5), 7200.0), 6)
    0.0125
    """
    rate_rad2_per_s = params.rad_per_sqrt_hour**2 / HOUR_S
    corrections = math.floor(now_s / params.feedback_s)
    keep = (1.0 - params.correction) ** 2
    gained = rate_rad2_per_s * params.feedback_s
    settled = gained * corrections if keep == 1.0 else gained * keep * (1.0 - keep**corrections) / (1.0 - keep)
    return settled + rate_rad2_per_s * (now_s - corrections * params.feedback_s)


def qber(variance: float) -> float:
    """Return the mean QBER that a Gaussian angle of this variance (rad^2) adds alone: (1 - exp(-v/2))/2.

    >>> round(qber(0.01), 6)
    0.002494
    """
    return -math.expm1(-variance / 2.0) / 2.0
