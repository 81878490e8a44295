"""Bringing two clocks together, as a dialogue.

1. Bob discloses times and channels of a slice at the start and one at the end of his record. They never enter the key.
2. Alice finds offset, drift and delays (:mod:`bellweave.photonics.alignment`), the channels' roles if nobody gave them,
   and the window if she may choose it, from those slices alone. She tells Bob his timing, his roles and the window.
3. From then on each corrects its own times: what is published carries no delay that depends on the channel.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bellweave.blocks import Bytes, Detections, Ints
from bellweave.dialogue import Dialogue, receive, refuse
from bellweave.errors import ProtocolError, ScenarioError
from bellweave.photonics import channel_map, windows
from bellweave.photonics.alignment import Alignment, Slice, align
from bellweave.photonics.analyser import ChannelMap, Timing, corrected_times
from bellweave.photonics.correlation import Floats, NoPeakError
from bellweave.photonics.echoes import take
from bellweave.photonics.messages import Aligned, Slices
from bellweave.photonics.params import Calibration
from bellweave.photonics.time_codec import MAX_TAGS, MAX_TIME_PS, pack, unpack
from bellweave.units import s_to_ps

RESOLUTION_PS = 8
"""Unit of the disclosed times: far below any jitter."""

MAX_DRIFT = 1e-3
"""Beyond this no clock is a clock."""


@dataclass(frozen=True)
class Evidence:
    """What Alice saw in the slices; all of it is public.

    Attributes:
        alignment: Offset, drift, delays, and the peaks they come from.
        matrix: Shape (channels, channels), coincidences of her channels (rows) with his, after correction.
        expected: Same shape, how many of them chance gives.
        agreement: (equal - unequal) / all where bases are equal; None where roles play no part.
        scan: What each window gives on the slices; empty where roles play no part.
        warnings: What does not fit, one sentence each.
    """

    alignment: Alignment
    matrix: Ints
    expected: Floats
    agreement: float | None
    scan: tuple[windows.WindowPoint, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Calibrated:
    """One party's result.

    Attributes:
        timing: From the own clock to public time, which is that of Alice's timing.
        roles: What the own channels measure; None where that is not the calibration's business.
        window_ps: Coincidence window, the same at both ends.
        slices_ps: The disclosed slices, (first, last) time by the own clock, both inclusive.
        sacrificed: Own detections that lie in them.
        record_ps: First and last time of Bob's record, by his clock.
        sifted: Coincidences of equal bases in the slices, (Z, X); both ends know them.
        errors: Of those with unequal bits, (Z, X).
        evidence: Alice's only.
    """

    timing: Timing
    roles: ChannelMap | None
    window_ps: int
    slices_ps: tuple[tuple[int, int], ...]
    sacrificed: int
    record_ps: tuple[int, int]
    sifted: tuple[int, int] = (0, 0)
    errors: tuple[int, int] = (0, 0)
    evidence: Evidence | None = None

    def remainder(self, seen: Detections) -> Detections:
        """Return the detections outside the slices: what a key may be made of."""
        return take(seen, ~_inside(seen.time_ps, self.slices_ps))


def public(seen: Detections, timing: Timing) -> tuple[Ints, Bytes]:
    """Return the public times, shape (n,), non-decreasing, and the channel of each."""
    times = corrected_times(seen, timing)
    order = np.argsort(times, kind="stable")
    return times[order], seen.channel[order]


def bob(seen: Detections, calibration: Calibration, roles: ChannelMap | None = None) -> Dialogue[Calibrated]:
    """Disclose the slices and take the timing from Alice.

    Args:
        seen: Bob's detections.
        calibration: How; the same at both ends.
        roles: What his channels measure, where he knows it.

    Raises:
        ScenarioError: The slices take the whole record, or are empty.
        ProtocolError: Alice's answer is none.
    """
    slices_ps = bounds(seen, calibration)
    pieces = [_inside(seen.time_ps, (piece,)) for piece in slices_ps]
    disclosed = sum(int(np.count_nonzero(piece)) for piece in pieces)
    if disclosed > MAX_TAGS:
        raise ScenarioError(
            f"{disclosed} detections in the slices, the limit is {MAX_TAGS}", path="calibration.slice_s"
        )
    record_ps = (int(seen.time_ps[0]), int(seen.time_ps[-1]))
    yield Slices(
        times=tuple(pack(seen.time_ps[piece], RESOLUTION_PS) for piece in pieces),
        channels=tuple(seen.channel[piece].tobytes() for piece in pieces),
        channel_count=seen.channels,
        record_ps=record_ps,
        basis=None if roles is None else roles.basis,
        bit=None if roles is None else roles.bit,
    )
    answer = yield from receive(Aligned)
    problem = _problem(answer, seen.channels)
    if problem:
        yield from refuse(f"Aligned: {problem}")
    if roles is None and answer.basis is not None and answer.bit is not None:
        roles = ChannelMap(basis=answer.basis, bit=answer.bit)
    timing = Timing(answer.offset_ps, answer.drift, answer.channel_delay_ps)
    return Calibrated(timing, roles, answer.window_ps, slices_ps, disclosed, record_ps, answer.sifted, answer.errors)


def alice(
    seen: Detections,
    calibration: Calibration,
    window_ps: int,
    roles: ChannelMap | None = None,
    *,
    timing: Timing | None = None,
    delay_reach_ps: int | None = None,
    find_roles: bool = False,
) -> Dialogue[Calibrated]:
    """Find everything from Bob's slices and tell him his part.

    Args:
        seen: Alice's detections.
        calibration: How; the same at both ends.
        window_ps: The window, or where the search for one starts; also how wide a correlation peak may be.
        roles: What her channels measure, where she knows it.
        timing: Her own clock against the source's, where she knows it; by default her clock is the reference. The mean
            of its channel delays is kept, their differences are found.
        delay_reach_ps: How far channel delays are looked for; with time bins, half the separation of the bins.
        find_roles: Whether roles that were not given are looked for.

    Raises:
        NoPeakError: No significant correlation; Bob is told.
        ScenarioError: No roles fit; Bob is told.
        ProtocolError: Bob's slices are malformed.
    """
    slices = yield from receive(Slices)
    try:
        pieces = _pieces(slices)
    except ValueError as error:
        yield from refuse(f"Slices: {error}")
    try:
        alignment = align(seen, pieces, slices.channel_count, calibration.search_ps, window_ps, delay_reach_ps)
        hers, his = _timings(alignment, timing or Timing())
        found = _Found(seen, pieces, alignment, hers, his, window_ps)
        evidence, own, theirs = _evidence(found, roles, _roles(slices), find_roles=find_roles)
    except (NoPeakError, ScenarioError, ValueError) as error:
        try:
            yield from refuse(f"calibration failed: {error}")
        except ProtocolError:
            raise error from None
    point = _chosen(evidence.scan, window_ps, choose=calibration.choose_window)
    window_ps = point.window_ps
    yield Aligned(
        offset_ps=his.offset_ps,
        drift=his.drift,
        channel_delay_ps=his.channel_delay_ps,
        window_ps=window_ps,
        sifted=point.sifted,
        errors=point.errors,
        basis=None if theirs is None else theirs.basis,
        bit=None if theirs is None else theirs.bit,
    )
    sacrificed = int(np.count_nonzero(_inside(seen.time_ps, found.slices_ps)))
    return Calibrated(
        hers, own, window_ps, found.slices_ps, sacrificed, slices.record_ps, point.sifted, point.errors, evidence
    )


def bounds(seen: Detections, calibration: Calibration) -> tuple[tuple[int, int], ...]:
    """Return the slices, (first, last) time by the own clock, at the start and at the end of the record.

    Raises:
        ScenarioError: The record is no longer than both of them, or one of them is empty.
    """
    if len(seen) == 0:
        raise ScenarioError("a record without detections can't be calibrated")
    first, last, length = int(seen.time_ps[0]), int(seen.time_ps[-1]), s_to_ps(calibration.slice_s)
    if last - first <= 2 * length:
        raise ScenarioError(
            f"two slices of {calibration.slice_s} s leave nothing of a record of {(last - first) / 1e12:.6f} s",
            path="calibration.slice_s",
        )
    return (first, first + length), (last - length, last)


def _pieces(slices: Slices) -> list[Slice]:
    if not 1 <= len(slices.times) == len(slices.channels) <= 16:
        raise ValueError(f"{len(slices.times)} slices of times, {len(slices.channels)} of channels")
    if not 1 <= slices.channel_count <= 16:
        raise ValueError(f"channels are 1 to 16, not {slices.channel_count}")
    pieces = [
        Slice(unpack(times), np.frombuffer(channel, np.uint8))
        for times, channel in zip(slices.times, slices.channels, strict=True)
    ]
    for piece in pieces:
        if piece.time_ps.size != piece.channel.size or piece.time_ps.size == 0:
            raise ValueError(f"{piece.time_ps.size} times, {piece.channel.size} channels in a slice")
        if int(piece.channel.max()) >= slices.channel_count:
            raise ValueError(f"channel {int(piece.channel.max())} of {slices.channel_count}")
    if any(a.time_ps[-1] > b.time_ps[0] for a, b in pairwise(pieces)):
        raise ValueError("slices must follow each other in time")
    if not pieces[0].time_ps[0] - RESOLUTION_PS <= slices.record_ps[0] <= slices.record_ps[1] <= MAX_TIME_PS:
        raise ValueError(f"a record from {slices.record_ps[0]} to {slices.record_ps[1]} ps")
    return pieces


def _roles(slices: Slices) -> ChannelMap | None:
    if slices.basis is None or slices.bit is None:
        return None
    if len(slices.basis) != slices.channel_count or len(slices.bit) != slices.channel_count:
        raise ValueError(f"roles of {len(slices.basis)} channels, there are {slices.channel_count}")
    return ChannelMap(basis=slices.basis, bit=slices.bit)


def _chosen(scan: tuple[windows.WindowPoint, ...], window_ps: int, *, choose: bool) -> windows.WindowPoint:
    if choose and scan:
        return windows.best(scan)
    fixed = (point for point in scan if point.window_ps == window_ps)
    return next(fixed, windows.WindowPoint(window_ps, 0, (0, 0), (0, 0)))


def _timings(alignment: Alignment, known: Timing) -> tuple[Timing, Timing]:
    """Return Alice's timing and Bob's, both towards the public time that hers defines."""
    rate = 1.0 / (1.0 - alignment.drift)  # seconds of Bob's clock in one of Alice's
    offset_ps = (alignment.offset_ps - alignment.drift * alignment.reference_ps) * rate
    mean_ps = float(np.mean(known.channel_delay_ps)) if known.channel_delay_ps else 0.0
    if known.channel_delay_ps:
        mean_ps -= float(np.mean(alignment.alice_delay_ps))
    hers = Timing(known.offset_ps, known.drift, tuple(round(delay + mean_ps) for delay in alignment.alice_delay_ps))
    his = Timing(
        offset_ps=round(offset_ps + known.offset_ps * rate),
        drift=rate * (1.0 + known.drift) - 1.0,
        channel_delay_ps=tuple(round(delay + mean_ps) for delay in alignment.bob_delay_ps),
    )
    return hers, his


@dataclass(frozen=True)
class _Found:
    """What Alice has in hand when the arithmetic is done."""

    seen: Detections
    pieces: list[Slice]
    alignment: Alignment
    hers: Timing
    his: Timing
    window_ps: int

    @property
    def slices_ps(self) -> tuple[tuple[int, int], ...]:
        """When the slices were by Alice's clock, with all that could coincide with them."""
        delays = (*self.alignment.alice_delay_ps, *self.alignment.bob_delay_ps)
        guard = self.window_ps + math.ceil(max(delays) - min(delays))
        ends = [(int(piece.time_ps[0]), int(piece.time_ps[-1])) for piece in self.pieces]
        return tuple((self._by_her_clock(first) - guard, self._by_her_clock(last) + guard) for first, last in ends)

    def _by_her_clock(self, time_ps: int) -> int:
        elapsed_ps = time_ps - self.alignment.reference_ps
        return time_ps - round(self.alignment.offset_ps + self.alignment.drift * elapsed_ps)

    def scan(self, roles: tuple[ChannelMap, ChannelMap]) -> tuple[windows.WindowPoint, ...]:
        """Return what each window gives on the slices."""
        near = take(self.seen, _inside(self.seen.time_ps, self.slices_ps))
        time_ps, channel = (np.concatenate([getattr(piece, name) for piece in self.pieces]) for name in _COLUMNS)
        channels = len(self.alignment.bob_delay_ps)
        his = Detections(time_ps, channel, self.seen.duration_ps, channels)
        return windows.scan(public(near, self.hers), public(his, self.his), roles, windows.widths(self.window_ps))


