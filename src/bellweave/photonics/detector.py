"""Detectors and time taggers: dark counts, dead time, afterpulses, and the node's own clock.

Events travel as packed keys ``time << 4 | channel``, int64, so that one fast integer sort orders times with their channels.
"""

import numba
import numpy as np
from numpy.random import Generator

from bellweave.blocks import Bytes, Ints
from bellweave.photonics.params import Arm, Detector

CHANNEL_BITS = 4
"""Up to 16 channels; leaves 59 bits for the time, 6 days in picoseconds."""

_MASK = (1 << CHANNEL_BITS) - 1


def pack(time_ps: Ints, channel: Ints | Bytes) -> Ints:
    """Return packed events, shape (n,)."""
    return (time_ps << CHANNEL_BITS) | channel


def unpack(events: Ints) -> tuple[Ints, Bytes]:
    """Return (times, channels) of packed events."""
    return events >> CHANNEL_BITS, (events & _MASK).astype(np.uint8)


def dark_counts(detector: Detector, channels: int, block_ps: int, rng: Generator) -> Ints:
    """Draw a block's dark counts of all channels, packed, unordered."""
    count = rng.poisson(detector.dark_rate_hz * channels * block_ps * 1e-12)
    if channels in {1, 2, 4, 8, 16}:  # one draw gives time and channel at once
        drawn = rng.integers(0, block_ps * channels, count)
        shift = channels.bit_length() - 1
        return ((drawn >> shift) << CHANNEL_BITS) | (drawn & (channels - 1))
    return pack(rng.integers(0, block_ps, count), rng.integers(0, channels, count))


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


_NEVER = np.iinfo(np.int64).max


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
