"""Delays: consistent pairs are fitted, others are left out and reported."""

import numpy as np
import pytest

from bellweave.blocks import Detections
from bellweave.photonics.alignment import Slice, _delays, align
from bellweave.photonics.correlation import NoPeakError, Peak
from bellweave.testing.messy_tags import Messy, record


def slices(seen: Detections, *ends: tuple[float, float]) -> list[Slice]:
    found = []
    for first, last in ends:
        inside = (seen.time_ps >= first * 1e12) & (seen.time_ps < last * 1e12)
        found.append(Slice(seen.time_ps[inside], seen.channel[inside]))
    return found


def test_every_pair_peaks_at_zero_afterwards() -> None:
    alice, bob = record(Messy(offset_ps=1_000_000))

    found = align(alice, slices(bob, (0.0, 0.2), (0.8, 1.0)), 4, 10**9, 1_500)

    expected = [pair for pair in found.pairs if pair.used]
    assert len(expected) >= 12  # twelve pairs of channels correlate, the four of opposite bits only by errors
    assert all(abs(pair.after.centre_ps) < 5 * 424 / pair.after.count**0.5 for pair in expected)
    assert len(found.coarse) == 2


def test_one_slice_is_enough_without_drift() -> None:
    alice, bob = record(Messy(offset_ps=-3_000_000))

    found = align(alice, slices(bob, (0.0, 0.3)), 4, 10**9, 1_500)

    mean_delays_ps = 6_250 - 2_500  # of DELAYS_PS, Bob's less Alice's
    assert abs(found.offset_ps + 3_000_000 - mean_delays_ps) < 300


def test_a_pair_that_contradicts_the_others_is_left_out() -> None:
    mine, theirs = (0.0, 3_000.0, -5_000.0, 2_000.0), (7_000.0, -2_000.0, 0.0, 20_000.0)
    peaks = {
        (c, d): Peak(centre_ps=theirs[d] - mine[c], count=500 if c == d else 100, expected=1.0)
        for c in range(4)
        for d in range(4)
    }
    peaks[1, 2] = Peak(centre_ps=50_000.0, count=90, expected=1.0)

    of_alice, of_bob, used = _delays(peaks, 4, 4, 1_500.0)

    assert used == set(peaks) - {(1, 2)}
    assert np.allclose(np.subtract.outer(of_bob, of_alice), np.subtract.outer(theirs, mine))


def test_a_width_below_the_jitter_finds_no_peak() -> None:
    alice, bob = record(Messy(jitter_ps=20_000, delays_ps=((0, 0, 0, 0), (0, 0, 0, 0))))

    with pytest.raises(NoPeakError, match="as narrow as 10 ps"):
        align(alice, slices(bob, (0.0, 0.1), (0.9, 1.0)), 4, 10**9, 10)
