"""Which clicks of Alice and Bob belong together: one-to-one matching, and the dialogue that does it at both ends.

1. Two clicks match if each is the other's nearest and they are at most half the window apart. Of equally near ones the
   first counts. So a match is one-to-one, keeps the order and is the same whoever computes it; a click that is nobody's
   nearest stays alone, whatever it measured.
2. Bob announces his public times; Alice answers with those that match. Neither tells a basis or a bit.
3. These roles are a stage of a longer dialogue: Alice's answer is acknowledged by what Bob says next.
4. A round's id is the index of Bob's click among those he announced: both ends know it.
"""

from typing import Protocol

import numpy as np
from numba import njit

from bellweave.blocks import Bytes, Ints, Rounds, pack_bits, unpack_bits
from bellweave.dialogue import Dialogue, receive, refuse
from bellweave.photonics.messages import Coincident, Times
from bellweave.photonics.time_codec import MAX_TAGS, pack, unpack

RESOLUTION_PS = 64
"""Unit of the announced times: a fifth of good detectors' jitter, and six bits less a click than picoseconds."""

MAX_PARTS = 64
"""Most messages of one announcement: 268 M clicks, minutes of the brightest link."""


class Clicked(Protocol):
    """A node's clicks: public times (int64, non-decreasing, ps), bases and bits (uint8), all of shape (n,)."""

    @property
    def time_ps(self) -> Ints:
        """Public times."""

    @property
    def basis(self) -> Bytes:
        """Own bases."""

    @property
    def bit(self) -> Bytes:
        """Own outcomes."""


def match(alice_time_ps: Ints, bob_time_ps: Ints, window_ps: int) -> tuple[Ints, Ints]:
    """Return which clicks coincide.

    Args:
        alice_time_ps: Shape (n,), int64, non-decreasing.
        bob_time_ps: Shape (m,), int64, non-decreasing, by the same clock.
        window_ps: Full width of the window, >= 0: two clicks can match if they are at most half of it apart.

    Returns:
        Indices into both, shape (k,) each, strictly increasing.

    >>> a, b = match(np.array([0, 100, 205]), np.array([2, 90, 101, 300]), 20)
    >>> a.tolist(), b.tolist()
    ([0, 1], [0, 2])
    """
    return _match(alice_time_ps, bob_time_ps, window_ps)


@njit(cache=True)
def _match(a: Ints, b: Ints, window: int) -> tuple[Ints, Ints]:  # pragma: no cover (compiled)
    found_a = np.empty(min(a.size, b.size), np.int64)
    found_b = np.empty(min(a.size, b.size), np.int64)
    half = window // 2
    count = i = j = 0
    while i < a.size and j < b.size:
        gap = b[j] - a[i]
        if abs(gap) > half:  # as a rule; stepping by a comparison's value spares a branch that nothing predicts
            i += gap > 0
            j += gap < 0
            continue
        nearest = j  # b[j] is the first that a[i] reaches
        k = j + 1
        while k < b.size and b[k] - a[i] <= half:
            if abs(b[k] - a[i]) < abs(b[nearest] - a[i]):
                nearest = k
            k += 1
        if _is_nearest(a, i, b[nearest]):
            found_a[count] = i
            found_b[count] = nearest
            count += 1
        i += 1
    return found_a[:count].copy(), found_b[:count].copy()


@njit(cache=True)
def _is_nearest(times: Ints, i: int, time: int) -> bool:  # pragma: no cover (compiled)
    """Return whether ``times[i]`` is the first of those nearest to ``time``: asking its two neighbours is enough."""
    distance = abs(times[i] - time)
    if i > 0 and abs(times[i - 1] - time) <= distance:
        return False
    later = i + 1
    while later < times.size and times[later] == times[i]:
        later += 1
    return later == times.size or abs(times[later] - time) >= distance


def alice(clicks: Clicked, window_ps: int) -> Dialogue[Rounds]:
    """Match Bob's times with one's own and tell him which do.

    Raises:
        ProtocolError: Bob's announcement contradicts itself, or is too coarse for the window.
    """
    own, his = yield from alice_matches(clicks.time_ps, window_ps)
    return _rounds(clicks, own, his)


def alice_matches(time_ps: Ints, window_ps: int) -> Dialogue[tuple[Ints, Ints]]:
    """Match as :func:`alice` and return (which of one's own times match, the ids of the rounds), shape (k,) each."""
    bob_time_ps = yield from _announced(window_ps)
    own, his = match(time_ps, bob_time_ps, window_ps)
    mask = np.zeros(bob_time_ps.size, np.uint8)
    mask[his] = 1
    yield Coincident(count=his.size, mask=pack_bits(mask))
    return own, his


def bob(clicks: Clicked, resolution_ps: int = RESOLUTION_PS) -> Dialogue[Rounds]:
    """Announce one's times and keep those that Alice says match.

    Raises:
        ProtocolError: Alice's answer does not fit the announcement.
    """
    own = yield from bob_matches(clicks.time_ps, resolution_ps)
    return _rounds(clicks, own, own)


def bob_matches(time_ps: Ints, resolution_ps: int = RESOLUTION_PS) -> Dialogue[Ints]:
    """Match as :func:`bob` and return which of one's own times do, shape (k,); these are the ids of the rounds."""
    for start in range(0, max(time_ps.size, 1), MAX_TAGS):
        end = start + MAX_TAGS
        yield pack(time_ps[start:end], resolution_ps, more=end < time_ps.size)
    answer = yield from receive(Coincident)
    try:
        own: Ints = np.flatnonzero(unpack_bits(answer.mask, time_ps.size))
    except ValueError as error:
        yield from refuse(f"Coincident: {error}")
    if own.size != answer.count:
        yield from refuse(f"Coincident: {answer.count} announced, {own.size} marked")
    return own


def _announced(window_ps: int) -> Dialogue[Ints]:
    """Wait for all of Bob's times."""
    parts: list[Ints] = []
    more = True
    while more:
        times = yield from receive(Times)
        if 4 * times.resolution_ps > max(window_ps, 4):
            yield from refuse(
                f"times in units of {times.resolution_ps} ps are too coarse for a window of {window_ps} ps"
            )
        try:
            parts.append(unpack(times))
        except ValueError as error:
            yield from refuse(f"Times: {error}")
        more = times.more
        if (parts[-1].size == 0 and (more or len(parts) > 1)) or (more and len(parts) == MAX_PARTS):
            yield from refuse(f"Times: part {len(parts)} of at most {MAX_PARTS} is empty or not the last")
        if len(parts) > 1 and parts[-1][0] < parts[-2][-1]:
            yield from refuse("Times: announced times must not decrease")
    return np.concatenate(parts)


def _rounds(clicks: Clicked, own: Ints, ids: Ints) -> Rounds:
    return Rounds(id=ids.astype(np.int64), basis=clicks.basis[own], bit=clicks.bit[own])