_COLUMNS = ("time_ps", "channel")


def _evidence(
    found: _Found, own: ChannelMap | None, theirs: ChannelMap | None, *, find_roles: bool
) -> tuple[Evidence, ChannelMap | None, ChannelMap | None]:
    alignment = found.alignment
    shape = (found.seen.channels, len(alignment.bob_delay_ps))
    matrix = np.array([pair.after.count for pair in alignment.pairs]).reshape(shape)
    expected = np.array([pair.after.expected for pair in alignment.pairs]).reshape(shape)
    warnings = [
        f"channels {pair.alice} and {pair.bob} have a peak {pair.before.centre_ps:.0f} ps away that fits no delay"
        for pair in alignment.pairs
        if pair.before.significant and not pair.used
    ]
    agreement: float | None = None
    scan: tuple[windows.WindowPoint, ...] = ()
    if find_roles and (own is None or theirs is None):
        own, theirs, _ = channel_map.infer(matrix, own, theirs)
    if own is not None and theirs is not None:
        agreement = channel_map.agreement(matrix, own, theirs)
        if agreement < channel_map.AGREEMENT:
            warnings.append(
                f"outcomes agree only {agreement:.2f} in equal bases with the roles given "
                f"({channel_map.describe(own)} and {channel_map.describe(theirs)}); "
                f"a key needs more than {channel_map.AGREEMENT}"
            )
        scan = found.scan((own, theirs))
    return Evidence(alignment, matrix, expected, agreement, scan, tuple(warnings)), own, theirs


def _inside(
    time_ps: Ints, slices_ps: "tuple[tuple[int, int], ...] | list[tuple[int, int]]"
) -> "np.typing.NDArray[np.bool_]":
    inside = np.zeros(time_ps.size, bool)
    for first, last in slices_ps:
        inside[slice(*np.searchsorted(time_ps, (first, last + 1)))] = True
    return inside


def _problem(answer: Aligned, channels: int) -> str:
    numbers = (answer.offset_ps, answer.drift, *answer.channel_delay_ps)
    if not all(math.isfinite(number) and abs(number) <= MAX_TIME_PS for number in numbers):
        return "a value is beyond all limits"
    if abs(answer.drift) > MAX_DRIFT:
        return f"a drift of {answer.drift} is beyond {MAX_DRIFT}"
    if not 1 <= answer.window_ps <= MAX_TIME_PS:
        return f"a window of {answer.window_ps} ps"
    lengths = {len(answer.channel_delay_ps), *(len(role) for role in (answer.basis, answer.bit) if role is not None)}
    if lengths != {channels}:
        return f"values for {sorted(lengths)} channels, there are {channels}"
    return ""
