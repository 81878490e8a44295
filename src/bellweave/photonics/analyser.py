"""What a node makes of its own detections: clicks that it may publish the times of.

Rules of this file:

1. It reads one node's detections and what that node knows of itself, nothing of the peer.
2. ``Clicks.time_ps`` is public. It must tell nothing about the outcome: with a continuous-wave source it is the tag
   freed of clock offset, drift, path delay and the channel's own delay; with a pulsed source it is the *nominal* time
   of the pulse, never the tag, because in time-bin the slot is the key bit.
3. Clicks of one node that belong together (one pulse, or a chain with gaps of at most half a window) are one click or
   none; ``double_click`` and ``cross_basis`` decide.
"""

from dataclasses import dataclass, field

import numba
import numpy as np
from numpy.random import Generator

from bellweave.blocks import Bytes, Detections, Ints
from bellweave.errors import ScenarioError
from bellweave.photonics.params import Analyser, Arm, PulsedSource, Source, TimeBin
from bellweave.photonics.source import period_ps


@dataclass(frozen=True)
class Timing:
    """How a node's clock relates to the time in which clicks are published.

    Attributes:
        offset_ps: What the clock shows for light that the source emits at zero, path delay included.
        drift: Relative frequency error of the clock.
        channel_delay_ps: Delay of each channel on top; empty means none.
    """

    offset_ps: int = 0
    drift: float = 0.0
    channel_delay_ps: tuple[int, ...] = ()


@dataclass(frozen=True)
class ChannelMap:
    """What a click of each channel means. With a modulator the basis comes from the setting instead.

    Attributes:
        basis, bit: One entry a channel. Time-bin: a channel of basis X is an output of the interferometer, whose outer
            slots mean Z; one of basis Z is a direct detector.
    """

    basis: tuple[int, ...]
    bit: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Clicks:
    """One node's clicks, ready to be matched.

    Attributes:
        time_ps: Shape (n,), int64, non-decreasing, public.
        basis: Shape (n,), uint8, public once matched.
        bit: Shape (n,), uint8, secret.
    """

    time_ps: Ints
    basis: Bytes
    bit: Bytes = field(repr=False)

    def __len__(self) -> int:
        return int(self.time_ps.size)


def known_timing(arm: Arm) -> Timing:
    """Return the timing of an arm whose clock and delays are known."""
    clock = arm.node.clock
    offset_ps = clock.offset_ps + arm.delay_ps + round(arm.delay_ps * clock.drift)
    return Timing(offset_ps, clock.drift, clock.channel_delay_ps)


def standard_map(analyser: Analyser) -> ChannelMap:
    """Return the map that :mod:`bellweave.photonics.params` documents.

    >>> from bellweave.photonics.params import Polarisation
    >>> standard_map(Polarisation())
    ChannelMap(basis=(0, 0, 1, 1), bit=(0, 1, 0, 1))
    """
    if isinstance(analyser, TimeBin):
        return ChannelMap((1, 1, 0)[: analyser.channels], (0, 1, 0)[: analyser.channels])
    if analyser.basis_choice == "passive":
        return ChannelMap((0, 0, 1, 1), (0, 1, 0, 1))
    return ChannelMap((0, 0), (0, 1))


def clicks(
    detections: Detections,
    arm: Arm,
    source: Source,
    window_ps: int,
    rng: Generator,
    *,
    timing: Timing | None = None,
    channel_map: ChannelMap | None = None,
    flips: tuple[bool, bool] = (False, False),
) -> Clicks:
    """Return a node's clicks.

    Args:
        detections: The node's own.
        arm: The node's own.
        source: Its pulse rate is public.
        window_ps: Full width of the coincidence window, and of the gate around each pulse and slot.
        rng: The node's own; draws the outcomes of double clicks.
        timing: What calibration found; the arm's own values if absent.
        channel_map: What the channels mean; the standard one if absent.
        flips: Whether the bit is inverted in Z and in X (:func:`bellweave.photonics.link.bob_flips`); Bob's business.

    Raises:
        ScenarioError: If the map does not fit the channels.
    """
    analyser = arm.node.analyser
    meaning = channel_map or standard_map(analyser)
    if len(meaning.basis) != detections.channels or len(meaning.bit) != detections.channels:
        raise ScenarioError(
            f"the channel map names {len(meaning.basis)} channels, the detections have {detections.channels}"
        )
    timing = timing or known_timing(arm)
    time_ps = corrected_times(detections, timing)
    code, table = _codes(detections, meaning, flips)
    reach_ps = window_ps // 2
    if isinstance(source, PulsedSource):
        time_ps, code = _gated(
            time_ps, table[code], detections.channel, meaning, arm, source, reach_ps, (int(flips[0]), int(not flips[0]))
        )
        table = np.arange(4, dtype=np.uint8)
        reach_ps = 0
    if any(timing.channel_delay_ps):  # these can change the order
        order = np.argsort(time_ps, kind="stable")
        time_ps, code = time_ps[order], code[order]
    random_double, random_cross = analyser.double_click == "random", analyser.cross_basis == "random"
    return Clicks(*_resolve(time_ps, code, table, reach_ps, random_double, random_cross, rng))


