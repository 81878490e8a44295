"""Units: the only place that converts them.

Names carry the unit (``length_km loss_db pair_rate_hz window_ps elapsed_s``); device times are integer picoseconds.
"""

import math

PS_PER_S = 1_000_000_000_000
"""Picoseconds in a second."""

PS_PER_NS = 1_000
"""Picoseconds in a nanosecond."""


def transmission(loss_db: float) -> float:
    """Return the fraction of photons, in [0, 1], that a loss of ``loss_db`` >= 0 lets through.

    Raises:
        ValueError: If the loss is negative: that would be gain.

    >>> round(transmission(3.0), 4)
    0.5012
    """
    if not loss_db >= 0.0:
        raise ValueError(f"loss_db must be >= 0, not {loss_db}")
    return float(10.0 ** (-loss_db / 10.0))


def to_db(fraction: float) -> float:
    """Return the loss in dB, >= 0, of a transmission in (0, 1]; infinity for 0.

    >>> round(to_db(0.5), 4)
    3.0103
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"a transmission lies in [0, 1], not {fraction}")
    return math.inf if fraction == 0.0 else -10.0 * math.log10(fraction)


def s_to_ps(seconds: float) -> int:
    """Return the nearest whole number of picoseconds."""
    return round(seconds * PS_PER_S)


def ps_to_s(picoseconds: float) -> float:
    """Return seconds."""
    return picoseconds / PS_PER_S
