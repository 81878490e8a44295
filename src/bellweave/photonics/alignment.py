"""Clock offset, drift and channel delays from disclosed slices: the arithmetic of the calibration.

1. Each slice gives a coarse offset; two slices give a coarse drift.
2. Of all differences between clicks, a histogram for each pair of channels. Those of the second slice are those of the
   first, shifted by the drift that is still missing.
3. Each pair of channels that shows a peak tells (Bob's delay - Alice's delay). Weighted least squares gives a delay for
   each channel; the strongest pairs tie the channels together first, and pairs that contradict them are left out and
   reported.
4. A line through what is left gives the last bit of drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bellweave.blocks import Bytes, Detections, Ints
from bellweave.photonics.correlation import (
    CoarsePeak,
    Floats,
    NoPeakError,
    Peak,
    coarse_offset,
    densest,
    differences,
)

ROUNDS = 3
"""Refinements of drift and delays; the second already changes nothing on clean data."""


@dataclass(frozen=True)
class Slice:
    """Disclosed clicks: times (shape (n,), non-decreasing, ps) and channels."""

    time_ps: Ints
    channel: Bytes


@dataclass(frozen=True)
class PairPeak:
    """The correlation peak of one of Alice's channels with one of Bob's.

    Attributes:
        alice, bob: The channels.
        before: The peak after the clock offset, before channel delays.
        after: What is found at zero difference when the delays are taken off.
        used: Whether the delays were fitted to it: significant and consistent with the other pairs.
    """

    alice: int
    bob: int
    before: Peak
    after: Peak
    used: bool


@dataclass(frozen=True)
class Alignment:
    """How Bob's clock and both nodes' channels stand.

    Public time of Alice: ``t - delay[channel]``. Public time of Bob: ``t - delay[channel]`` less ``offset_ps + drift
    (t - reference_ps)``.

    Attributes:
        offset_ps: Bob's clock minus Alice's at ``reference_ps`` by Bob's clock.
        drift: By how much Bob's clock runs fast.
        reference_ps: Where by Bob's clock the offset holds: the middle of the first slice.
        alice_delay_ps, bob_delay_ps: Delay of each channel; Alice's have mean zero.
        coarse: The peaks that the offset was found from, one for each slice.
        pairs: All pairs of channels.
        background_width_ps: Width over which the differences of ``raw_ps`` were collected, either way.
        of_alice, of_bob, raw_ps: Pairs of clicks in reach: Alice's channel, Bob's channel, difference before delays.
    """

    offset_ps: float
    drift: float
    reference_ps: int
    alice_delay_ps: tuple[float, ...]
    bob_delay_ps: tuple[float, ...]
    coarse: tuple[CoarsePeak, ...]
    pairs: tuple[PairPeak, ...]
    background_width_ps: int
    of_alice: Bytes
    of_bob: Bytes
    raw_ps: Floats

    def corrected_ps(self) -> Floats:
        """Return the differences after the channel delays."""
        delays: Floats = np.array(self.bob_delay_ps)[self.of_bob] - np.array(self.alice_delay_ps)[self.of_alice]
        return self.raw_ps - delays


def align(
    alice: Detections,
    slices: Sequence[Slice],
    bob_channels: int,
    search_ps: int,
    width_ps: int,
    delay_reach_ps: int | None = None,
) -> Alignment:
    """Find offset, drift and delays.

    Args:
        alice: All of Alice's detections.
        slices: One or more of Bob's slices, in order of time.
        bob_channels: How many channels he has.
        search_ps: Largest clock offset that is looked for, either way.
        width_ps: Width that a peak may have; about the coincidence window.
        delay_reach_ps: Delays are looked for so far from the highest peak of all channels together. Time bins need it,
            as a pair of channels may have its own highest peak a bin off. By default, as far as the offset is open.

    Raises:
        NoPeakError: If there is no significant correlation.
    """
    coarse = tuple(coarse_offset(alice.time_ps, piece.time_ps, search_ps) for piece in slices)
    middles = [int(piece.time_ps[0] + piece.time_ps[-1]) // 2 for piece in slices]
    span = max(middles[-1] - middles[0], 1)
    offset, drift = float(coarse[0].offset_ps), (coarse[-1].offset_ps - coarse[0].offset_ps) / span
    reach = 3 * max(peak.bin_ps for peak in coarse)
    time_ps, channel = (np.concatenate([getattr(piece, name) for piece in slices]) for name in ("time_ps", "channel"))
    which = np.repeat(np.arange(len(slices)), [piece.time_ps.size for piece in slices])
    elapsed = (time_ps - middles[0]).astype(np.float64)
    for grain in (8 * width_ps, width_ps):
        a, b, dt = differences(alice.time_ps, time_ps, offset + drift * elapsed, reach)
        pair = alice.channel[a].astype(np.int64) * bob_channels + channel[b]
        if len(slices) > 1:
            drift += _shift(pair, which[b], dt, reach, max(grain // 4, 1)) / span
    a, b, dt = differences(alice.time_ps, time_ps, offset + drift * elapsed, reach)
    if delay_reach_ps is not None:
        centre = densest(np.sort(dt), width_ps, reach).centre_ps
        near = np.abs(dt - centre) <= delay_reach_ps
        a, b, dt = a[near], b[near], dt[near] - centre
        offset, reach = offset + centre, delay_reach_ps
    of_a, of_b = alice.channel[a], channel[b]
    for _ in range(ROUNDS):
        before = _peaks(of_a, of_b, dt, (alice.channels, bob_channels), width_ps, reach)
        delay_a, delay_b, used = _delays(before, alice.channels, bob_channels, width_ps)
        rest = dt - delay_b[of_b] + delay_a[of_a]
        slope = _slope(elapsed[b], rest, width_ps)
        dt, drift = dt - slope * elapsed[b], drift + slope
    rest = dt - delay_b[of_b] + delay_a[of_a]
    common = float(np.mean([delay_b[d] for _, d in used]))  # counts as clock offset
    pairs = []
    for key, peak in before.items():
        here = np.sort(rest[(of_a == key[0]) & (of_b == key[1])])
        shown = replace(peak, centre_ps=peak.centre_ps - common)
        pairs.append(PairPeak(*key, before=shown, after=_at_zero(here, width_ps, reach), used=key in used))
    return Alignment(
        offset_ps=offset + common,
        drift=drift,
        reference_ps=middles[0],
        alice_delay_ps=tuple(delay_a.tolist()),
        bob_delay_ps=tuple((delay_b - common).tolist()),
        coarse=coarse,
        pairs=tuple(pairs),
        background_width_ps=reach,
        of_alice=of_a,
        of_bob=of_b,
        raw_ps=dt - common,
    )


def _shift(pair: Ints, which: Ints, dt: Floats, reach: int, grain: int) -> float:
    """Return by how much the histograms of the last slice lie later than those of the first."""
    bins = 2 * reach // grain + 1
    place = ((dt + reach) / grain).astype(np.int64)
    pairs = int(pair.max()) + 1 if pair.size else 1
    total = np.zeros(2 * bins)
    for each in range(pairs):
        first, last = (
            np.bincount(place[(pair == each) & (which == side)], minlength=bins)[:bins]
            for side in (0, int(which.max()))
        )
        f, g = (np.fft.rfft(h - h.mean(), 2 * bins) for h in (first, last))
        total += np.fft.irfft(np.conj(f) * g, 2 * bins)
    best = int(np.argmax(total + np.roll(total, 1) + np.roll(total, -1)))
    lag = best if best < bins else best - 2 * bins
    return float(lag * grain)


def _peaks(
    of_a: Bytes, of_b: Bytes, dt: Floats, channels: tuple[int, int], width: float, reach: float
) -> dict[tuple[int, int], Peak]:
    return {
        (c, d): densest(np.sort(dt[(of_a == c) & (of_b == d)]), width, reach)
        for c in range(channels[0])
        for d in range(channels[1])
    }


def _at_zero(sorted_ps: Floats, width: float, reach: float) -> Peak:
    low, high = np.searchsorted(sorted_ps, (-width / 2, width / 2))
    expected = float((sorted_ps.size - int(high - low)) * width / max(2 * reach - width, width))
    centre = float(np.mean(sorted_ps[low:high])) if high > low else 0.0
    return Peak(centre_ps=centre, count=int(high - low), expected=expected)


def _delays(
    peaks: dict[tuple[int, int], Peak], alice_channels: int, bob_channels: int, width: float
) -> tuple[Floats, Floats, set[tuple[int, int]]]:
    """Solve centre = Bob's delay - Alice's delay; see rule 3 above."""
    good = {key: peak for key, peak in peaks.items() if peak.significant}
    if not good:
        raise NoPeakError(
            f"the clocks agree, but no pair of channels has a peak as narrow as {width} ps: "
            "take a wider window or longer slices"
        )
    start = _tied_together(good, alice_channels)
    used = {
        (c, d): peak
        for (c, d), peak in good.items()
        if c in start and alice_channels + d in start
        if abs(peak.centre_ps - start[alice_channels + d] + start[c]) <= width
    }
    rows = np.zeros((len(used) + 1, alice_channels + bob_channels))
    target = np.zeros(len(used) + 1)
    for row, ((c, d), peak) in enumerate(used.items()):
        weight = peak.count**0.5
        rows[row, alice_channels + d], rows[row, c], target[row] = weight, -weight, weight * peak.centre_ps
        rows[-1, c] += peak.count  # the mean of Alice's delays is zero: the rest is clock offset
    solved = np.linalg.lstsq(rows, target, rcond=None)[0]
    delays = solved.astype(np.float64)
    return delays[:alice_channels], delays[alice_channels:], set(used)


def _tied_together(peaks: dict[tuple[int, int], Peak], alice_channels: int) -> dict[int, float]:
    """Return first delays along the strongest pairs: a maximum spanning tree, grown from the strongest of all."""
    strongest = sorted(peaks.items(), key=lambda item: -item[1].count)
    known = {strongest[0][0][0]: 0.0}
    grown = True
    while grown:
        grown = False
        for (c, d), peak in strongest:
            bob = alice_channels + d
            if (c in known) != (bob in known):
                known[c] = known.get(c, known.get(bob, 0.0) - peak.centre_ps)
                known[bob] = known.get(bob, known[c] + peak.centre_ps)
                grown = True
                break
    return known


def _slope(elapsed: Floats, rest: Floats, width: float) -> float:
    inside = np.abs(rest) < width / 2
    if np.count_nonzero(inside) < 10 or float(np.ptp(elapsed[inside])) == 0.0:
        return 0.0
    return float(np.polyfit(elapsed[inside], rest[inside], 1)[0])
