"""The kernel's queues: pairs that wait at a node, deadlines of pairs, and events; all inside the state's arrays."""

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import inlined

# A node's two waiting lists, first come, first served.


@inlined
def wait(s: f.State, row: int, side: int, state: int) -> None:
    """Append a pair to the list of the node at that end."""
    node = s.pairs[row, f.END + side]
    tail = s.nodes[node, f.TAIL + side]
    s.pairs[row, f.BEFORE + side] = tail
    s.pairs[row, f.AFTER + side] = -1
    s.pairs[row, f.WAITS + side] = state
    if tail < 0:
        s.nodes[node, f.HEAD + side] = row
    else:
        s.pairs[tail, f.AFTER + side] = row
    s.nodes[node, f.TAIL + side] = row


@inlined
def leave(s: f.State, row: int, side: int) -> None:
    """Take a pair out of that list, if it is in it."""
    if s.pairs[row, f.WAITS + side] == f.NOT_LISTED:
        return
    node = s.pairs[row, f.END + side]
    before, after = s.pairs[row, f.BEFORE + side], s.pairs[row, f.AFTER + side]
    if before < 0:
        s.nodes[node, f.HEAD + side] = after
    else:
        s.pairs[before, f.AFTER + side] = after
    if after < 0:
        s.nodes[node, f.TAIL + side] = before
    else:
        s.pairs[after, f.BEFORE + side] = before
    s.pairs[row, f.WAITS + side] = f.NOT_LISTED


@inlined
def replace(s: f.State, old: int, new: int, side: int) -> None:
    """Put a pair in another one's place in that list; it is not ready."""
    node = s.pairs[old, f.END + side]
    before, after = s.pairs[old, f.BEFORE + side], s.pairs[old, f.AFTER + side]
    s.pairs[new, f.BEFORE + side] = before
    s.pairs[new, f.AFTER + side] = after
    if before < 0:
        s.nodes[node, f.HEAD + side] = new
    else:
        s.pairs[before, f.AFTER + side] = new
    if after < 0:
        s.nodes[node, f.TAIL + side] = new
    else:
        s.pairs[after, f.BEFORE + side] = new
    s.pairs[old, f.WAITS + side] = f.NOT_LISTED
    s.pairs[new, f.WAITS + side] = f.UNTOLD


# Deadlines: a binary heap of rows; a pair knows its place, so that it can leave.


@inlined
def _settle(s: f.State, row: int, place: int) -> None:
    s.dues[place] = row
    s.pairs[row, f.DUE_PLACE] = place


@inlined
def _rise(s: f.State, row: int, place: int) -> None:
    due = s.pairs[row, f.DUE]
    while place > 0:
        parent = (place - 1) >> 1
        other = s.dues[parent]
        if s.pairs[other, f.DUE] <= due:
            break
        _settle(s, other, place)
        place = parent
    _settle(s, row, place)


@inlined
def add_due(s: f.State, row: int) -> None:
    """Watch a pair's deadline, if it has one."""
    s.pairs[row, f.DUE_PLACE] = -1
    if s.pairs[row, f.DUE] < f.NEVER:
        place = s.counters[f.DUES]
        s.counters[f.DUES] = place + 1
        _rise(s, row, place)


@inlined
def remove_due(s: f.State, row: int) -> None:
    """Watch it no more."""
    place = s.pairs[row, f.DUE_PLACE]
    if place < 0:
        return
    s.pairs[row, f.DUE_PLACE] = -1
    size = s.counters[f.DUES] - 1
    s.counters[f.DUES] = size
    if place == size:
        return
    moved = s.dues[size]
    due = s.pairs[moved, f.DUE]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and s.pairs[s.dues[child + 1], f.DUE] < s.pairs[s.dues[child], f.DUE]:
            child += 1
        if s.pairs[s.dues[child], f.DUE] >= due:
            break
        _settle(s, s.dues[child], place)
        place = child
    _rise(s, moved, place)


# Events: a binary heap of rows, those of one moment in the order in which they were added.


@inlined
def _earlier(s: f.State, time: int, order: int, place: int) -> bool:
    other = s.events[place, 0]
    return bool(time < other or (time == other and order < s.events[place, 1]))


@inlined
def add_event(s: f.State, time: int, kind: int, which: int, label: int) -> None:
    """Let something happen at ``time``; the caller has seen to room."""
    place, order = s.counters[f.EVENTS], s.counters[f.EVENT_ORDER]
    s.counters[f.EVENTS] = place + 1
    s.counters[f.EVENT_ORDER] = order + 1
    while place > 0:
        parent = (place - 1) >> 1
        if not _earlier(s, time, order, parent):
            break
        for field in range(f.EVENT_FIELDS):
            s.events[place, field] = s.events[parent, field]
        place = parent
    s.events[place, 0] = time
    s.events[place, 1] = order
    s.events[place, 2] = kind
    s.events[place, 3] = which
    s.events[place, 4] = label


@inlined
def pop_event(s: f.State) -> tuple[int, int, int]:
    """Remove the first event and return its kind, which, and label."""
    kind, which, label = s.events[0, 2], s.events[0, 3], s.events[0, 4]
    size = s.counters[f.EVENTS] - 1
    s.counters[f.EVENTS] = size
    time, order = s.events[size, 0], s.events[size, 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _earlier(s, s.events[child + 1, 0], s.events[child + 1, 1], child):
            child += 1
        if _earlier(s, time, order, child):
            break
        for field in range(f.EVENT_FIELDS):
            s.events[place, field] = s.events[child, field]
        place = child
    for field in range(f.EVENT_FIELDS):
        s.events[place, field] = s.events[size, field]
    return kind, which, label
