"""The kernel's queues: pairs that wait at a node, deadlines of pairs, and events; all inside the state's arrays."""

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import inlined, shared

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
def _settle(pairs: f.Ints, dues: f.Ints, row: int, place: int) -> None:
    dues[place] = row
    pairs[row, f.DUE_PLACE] = place


@inlined
def _rise(pairs: f.Ints, dues: f.Ints, row: int, place: int) -> None:
    due = pairs[row, f.DUE]
    while place > 0:
        parent = (place - 1) >> 1
        other = dues[parent]
        if pairs[other, f.DUE] <= due:
            break
        _settle(pairs, dues, other, place)
        place = parent
    _settle(pairs, dues, row, place)


@shared
def add_due(pairs: f.Ints, dues: f.Ints, counters: f.Ints, row: int) -> None:
    """Watch a pair's deadline, if it has one."""
    pairs[row, f.DUE_PLACE] = -1
    if pairs[row, f.DUE] < f.NEVER:
        place = counters[f.DUES]
        counters[f.DUES] = place + 1
        _rise(pairs, dues, row, place)


@shared
def remove_due(pairs: f.Ints, dues: f.Ints, counters: f.Ints, row: int) -> None:
    """Watch it no more."""
    place = pairs[row, f.DUE_PLACE]
    if place < 0:
        return
    pairs[row, f.DUE_PLACE] = -1
    size = counters[f.DUES] - 1
    counters[f.DUES] = size
    if place == size:
        return
    moved = dues[size]
    due = pairs[moved, f.DUE]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and pairs[dues[child + 1], f.DUE] < pairs[dues[child], f.DUE]:
            child += 1
        if pairs[dues[child], f.DUE] >= due:
            break
        _settle(pairs, dues, dues[child], place)
        place = child
    _rise(pairs, dues, moved, place)


# Events: a binary heap of rows, those of one moment in the order in which they were added.


@inlined
def _earlier(events: f.Ints, time: int, order: int, place: int) -> bool:
    other = events[place, 0]
    return bool(time < other or (time == other and order < events[place, 1]))


@shared
def add_event(events: f.Ints, counters: f.Ints, time: int, kind: int, which: int, label: int) -> None:
    """Let something happen at ``time``; the caller has seen to room."""
    place, order = counters[f.EVENTS], counters[f.EVENT_ORDER]
    counters[f.EVENTS] = place + 1
    counters[f.EVENT_ORDER] = order + 1
    while place > 0:
        parent = (place - 1) >> 1
        if not _earlier(events, time, order, parent):
            break
        for field in range(f.EVENT_FIELDS):
            events[place, field] = events[parent, field]
        place = parent
    events[place, 0] = time
    events[place, 1] = order
    events[place, 2] = kind
    events[place, 3] = which
    events[place, 4] = label


@shared
def pop_event(events: f.Ints, counters: f.Ints) -> tuple[int, int, int]:
    """Remove the first event and return its kind, which, and label."""
    kind, which, label = events[0, 2], events[0, 3], events[0, 4]
    size = counters[f.EVENTS] - 1
    counters[f.EVENTS] = size
    time, order = events[size, 0], events[size, 1]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _earlier(events, events[child + 1, 0], events[child + 1, 1], child):
            child += 1
        if _earlier(events, time, order, child):
            break
        for field in range(f.EVENT_FIELDS):
            events[place, field] = events[child, field]
        place = child
    for field in range(f.EVENT_FIELDS):
        events[place, field] = events[size, field]
    return kind, which, label
