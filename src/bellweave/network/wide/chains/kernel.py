"""The compiled loop: from one moment at which something happens to the next.

At each moment, in this order: the hops whose attempts end make their pairs; news arrives and memories come free; nodes
swap until none can; pairs at their deadline are dropped (so one that meets its partner in that very moment is not);
hops with free units begin to attempt at the next start of their period.

Attempts are bulk: a hop's number of successes is one draw from the binomial of its free units. Where success is rare,
the periods without any are passed over by one geometric draw, and the binomial is drawn given that it is not zero;
units that come free in between draw anew from the next period on, which changes nothing because attempts have no
memory.

Numba keeps what it has compiled on disk and looks at the time of this file alone: who changes a file that is compiled
into this one, such as ``purifying.py`` or ``steps.py``, must touch this one too, or runs go on with the old code.
"""

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import attempts_until, called, inlined, successes, uniform
from bellweave.network.wide.chains.losses import expire
from bellweave.network.wide.chains.purifying import offer
from bellweave.network.wide.chains.queues import pop_event
from bellweave.network.wide.chains.steps import announce, link, ready, swap, tell, usable


@inlined
def _aim(s: f.State, hop: int, start: int, units: int) -> None:
    """Let a hop attempt with ``units`` from ``start`` on."""
    period = s.hops[hop, f.PERIOD]
    s.hops[hop, f.FLYING] = units
    s.hops[hop, f.STARTED] = start
    if not s.hops[hop, f.SKIPS]:
        s.hops[hop, f.NEXT] = start + period
        return
    wait = attempts_until(uniform(s.random), units * s.hop_reals[hop, f.LOG_FAILURE])
    s.hops[hop, f.NEXT] = start + period * wait if wait < (f.NEVER - start) // period else f.NEVER - 1


@inlined
def _count(s: f.State, hop: int, time: int) -> None:
    """Count the attempts of a hop up to ``time``."""
    if s.hops[hop, f.SKIPS]:
        periods = (time - s.hops[hop, f.STARTED]) // s.hops[hop, f.PERIOD]
        s.counters[f.ATTEMPTS] += s.hops[hop, f.FLYING] * periods
    else:
        s.counters[f.ATTEMPTS] += s.hops[hop, f.FLYING]


@inlined
def _resolve(s: f.State, hop: int, time: int) -> None:
    """End the period of a hop's attempts: draw its successes."""
    units = s.hops[hop, f.FLYING]
    _count(s, hop, time)
    row = s.tables[s.hops[hop, f.TABLE], units]
    u = uniform(s.random)
    if s.hops[hop, f.SKIPS]:
        u = row[0] + (1.0 - row[0]) * u
    made = successes(u, row, units)
    s.hops[hop, f.FLYING] = 0
    s.hops[hop, f.NEXT] = f.AT_ONCE
    s.hops[hop, f.FREE] -= made
    s.hops[hop, f.FREE + 1] -= made
    for _ in range(made):
        row = link(s, hop, time)
        if s.switches[f.ROUNDS]:
            offer(s, row, 0, time)
        else:
            usable(s, row)


@inlined
def _wake(s: f.State, hop: int, time: int) -> None:
    """Let a hop attempt with all units that are free."""
    units = min(s.hops[hop, f.FREE], s.hops[hop, f.FREE + 1])
    due = s.hops[hop, f.NEXT]
    if due == f.AT_ONCE:
        if units > 0:
            _aim(s, hop, time, units)
        else:
            s.hops[hop, f.NEXT] = f.NEVER
    elif due == f.NEVER:
        if units > 0 and s.hop_reals[hop, f.LOG_FAILURE] < 0.0:
            period = s.hops[hop, f.PERIOD]
            _aim(s, hop, (time + period - 1) // period * period, units)
    elif s.hops[hop, f.SKIPS] and units > s.hops[hop, f.FLYING]:
        period = s.hops[hop, f.PERIOD]
        start = (time + period - 1) // period * period
        if due > start:  # the period that is under way is known to fail
            _count(s, hop, start)
            _aim(s, hop, start, units)


@inlined
def _wake_all(s: f.State, time: int) -> int:
    """Wake all hops and return when the first attempts end."""
    first = f.NEVER
    for hop in range(s.hops.shape[0]):
        _wake(s, hop, time)
        first = min(first, s.hops[hop, f.NEXT])
    return first


@inlined
def _resolve_all(s: f.State, time: int) -> None:
    """End the attempts that end now."""
    for hop in range(s.hops.shape[0]):
        if s.hops[hop, f.NEXT] == time:
            _resolve(s, hop, time)


@inlined
def _happen(s: f.State, time: int) -> None:
    """Take the first event."""
    kind, which, label = pop_event(s.events, s.counters)
    if kind == f.FREE_NODE:
        s.hops[which - 1, f.FREE + 1] += 1
        s.hops[which, f.FREE] += 1
    elif kind < f.TELL:
        s.hops[which, f.FREE + kind - f.FREE_SIDE] += 1
    elif s.pairs[which, f.LABEL] == label:  # else it was swapped or dropped meanwhile
        if kind < f.COMPARED:
            tell(s, which, kind - f.TELL, time)
        else:
            offer(s, which, kind - f.COMPARED, time)


@inlined
def _settle(s: f.State, time: int) -> None:
    """Tell of new pairs and swap, until there is nothing of either."""
    while True:
        if s.counters[f.FRESH] > 0:
            s.counters[f.FRESH] -= 1
            announce(s, s.fresh[s.counters[f.FRESH]], time)
        elif s.counters[f.WORK] > 0:
            node = s.work[s.counters[f.WORK] - 1]
            if ready(s, node, 0) and ready(s, node, 1):
                swap(s, node, time)
            else:
                s.counters[f.WORK] -= 1
                s.nodes[node, f.LISTED] = 0
        else:
            return


@inlined
def _room(s: f.State) -> bool:
    """Return whether the lists hold what one moment can add: each pair swapped, told of, delivered once."""
    most = s.pairs.shape[0]
    room = s.counters[f.EVENTS] + 6 * most <= s.events.shape[0]
    room = room and s.counters[f.DELIVERED] + 2 * most <= s.delivered.shape[0]
    return room and (not s.switches[f.TRACING] or s.counters[f.TRACED] + 3 * most <= s.trace.shape[0])


@called
def advance(s: f.State, until: int) -> int:
    """Let everything happen up to and with ``until`` (ps); ``ROOM_NEEDED``: stopped before, for want of room."""
    time = s.counters[f.NOW]
    while True:
        first = _wake_all(s, time)
        time = first
        if s.counters[f.EVENTS] > 0:
            time = min(time, s.events[0, 0])
        if s.counters[f.DUES] > 0:
            time = min(time, s.pairs[s.dues[0], f.DUE])
        if time > until:
            s.counters[f.NOW] = until
            return f.FINISHED
        if not _room(s):
            return f.ROOM_NEEDED
        s.counters[f.NOW] = time
        if first == time:
            _resolve_all(s, time)
        while s.counters[f.EVENTS] > 0 and s.events[0, 0] == time:
            _happen(s, time)
        _settle(s, time)
        if s.counters[f.DUES] > 0 and s.pairs[s.dues[0], f.DUE] <= time:
            expire(s, time)
