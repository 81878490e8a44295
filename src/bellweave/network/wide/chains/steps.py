"""What can happen to a pair: it is made, told of, swapped, delivered, dropped.

1. A swap is decided when it begins: the pair it makes exists from then on, but neither end may use it before the news
   has arrived. Its memories at the swapping node are free when the measurement is over. A failed swap's outer memories
   are held until the news arrives there.
2. With an order, a node swaps the spans that it knows of, in the order in which it got to know them. As soon as
   possible (``asap``) it swaps whatever it holds, each side in the order in which its memories were filled, and waits
   for news of the first ones. So if two end-to-end pairs in the making share two hops, the same one is ahead on both,
   and pairs never cross, such as (0, 3) and (1, 4). Crossing pairs hold each other's units: that dead-lock is why
   serving whatever is known first stalls.
"""

import math

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import inlined, uniform
from bellweave.network.wide.chains.queues import add_due, add_event, leave, remove_due, replace, wait


@inlined
def last_node(s: f.State) -> int:
    """Return the number of the chain's last node."""
    return int(s.nodes.shape[0] - 1)


@inlined
def give_row(s: f.State, row: int) -> None:
    """Forget a pair."""
    s.pairs[row, f.LABEL] = -1
    s.spare[s.counters[f.SPARE]] = row
    s.counters[f.SPARE] += 1
    s.counters[f.HELD] -= 1


@inlined
def introduce(s: f.State, row: int, first: int, second: int, place: int, time: int) -> None:
    """Give a pair a label, note of what it was made, where and when, and set its deadline.

    The deadline is the first of its qubits' lifetimes and of its ends' patience.
    """
    label = s.counters[f.NEXT_LABEL]
    s.counters[f.NEXT_LABEL] = label + 1
    s.pairs[row, f.LABEL] = label
    if s.switches[f.TRACING]:
        at = s.counters[f.TRACED]
        s.counters[f.TRACED] = at + 1
        s.trace[at, 0] = label
        s.trace[at, 1] = first
        s.trace[at, 2] = second
        s.trace[at, 3] = place
        s.trace[at, 4] = time
    if s.switches[f.TIMED]:
        left, right = s.pairs[row, f.END], s.pairs[row, f.END + 1]
        due = s.pairs[row, f.MADE] + min(s.nodes[left, f.CUTOFF], s.nodes[right, f.CUTOFF])
        due = min(due, s.pairs[row, f.BORN] + s.nodes[left, f.LIFETIME])
        s.pairs[row, f.DUE] = min(due, s.pairs[row, f.BORN + 1] + s.nodes[right, f.LIFETIME])
        add_due(s.pairs, s.dues, s.counters, row)


@inlined
def link(s: f.State, hop: int, time: int) -> int:
    """A hop has made a pair, whose row is returned; its period holds the news of it."""
    top = s.counters[f.SPARE] - 1  # there is a spare row, because every pair holds a unit
    s.counters[f.SPARE] = top
    row = s.spare[top]
    s.counters[f.HELD] += 1
    s.counters[f.LINKS] += 1
    s.pairs[row, f.MADE] = time
    s.pairs[row, f.OLDEST] = time
    s.pairs[row, f.DONE] = 0
    for side in range(2):
        node = hop + side
        s.pairs[row, f.END + side] = node
        s.pairs[row, f.BORN + side] = time
        s.pairs[row, f.TOLD + side] = time
    if s.switches[f.PHYSICAL]:
        for axis in range(3):
            s.correlation[row, axis] = s.hop_reals[hop, axis]
    introduce(s, row, -1, -1, hop, time)
    return int(row)


@inlined
def fresh(s: f.State, row: int) -> None:
    """Let the ends of a pair be told of it in this moment."""
    s.fresh[s.counters[f.FRESH]] = row
    s.counters[f.FRESH] += 1


