"""Where the times of two nodes agree: the coarse clock offset by Fourier transform, then differences click by click."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellweave.blocks import Ints
from bellweave.errors import BellweaveError

Floats = NDArray[np.float64]

MAX_BINS = 1 << 22
"""Longest Fourier transform: about half a second of work and 200 MB."""

MIN_BIN_PS = 50_000
"""Finest coarse bin: wider than any set of cable delays, so that all channels share a peak."""

CHANCE_LIMIT = 1e-9
"""A peak counts if unrelated clicks would give one as high, anywhere in the search, less often than this."""

MAX_DIFFERENCES = 20_000_000


class NoPeakError(BellweaveError):
    """Two records have no significant correlation within the limits of the search."""


@dataclass(frozen=True)
class CoarsePeak:
    """The highest peak of a cross-correlation.

    Attributes:
        offset_ps: Bob's clock minus Alice's, to within ``bin_ps``.
        bin_ps: Width of the bins.
        coincidences: Pairs of clicks in the peak (two adjacent bins).
        expected: Pairs that unrelated clicks give there.
        sigmas: How far the peak is above the expectation, in standard deviations over all offsets searched.
        chance: Probability that unrelated clicks give such a peak anywhere in the search (at most 1).
    """

    offset_ps: int
    bin_ps: int
    coincidences: int
    expected: float
    sigmas: float
    chance: float


def coarse_offset(alice_ps: Ints, bob_ps: Ints, search_ps: int) -> CoarsePeak:
    """Find the clock offset, Bob's minus Alice's, within +- ``search_ps``.

    Args:
        alice_ps: Alice's times, shape (n,), non-decreasing.
        bob_ps: Bob's times in a slice, shape (m,), non-decreasing.
        search_ps: Largest offset that is looked for, either way.

    Raises:
        NoPeakError: If no peak is significant; says how high the highest was, and the limit.
    """
    # a second or two of import, and 80 MB, which nobody pays whose clocks are known
    from scipy.signal import correlate  # noqa: PLC0415
    from scipy.stats import poisson  # noqa: PLC0415

    if bob_ps.size < 2 or alice_ps.size < 2:
        raise NoPeakError(
            f"no offset to be found from {alice_ps.size} clicks of Alice and {bob_ps.size} of Bob in a slice"
        )
    start, end = int(bob_ps[0]), int(bob_ps[-1])
    bin_ps = max(MIN_BIN_PS, -(-(end - start + 2 * search_ps) // MAX_BINS))
    lags = 2 * (search_ps // bin_ps + 2)
    first = start - lags // 2 * bin_ps
    bins = (end - start) // bin_ps + 1
    own = alice_ps[slice(*np.searchsorted(alice_ps, (first, first + (bins + lags) * bin_ps)))]
    counts_a = np.bincount((own - first) // bin_ps, minlength=bins + lags).astype(np.float64)
    counts_b = np.bincount((bob_ps - start) // bin_ps, minlength=bins).astype(np.float64)
    pairs = np.rint(correlate(counts_a, counts_b, mode="valid", method="fft"))
    doubled = pairs[:-1] + pairs[1:]  # the true offset falls between two bins
    best = int(np.argmax(doubled))
    expected, spread = float(np.median(doubled)), float(max(np.std(doubled), 1e-9))
    mean = max(expected, float(np.mean(doubled)), 1e-3)
    chance = min(1.0, float(poisson.sf(doubled[best] - 1, mean)) * doubled.size)
    peak = CoarsePeak(
        offset_ps=(lags // 2 - best) * bin_ps - bin_ps // 2,
        bin_ps=bin_ps,
        coincidences=int(doubled[best]),
        expected=expected,
        sigmas=float(doubled[best] - expected) / spread,
        chance=chance,
    )
    if chance > CHANCE_LIMIT:
        raise NoPeakError(
            f"no clock offset found within +-{search_ps} ps: the highest of {doubled.size} places has "
            f"{peak.coincidences} coincidences where chance gives {expected:.1f} ({peak.sigmas:.1f} sigma); unrelated "
            f"clicks do that with probability {chance:.1e}, the limit is {CHANCE_LIMIT:.0e}"
        )
    return peak


def differences(alice_ps: Ints, bob_ps: Ints, offset_ps: Floats, reach_ps: int) -> tuple[Ints, Ints, Floats]:
    """Return all pairs of clicks whose times differ by at most ``reach_ps``.

    Args:
        alice_ps: Shape (n,), non-decreasing.
        bob_ps: Shape (m,), non-decreasing.
        offset_ps: Shape (m,), what to take off Bob's times first; varies slowly.
        reach_ps: Largest difference.

    Returns:
        Index into Alice's, index into Bob's, and the difference Bob minus Alice in picoseconds; shape (k,) each.

    Raises:
        ValueError: If there are more than ``MAX_DIFFERENCES`` pairs.
    """
    whole = np.rint(offset_ps).astype(np.int64)
    shifted = bob_ps - whole
    low = np.searchsorted(alice_ps, shifted - reach_ps)
    counts = np.searchsorted(alice_ps, shifted + reach_ps, side="right") - low
    total = int(counts.sum())
    if total > MAX_DIFFERENCES:
        raise ValueError(
            f"{total} pairs of clicks within +-{reach_ps} ps are more than {MAX_DIFFERENCES}: shorten the slices"
        )
    of_b: Ints = np.repeat(np.arange(bob_ps.size), counts)
    of_a = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    return of_a, of_b, (shifted[of_b] - alice_ps[of_a]) - (offset_ps - whole)[of_b]


@dataclass(frozen=True)
class Peak:
    """The densest place among time differences.

    Attributes:
        centre_ps: Mean of the differences in the window around it.
        count: Differences in the window.
        expected: How many a flat background gives there.
    """

    centre_ps: float
    count: int
    expected: float

    @property
    def significant(self) -> bool:
        """Whether a flat background hardly gives such a peak at any of the places where it was looked for (5 sigma)."""
        return bool(self.count - self.expected > max(5.0 * self.expected**0.5, 8.0))


def densest(sorted_ps: Floats, width_ps: float, reach_ps: float) -> Peak:
    """Return the densest window of ``width_ps`` among sorted differences that were collected within +- ``reach_ps``."""
    if sorted_ps.size == 0:
        return Peak(centre_ps=0.0, count=0, expected=0.0)
    ends = np.searchsorted(sorted_ps, sorted_ps + width_ps, side="right")
    best = int(np.argmax(ends - np.arange(sorted_ps.size)))
    return around(sorted_ps, float(np.mean(sorted_ps[best : ends[best]])), width_ps, reach_ps)


def around(sorted_ps: Floats, centre_ps: float, width_ps: float, reach_ps: float) -> Peak:
    """Return the peak nearest to ``centre_ps``: the window follows the mean of what it holds."""
    low = high = 0
    for _ in range(8):
        low, high = np.searchsorted(sorted_ps, (centre_ps - width_ps / 2, centre_ps + width_ps / 2))
        if low == high:
            break
        mean = float(np.mean(sorted_ps[low:high]))
        settled = abs(mean - centre_ps) < width_ps / 1000
        centre_ps = mean
        if settled:
            break
    outside = sorted_ps.size - int(high - low)
    expected = float(outside * width_ps / max(2 * reach_ps - width_ps, width_ps))
    return Peak(centre_ps=centre_ps, count=int(high - low), expected=expected)