def corrected_times(detections: Detections, timing: Timing) -> Ints:
    """Return the tags freed of offset, drift and channel delays, shape (n,), in the order of the detections."""
    time_ps = detections.time_ps - timing.offset_ps
    if any(timing.channel_delay_ps):
        time_ps -= np.array(timing.channel_delay_ps, np.int64)[detections.channel]
    if timing.drift != 0.0:
        time_ps -= np.rint(time_ps * (timing.drift / (1.0 + timing.drift))).astype(np.int64)
    return time_ps


def _codes(detections: Detections, meaning: ChannelMap, flips: tuple[bool, bool]) -> tuple[Bytes, Bytes]:
    """Return (a code for each detection, the outcome 2 x basis + bit of each code)."""
    bit = np.array(meaning.bit, np.uint8)
    if detections.setting is not None:
        table = np.concatenate([bit ^ flips[0], 2 + (bit ^ flips[1])]).astype(np.uint8)
        return detections.setting * np.uint8(bit.size) + detections.channel, table
    basis = np.array(meaning.basis, np.uint8)
    return detections.channel, (2 * basis + (bit ^ np.array(flips, np.uint8)[basis])).astype(np.uint8)


def _gated(
    time_ps: Ints,
    outcome: Bytes,
    channel: Bytes,
    meaning: ChannelMap,
    arm: Arm,
    source: PulsedSource,
    reach_ps: int,
    z_bits: tuple[int, int],
) -> tuple[Ints, Bytes]:
    """Return (nominal pulse time, outcome) of the clicks within reach of a pulse, or of a slot of a pulse."""
    period = period_ps(source)
    analyser = arm.node.analyser
    if not isinstance(analyser, TimeBin):
        nominal_ps = np.rint(np.rint(time_ps / period) * period).astype(np.int64)
        inside = np.abs(time_ps - nominal_ps) <= reach_ps
        return nominal_ps[inside], outcome[inside]
    step_ps = analyser.bin_separation_ps
    nominal_ps = np.rint(np.rint((time_ps - step_ps) / period) * period).astype(np.int64)
    slot = np.rint((time_ps - nominal_ps) / step_ps).astype(np.int64)
    direct = np.array(meaning.basis, np.uint8)[channel] == 0
    last = np.where(direct, 1, 2)
    inside = (np.abs(time_ps - nominal_ps - slot * step_ps) <= reach_ps) & (slot >= 0) & (slot <= last)
    by_time = np.where(slot >= last, z_bits[1], z_bits[0]).astype(np.uint8)
    told = np.where(direct | (slot != 1), by_time, outcome)
    return nominal_ps[inside], told[inside]


@numba.njit(cache=True)
def _resolve(time_ps, code, table, reach_ps, double_random, cross_random, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Reduce groups of clicks to one click or none; return (time, basis, bit)."""
    kept_ps = np.empty(time_ps.size, np.int64)
    basis, bit = np.empty(time_ps.size, np.uint8), np.empty(time_ps.size, np.uint8)
    size = start = 0
    while start < time_ps.size:
        told = table[code[start]]
        end = start + 1
        keep = True
        if end < time_ps.size and time_ps[end] - time_ps[start] <= reach_ps:
            seen = 1 << told
            while end < time_ps.size and time_ps[end] - time_ps[end - 1] <= reach_ps:
                seen |= 1 << table[code[end]]
                end += 1
            if seen & 3 and seen & 12:
                keep = cross_random
                seen &= 3 if rng.random() < 0.5 else 12
            if seen in {3, 12}:
                keep = keep and double_random
                seen &= 5 if rng.random() < 0.5 else 10
            told = 0
            while not (seen >> told) & 1:
                told += 1
        if keep:
            kept_ps[size] = time_ps[start]
            basis[size] = told >> 1
            bit[size] = told & 1
            size += 1
        start = end
    return kept_ps[:size], basis[:size], bit[:size]
