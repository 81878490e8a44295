"""Echoes: a click that follows another one of the same channel at a fixed delay and tells nothing new.

Each node finds them in its own tags: after an ordinary click the next one of the channel comes at a time that thins
out exponentially; an echo stands out of that as a narrow peak. The cure is a dead time in software, just past it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellweave.blocks import Detections, Ints

LONGEST_PS = 100_000
"""How far after a click echoes are looked for: a reflection from the far end of 10 m of cable is back by then."""

BINS = 200
"""Bins that this time is divided in."""

SIGMAS = 10.0
"""A bin is an echo if it is so far above the background; afterpulses thin out slowly and stay below."""

SHARE = 0.005
"""... and if it holds at least this share of the channel's clicks: less is not worth the dead time."""


@dataclass(frozen=True)
class Echoes:
    """What one channel's inter-click times show.

    Attributes:
        channel: Which channel.
        clicks: Its clicks.
        delay_ps: Where the highest peak stands, counted from the click before; 0 if there is none.
        dead_time_ps: Clicks that come sooner than this after a kept one are dropped; 0 if there are no echoes.
        dropped: How many are.
    """

    channel: int
    clicks: int
    delay_ps: int
    dead_time_ps: int
    dropped: int


def remove(seen: Detections) -> tuple[Detections, tuple[Echoes, ...]]:
    """Return the detections without echoes, and what was found in each channel."""
    keep = np.ones(len(seen), bool)
    found = []
    for channel in range(seen.channels):
        index = np.flatnonzero(seen.channel == channel)
        times = seen.time_ps[index]
        delay_ps, dead_time_ps = _find(times)
        kept = _first_of_each(times, dead_time_ps)
        keep[index[~kept]] = False
        found.append(Echoes(channel, index.size, delay_ps, dead_time_ps, int(np.count_nonzero(~kept))))
    return take(seen, keep), tuple(found)


def take(seen: Detections, keep: NDArray[np.bool_]) -> Detections:
    """Return the detections that ``keep``, shape (n,), marks."""
    return Detections(
        time_ps=seen.time_ps[keep],
        channel=seen.channel[keep],
        duration_ps=seen.duration_ps,
        channels=seen.channels,
        setting=None if seen.setting is None else seen.setting[keep],
    )


def _find(times: Ints) -> tuple[int, int]:
    gaps = np.diff(times)
    near = gaps[gaps < LONGEST_PS]
    width = LONGEST_PS // BINS
    counts = np.bincount(near // width, minlength=BINS)
    background = np.count_nonzero((gaps >= LONGEST_PS) & (gaps < 3 * LONGEST_PS)) / (2 * BINS)
    limit = max(background + SIGMAS * max(background, 1.0) ** 0.5, SHARE * times.size)
    high = np.flatnonzero(counts > limit)
    if high.size == 0:
        return 0, 0
    dead_time_ps = int(high[-1] + 1) * width
    # the peak's tail: up to where the next clicks are background again
    while dead_time_ps < LONGEST_PS and counts[dead_time_ps // width] > background + 3.0 * max(background, 1.0) ** 0.5:
        dead_time_ps += width
    return int(np.argmax(counts)) * width + width // 2, dead_time_ps


def _first_of_each(times: Ints, dead_time_ps: int) -> NDArray[np.bool_]:
    """Mark the clicks that remain when each *kept* one silences the channel for the dead time."""
    kept = np.ones(times.size, bool)
    if dead_time_ps == 0:
        return kept
    last = None
    for i in np.flatnonzero(np.diff(times, prepend=times[0] - dead_time_ps - 1) < dead_time_ps):
        anchor = i - 1
        while not kept[anchor]:
            anchor -= 1
        last = times[anchor]
        kept[i] = times[i] - last >= dead_time_ps
    return kept