@inlined
def usable(s: f.State, row: int) -> None:
    """A pair of a hop can be swapped from now on."""
    if s.switches[f.ASAP]:
        for side in range(2):
            if 0 < s.pairs[row, f.END + side] < last_node(s):
                wait(s, row, side, f.UNTOLD)
    fresh(s, row)


@inlined
def free_side(s: f.State, row: int, side: int) -> None:
    """Free the unit at one end of a pair; where spans are built by themselves, that side's units of all its hops."""
    if s.switches[f.EXCLUSIVE]:
        for hop in range(s.pairs[row, f.END], s.pairs[row, f.END + 1]):
            s.hops[hop, f.FREE + side] += 1
    else:
        s.hops[s.pairs[row, f.END + side] - side, f.FREE + side] += 1


@inlined
def ready(s: f.State, node: int, side: int) -> bool:
    """Return whether the first pair of a node's list can be swapped."""
    head = s.nodes[node, f.HEAD + side]
    return bool(head >= 0 and s.pairs[head, f.WAITS + side] == f.READY)


@inlined
def finish(s: f.State, row: int, side: int, time: int) -> None:
    """An end of the chain measures its qubit and frees its unit; with the other's the pair is delivered."""
    node = s.pairs[row, f.END + side]
    if s.switches[f.PHYSICAL]:
        decay = math.exp((s.pairs[row, f.BORN + side] - time) * s.node_reals[node, f.DECAY])
        for axis in range(3):
            s.correlation[row, axis] *= decay
    free_side(s, row, side)
    s.pairs[row, f.DONE] |= 1 << side
    if s.pairs[row, f.DONE] < 3:
        return
    at = s.counters[f.DELIVERED]
    s.counters[f.DELIVERED] = at + 1
    s.counters[f.MEASURED] += 1
    s.delivered[at, 0] = s.pairs[row, f.LABEL]
    s.delivered[at, 1] = time
    s.delivered[at, 2] = s.pairs[row, f.OLDEST]
    if s.switches[f.PHYSICAL]:
        for axis in range(3):
            s.delivered_correlation[at, axis] = s.correlation[row, axis]
    if s.switches[f.TIMED]:
        remove_due(s.pairs, s.dues, s.counters, row)
    give_row(s, row)


@inlined
def tell(s: f.State, row: int, side: int, time: int) -> None:
    """One end of a pair knows that it has it."""
    node, other = s.pairs[row, f.END + side], s.pairs[row, f.END + 1 - side]
    last = last_node(s)
    if not 0 < node < last:
        if node + other == last and node != other:
            finish(s, row, side, time)
        return
    if s.switches[f.ASAP]:
        s.pairs[row, f.WAITS + side] = f.READY
    elif s.nodes[node, f.SPAN + side] == other:
        wait(s, row, side, f.READY)
    else:
        return
    if not s.nodes[node, f.LISTED] and ready(s, node, 0) and ready(s, node, 1):
        s.nodes[node, f.LISTED] = 1
        s.work[s.counters[f.WORK]] = node
        s.counters[f.WORK] += 1


@inlined
def announce(s: f.State, row: int, time: int) -> None:
    """Tell both ends of a pair, now or when the news gets there; the ends of the chain take their time to measure."""
    left, right, label = s.pairs[row, f.END], s.pairs[row, f.END + 1], s.pairs[row, f.LABEL]
    whole = left == 0 and right == last_node(s)
    for side in range(2):
        at = s.pairs[row, f.TOLD + side]
        if whole:
            at += s.nodes[s.pairs[row, f.END + side], f.BUSY]
        if at > time:
            add_event(s.events, s.counters, at, f.TELL + side, row, label)
        else:
            tell(s, row, side, time)


