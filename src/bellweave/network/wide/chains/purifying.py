"""Purification on a hop: two of its pairs of equal level become one of the next level, or none.

1. Level 0 is a fresh link; a pair of the last level is used as a fresh link would be. On each hop one pair of a level
   waits at most: with a second one purification begins at once. So n rounds hold n units of a hop back at most, and a
   hop with n + 1 units never stalls.
2. The pair whose memories were filled last is kept, the other one is measured. Each end takes as long as for a swap;
   then the measured pair's unit is free there. Both ends know the comparison one light trip after the slower one has
   measured: they use the pair from then on, or free its units.
3. What comes of it is decided when it begins, as for swaps: the new pair exists from then on. Chances and states are
   the closed form of :func:`bellweave.network.wide.states.purify`, of pairs that have decayed until each end is done;
   gates and readout err as the hop's two nodes say.
"""

import math

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import inlined, shared, uniform
from bellweave.network.wide.chains.queues import add_event, remove_due
from bellweave.network.wide.chains.steps import give_row, introduce, usable

DEAD = 300.0
"""Decay, as an exponent, beyond which a qubit's age makes no difference; keeps numbers finite."""


@inlined
def _faded(s: f.State, row: int, side: int, time: int) -> float:
    """Return by which exponent the qubit at that end has decayed."""
    decay = s.node_reals[s.pairs[row, f.END + side], f.DECAY]
    return float(min(DEAD, (time - s.pairs[row, f.BORN + side]) * decay))


@inlined
def _free(s: f.State, hop: int, side: int, at: int, time: int) -> None:
    """Free a unit at one end of a hop, now or later."""
    if at > time:
        add_event(s.events, s.counters, at, f.FREE_SIDE + side, hop, 0)
    else:
        s.hops[hop, f.FREE + side] += 1


@inlined
def _improve(s: f.State, row: int, other: int, left: int, right: int) -> float:
    """Give a pair the correlations that success leaves, when its ends are done; return the chance of success.

    The closed form is that of :func:`bellweave.network.wide.states.purify`; g and r are the hop's gates and readout.
    """
    hop = s.pairs[row, f.END]
    g, r = s.hop_reals[hop, f.GATES], s.hop_reals[hop, f.READOUT]
    aged = _faded(s, row, 0, left) + _faded(s, row, 1, right)
    own, his = math.exp(-aged), math.exp(-_faded(s, other, 0, left) - _faded(s, other, 1, right))
    x, y, z = s.correlation[row, 0] * own, s.correlation[row, 1] * own, s.correlation[row, 2] * own
    u, v, w = s.correlation[other, 0] * his, s.correlation[other, 1] * his, s.correlation[other, 2] * his
    if s.switches[f.TWIRL]:
        x = y = z = (x + y + z) / 3.0
        u = v = w = (u + v + w) / 3.0
    chance = (1.0 + g * r * y * v) / 2.0
    x, y, z = g * (x * u + r * z * w) / 2.0, g * (z * u + r * x * w) / 2.0, g * (y + r * v) / 2.0
    if s.switches[f.TWIRL]:
        x = y = z = (x + y + z) / 3.0
    past = math.exp(aged) / chance  # the outer qubits' decay is taken off when they are used
    s.correlation[row, 0], s.correlation[row, 1], s.correlation[row, 2] = x * past, y * past, z * past
    return float(chance)


@inlined
def _purify(s: f.State, row: int, other: int, level: int, time: int) -> bool:
    """Measure ``other``; return whether both ends know now that ``row`` has reached ``level``."""
    hop = s.pairs[row, f.END]
    left, right = time + s.nodes[hop, f.BUSY], time + s.nodes[hop + 1, f.BUSY]
    known = max(left, right) + s.nodes[hop + 1, f.LIGHT] - s.nodes[hop, f.LIGHT]
    if s.switches[f.TIMED]:
        remove_due(s.pairs, s.dues, s.counters, row)
        remove_due(s.pairs, s.dues, s.counters, other)
    s.counters[f.PURIFICATIONS] += 1
    _free(s, hop, 0, left, time)
    _free(s, hop, 1, right, time)
    chance = _improve(s, row, other, left, right)
    first, second = s.pairs[row, f.LABEL], s.pairs[other, f.LABEL]
    s.pairs[row, f.OLDEST] = min(s.pairs[row, f.OLDEST], s.pairs[other, f.OLDEST])
    give_row(s, other)
    if chance < 1.0 and uniform(s.random) >= chance:
        _free(s, hop, 0, known, time)
        _free(s, hop, 1, known, time)
        give_row(s, row)
        return False
    s.counters[f.IMPROVED] += 1
    s.pairs[row, f.MADE] = max(left, right)
    s.pairs[row, f.TOLD] = s.pairs[row, f.TOLD + 1] = known
    introduce(s, row, first, second, -1 - hop, time)
    if known > time:
        add_event(s.events, s.counters, known, f.COMPARED + level, row, s.pairs[row, f.LABEL])
    return bool(known == time)


@shared
def offer(s: f.State, row: int, level: int, time: int) -> None:
    """A hop has a pair of a level: it waits for another one, is purified with it, or is used."""
    hop = s.pairs[row, f.END]
    while level < s.switches[f.ROUNDS]:
        other = s.waiting[hop, level]
        s.waiting[hop, level] = -1
        if other < 0:
            s.waiting[hop, level] = row
            return
        if s.pairs[other, f.BORN] > s.pairs[row, f.BORN]:
            row, other = other, row
        level += 1
        if not _purify(s, row, other, level, time):
            return
    usable(s, row)
