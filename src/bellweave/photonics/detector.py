"""Detectors and time taggers: dark counts, dead time, afterpulses, and the node's own clock.

Events travel as packed keys ``time << 4 | channel``, int64, so that one fast integer sort orders times with their
channels.
"""

import numba
import numpy as np
from numpy.random import Generator

from bellweave.blocks import Bytes, Ints
from bellweave.photonics.modes import Modes
from bellweave.photonics.params import Arm, Detector
from bellweave.units import ps_to_s

CHANNEL_BITS = 4
"""Up to 16 channels; leaves 59 bits for the time, 6 days in picoseconds."""

_NEVER = np.iinfo(np.int64).max
_MASK = (1 << CHANNEL_BITS) - 1


def pack(time_ps: Ints, channel: Ints | Bytes) -> Ints:
    """Return packed events, shape (n,)."""
    return (time_ps << CHANNEL_BITS) | channel


def unpack(events: Ints) -> tuple[Ints, Bytes]:
    """Return (times, channels) of packed events."""
    time_ps: Ints
    time_ps, channel = _unpack(events)
    return time_ps, channel


def photons(time_ps: Ints, mode: Ints, table: Modes, jitter_ps: int, rng: Generator) -> Ints:
    """Return the events that photons cause, packed, unordered.

    Args:
        time_ps: Shape (n,), source time of each photon.
        mode: Shape (n,), the mode it is seen in, -1 if it is lost.
        table: The modes.
        jitter_ps: Standard deviation of the clicks' times.
        rng: Draws the jitter.
    """
    events: Ints = _photons(time_ps, mode, table.channel, table.offset_ps, float(jitter_ps), rng)
    return events


def with_dark_counts(events: Ints, detector: Detector, channels: int, block_ps: int, rng: Generator) -> Ints:
    """Return the events together with a block's dark counts of all channels.

    Args:
        events: Packed; sorted in place.
        detector: Its dark rate is that of each channel.
        channels: Number of channels.
        block_ps: Length of the block; dark counts come in [0, block).
        rng: Draws them.

    Returns:
        Packed, sorted.
    """
    events.sort()
    mean = detector.dark_rate_hz * channels * ps_to_s(block_ps)
    if mean == 0.0:
        return events
    gaps = rng.standard_exponential(int(mean + 10.0 * mean**0.5) + 64)  # ten sigma more than needed
    merged: Ints = _merged(events, gaps, channels, block_ps, block_ps / mean)
    return merged


def clicks(events: Ints, detector: Detector, channels: int, block_ps: int, rng: Generator) -> Ints:
    """Return which events the detectors report, and their afterpulses.

    Args:
        events: Packed, sorted.
        detector: Dead time (not prolonged by what falls into it) and afterpulsing.
        channels: Number of channels.
        block_ps: Afterpulses later than this are not reported.
        rng: Draws afterpulses.

    Returns:
        Packed, sorted. A click leaves at most one afterpulse pending, which the detector's next click replaces.
    """
    if detector.dead_time_ps == 0 and detector.afterpulse_probability == 0.0:
        return events
    probability, delay_ps = detector.afterpulse_probability, float(detector.afterpulse_delay_ps)
    reported: Ints = _filter(events, channels, detector.dead_time_ps, probability, delay_ps, block_ps, rng)
    return reported


def read_clock(time_ps: Ints, channel: Bytes, arm: Arm) -> Ints:
    """Return what the node's time tagger shows for clicks at these source times, shape (n,).

    Light emitted at t clicks at t + delay; the clock shows offset + (1 + drift) x that, and each channel's electronics
    add their own delay.
    """
    clock = arm.node.clock
    shown = time_ps + (arm.delay_ps + clock.offset_ps)
    if clock.drift != 0.0:
        shown += np.rint((time_ps + arm.delay_ps) * clock.drift).astype(np.int64)
    if any(clock.channel_delay_ps):
        shown += np.array(clock.channel_delay_ps, np.int64)[channel]
    return shown


@numba.njit(cache=True)
def _unpack(events):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    time_ps, channel = np.empty(events.size, np.int64), np.empty(events.size, np.uint8)
    for index in range(events.size):
        time_ps[index] = events[index] >> CHANNEL_BITS
        channel[index] = events[index] & _MASK
    return time_ps, channel


@numba.njit(cache=True)
def _photons(time_ps, mode, channel, offset_ps, jitter_ps, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    events = np.empty(time_ps.size, np.int64)
    size = 0
    for index in range(time_ps.size):
        seen = mode[index]
        if seen >= 0:
            click = time_ps[index] + offset_ps[seen]
            if jitter_ps > 0.0:
                click += np.int64(np.rint(jitter_ps * rng.standard_normal()))
            events[size] = (click << CHANNEL_BITS) | channel[seen]
            size += 1
    return events[:size]


_STEP_BITS = 12
"""Dark counts fall on steps of 2^-12 ps; what lies below a picosecond chooses the channel, evenly to 1 in 4,096."""


@numba.njit(cache=True)
def _merged(events, gaps, channels, block_ps, mean_gap_ps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Merge with a Poisson process of these gaps, in units of its mean."""
    merged = np.empty(events.size + gaps.size, np.int64)
    scale = mean_gap_ps * (1 << _STEP_BITS)
    mask = (1 << _STEP_BITS) - 1
    size = taken = 0
    step = np.int64(0)
    following = events[0] if events.size else _NEVER
    for index in range(gaps.size):
        step += np.int64(scale * gaps[index])
        now_ps = step >> _STEP_BITS
        if now_ps >= block_ps:
            break
        event = (now_ps << CHANNEL_BITS) | (((step & mask) * channels) >> _STEP_BITS)
        while following <= event:
            merged[size] = following
            size += 1
            taken += 1
            following = events[taken] if taken < events.size else _NEVER
        merged[size] = event
        size += 1
    while taken < events.size:
        merged[size] = events[taken]
        size += 1
        taken += 1
    return merged[:size]


@numba.njit(cache=True)
def _filter(events, channels, dead_ps, probability, delay_ps, block_ps, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    live_at = np.full(channels, -_NEVER)
    pending = np.full(channels, _NEVER)
    out = np.empty(events.size + 64, np.int64)
    size = 0
    for index in range(events.size + 1):
        now = events[index] >> CHANNEL_BITS if index < events.size else block_ps
        while True:  # afterpulses before this event
            channel = np.argmin(pending)
            click = pending[channel]
            if click > now:
                if index == events.size:
                    break
                click = now
                channel = events[index] & _MASK
                if click < live_at[channel]:
                    break
            if size == out.size:
                grown = np.empty(2 * size, np.int64)
                grown[:size] = out
                out = grown
            out[size] = (click << CHANNEL_BITS) | channel
            size += 1
            live_at[channel] = click + dead_ps
            was_pending = click == pending[channel]
            pending[channel] = _NEVER
            if probability > 0.0 and rng.random() < probability:
                pending[channel] = live_at[channel] + 1 + np.int64(delay_ps * rng.standard_exponential())
            if not was_pending:
                break
    return out[:size]