@inlined
def swap(s: f.State, node: int, time: int) -> None:
    """Swap the first pairs on either side of a node."""
    row, other = s.nodes[node, f.HEAD + 1], s.nodes[node, f.HEAD]
    left, right = s.pairs[row, f.END], s.pairs[other, f.END + 1]
    leave(s, row, 1)
    leave(s, other, 0)
    if s.switches[f.TIMED]:
        remove_due(s.pairs, s.dues, s.counters, row)
        remove_due(s.pairs, s.dues, s.counters, other)
    s.counters[f.SWAPS] += 1
    end = time + s.nodes[node, f.BUSY]
    to_left = end + s.nodes[node, f.LIGHT] - s.nodes[left, f.LIGHT]
    to_right = end + s.nodes[right, f.LIGHT] - s.nodes[node, f.LIGHT]
    if end > time:
        add_event(s.events, s.counters, end, f.FREE_NODE, node, 0)
    elif not s.switches[f.EXCLUSIVE]:
        s.hops[node - 1, f.FREE + 1] += 1
        s.hops[node, f.FREE] += 1
    chance = s.node_reals[node, f.SWAP]
    if chance >= 1.0 or uniform(s.random) < chance:
        s.pairs[row, f.TOLD] = to_left
        s.pairs[row, f.TOLD + 1] = to_right
        _join(s, row, other, node, time, end)
        return
    _fail(s, row, other, to_left, to_right, time)


@inlined
def _join(s: f.State, row: int, other: int, node: int, begin: int, end: int) -> None:
    """Make one pair of two, in the first one's row."""
    s.counters[f.JOINED] += 1
    if s.switches[f.PHYSICAL]:
        aged = s.pairs[row, f.BORN + 1] + s.pairs[other, f.BORN] - 2 * end
        factor = s.node_reals[node, f.SWAP_WEIGHT] * math.exp(aged * s.node_reals[node, f.DECAY])
        for axis in range(3):
            s.correlation[row, axis] *= s.correlation[other, axis] * factor
    if s.switches[f.ASAP]:
        if s.pairs[row, f.WAITS] != f.NOT_LISTED:
            s.pairs[row, f.WAITS] = f.UNTOLD
        if s.pairs[other, f.WAITS + 1] != f.NOT_LISTED:
            replace(s, other, row, 1)
    s.pairs[row, f.END + 1] = s.pairs[other, f.END + 1]
    s.pairs[row, f.BORN + 1] = s.pairs[other, f.BORN + 1]
    s.pairs[row, f.OLDEST] = min(s.pairs[row, f.OLDEST], s.pairs[other, f.OLDEST])
    s.pairs[row, f.MADE] = end
    second = s.pairs[other, f.LABEL]
    give_row(s, other)
    introduce(s, row, s.pairs[row, f.LABEL], second, node, begin)
    fresh(s, row)


@inlined
def _fail(s: f.State, row: int, other: int, to_left: int, to_right: int, time: int) -> None:
    """Forget both pairs of a failed swap; their outer ends free their units when they hear of it."""
    leave(s, row, 0)
    leave(s, other, 1)
    s.pairs[row, f.END + 1] = s.pairs[other, f.END + 1]
    if to_left > time:
        add_event(s.events, s.counters, to_left, f.FREE_SIDE, s.pairs[row, f.END], 0)
    else:
        free_side(s, row, 0)
    if to_right > time:
        add_event(s.events, s.counters, to_right, f.FREE_SIDE + 1, s.pairs[row, f.END + 1] - 1, 0)
    else:
        free_side(s, row, 1)
    give_row(s, row)
    give_row(s, other)


@inlined
def drop(s: f.State, row: int, reason: int) -> None:
    """Give a pair up and free what it holds; ``reason`` is the counter."""
    if s.switches[f.TIMED]:
        remove_due(s.pairs, s.dues, s.counters, row)
    s.counters[reason] += 1
    for level in range(s.switches[f.ROUNDS]):
        if s.waiting[s.pairs[row, f.END], level] == row:
            s.waiting[s.pairs[row, f.END], level] = -1
    for side in range(2):
        leave(s, row, side)
        if not s.pairs[row, f.DONE] & (1 << side):
            free_side(s, row, side)
    give_row(s, row)
