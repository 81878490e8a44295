"""A chain that runs: ``Chain.advance`` takes it from one control event to the next and returns what was delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains import kernel, losses, orders
from bellweave.network.wide.chains.draws import binomial_table
from bellweave.network.wide.chains.making import LONGEST_S, PS, RARE, ROOM, Mode, edges_of, make_state, to_ps
from bellweave.network.wide.params import Purification, SwapOrder
from bellweave.network.wide.purification import least_units
from bellweave.network.wide.topology import Topology

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
T = TypeVar("T", np.int64, np.float64)


@dataclass(frozen=True, eq=False)
class Delivered:
    """End-to-end pairs, in the order in which both ends had measured them.

    Attributes:
        label: Shape (n,).
        at_s: Shape (n,), when the later end had measured.
        oldest_s: Shape (n,), when the oldest link in it was made.
        correlation: Shape (n, 3), as in :mod:`bellweave.network.wide.states`; ones in ``paper`` mode.
    """

    label: Ints
    at_s: Floats
    oldest_s: Floats
    correlation: Floats

    def __len__(self) -> int:
        return len(self.label)

    @property
    def fidelity(self) -> Floats:
        """Shape (n,)."""
        values: Floats = (1.0 + self.correlation.sum(axis=1)) / 4.0
        return values


@dataclass(frozen=True)
class Counts:
    """What has become of a chain's pairs since its start.

    ``created == swapped + measured + expired + purified + held`` always.

    Attributes:
        links: Made by hops.
        joined: Made by swaps that succeeded.
        swaps: Swaps begun; each takes two pairs.
        measured: Delivered end to end.
        outlived: Dropped at a memory's lifetime.
        cut: Given up at a cutoff.
        dropped: Dropped because a node was lost.
        held: Now in memories.
        attempts: Of all units, successful or not.
        purifications: Begun; each takes two pairs.
        improved: Made by purifications that succeeded.
    """

    links: int
    joined: int
    swaps: int
    measured: int
    outlived: int
    cut: int
    dropped: int
    held: int
    attempts: int
    purifications: int = 0
    improved: int = 0

    @property
    def created(self) -> int:
        """All pairs that ever had a label."""
        return self.links + self.joined + self.improved

    @property
    def swapped(self) -> int:
        """Pairs that went into swaps."""
        return 2 * self.swaps

    @property
    def purified(self) -> int:
        """Pairs that went into purifications."""
        return 2 * self.purifications

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing."""
        gone = self.swapped + self.measured + self.expired + self.purified
        return self.created == gone + self.held

    @property
    def expired(self) -> int:
        """Pairs that were given up, for whatever reason."""
        return self.outlived + self.cut + self.dropped


class Chain:
    """A path of a network with its memories, from ``start_s`` on; it changes only in its methods.

    Args:
        topology: The network.
        path: Its nodes, from one end to the other, two or more.
        rng: Seeds the chain's own stream.
        order: Who swaps with whom.
        mode: ``paper``: pairs are perfect and classical messages take no time. ``physical``: pairs decay, and news of a
            swap travels at the speed of light. Swaps take the nodes' measurement and retrieval times in both.
        units: Units on each hop that this chain may use; None: all.
        shares: The linear program's, for ``optimal``.
        light_km_per_s: Speed of messages.
        purification: Of every hop's pairs before they are used, in ``physical`` mode; n rounds take n + 1 units a hop.
        start_s: When it starts.
        exclusive: A span that is being built or waits keeps all units below it, and a cutoff begins both halves of the
            span above anew: the model of :mod:`bellweave.network.wide.waiting`.
        traced: Keep where every label comes from.
        skip: Pass over periods without success: None: where they are many; both ways have the same statistics.
        room: Delivered pairs that the kernel can note before Python collects them.

    Raises:
        ValueError: If the path is none, ``optimal`` has no shares, or there is nothing to purify or too few units to.
    """

    def __init__(
        self,
        topology: Topology,
        path: Sequence[int],
        rng: np.random.Generator,
        *,
        order: SwapOrder = "asap",
        mode: Mode = "paper",
        units: Sequence[int] | None = None,
        shares: orders.Shares | None = None,
        light_km_per_s: float = 2.0e5,
        purification: Purification | None = None,
        start_s: float = 0.0,
        exclusive: bool = False,
        traced: bool = False,
        skip: bool | None = None,
        room: int = 4096,
    ) -> None:
        self.path = tuple(int(node) for node in path)
        self.edges = edges_of(topology, self.path)
        self.now_s = start_s
        own = topology.units[self.edges] if units is None else np.asarray(units)
        self._least = least_units(purification)
        if len(own) != len(self.edges) or own.min() < self._least:
            raise ValueError(f"{len(self.edges)} hops have {self._least} units or more each, not {own.tolist()}")
        swap = topology.swap_probability[list(self.path)].tolist()
        self._swap, self._shares = swap, shares
        self._lanes = _lanes(order, own.astype(np.int64), shares, swap, self._least)
        rare = {None: RARE, True: 2.0, False: 0.0}[skip]
        self._states = [
            make_state(
                topology,
                self.path,
                self.edges,
                lane,
                rng,
                mode=mode,
                light_km_per_s=light_km_per_s,
                purification=purification,
                start_s=start_s,
                exclusive=exclusive,
                traced=traced,
                rare=rare,
                room=room,
            )
            for lane in self._lanes
        ]
        self._trace: list[Ints] = []

    @property
    def hops(self) -> int:
        """Number of hops."""
        return len(self.edges)

    def advance(self, until_s: float) -> Delivered:
        """Let everything happen up to and with ``until_s``, and return what was delivered since the last call.

        Raises:
            ValueError: If ``until_s`` is in the past or beyond :data:`LONGEST_S`.
        """
        if not self.now_s <= until_s <= LONGEST_S:
            raise ValueError(f"a chain at {self.now_s} s can go on to {LONGEST_S} s, not to {until_s} s")
        until = int(to_ps(until_s))
        parts = [part for lane in range(len(self._states)) for part in self._run(lane, until)]
        self.now_s = until_s
        rows = np.concatenate([rows for rows, _ in parts])
        correlation: Floats = np.broadcast_to(1.0, (len(rows), 3))
        if self._states[0].switches[f.PHYSICAL]:
            correlation = np.concatenate([each for _, each in parts])
        if len(self._states) > 1:
            first = np.lexsort((rows[:, 0], rows[:, 1]))
            rows, correlation = rows[first], correlation[first]
        return Delivered(rows[:, 0], rows[:, 1] / PS, rows[:, 2] / PS, correlation)

    def _run(self, lane: int, until: int) -> list[tuple[Ints, Floats]]:
        """Advance one lane, with more room wherever the kernel asks for it."""
        parts: list[tuple[Ints, Floats]] = []
        while True:
            state = self._states[lane]
            outcome = kernel.advance(state, until)
            counters = state.counters
            done, traced = int(counters[f.DELIVERED]), int(counters[f.TRACED])
            rows = state.delivered[:done].copy()
            if len(self._states) > 1:
                rows[:, 0] = self._global(rows[:, 0], lane)
            physical = state.switches[f.PHYSICAL]
            parts.append((rows, state.delivered_correlation[: done if physical else 0].copy()))
            if traced:
                noted = state.trace[:traced].copy()
                noted[:, :3] = np.where(noted[:, :3] < 0, -1, self._global(noted[:, :3], lane))
                self._trace.append(noted)
            counters[f.DELIVERED] = counters[f.TRACED] = 0
            if outcome == f.FINISHED:
                return parts
            if counters[f.EVENTS] + 6 * len(state.pairs) > len(state.events):
                self._states[lane] = state._replace(events=_padded(state.events, 2 * len(state.events)))

    def _global(self, labels: Ints, lane: int) -> Ints:
        """Return labels that are unique among all lanes."""
        return labels * len(self._states) + lane

    @property
    def counts(self) -> Counts:
        """What has become of all pairs so far."""
        sums = np.sum([state.counters for state in self._states], axis=0)
        fates = (f.LINKS, f.JOINED, f.SWAPS, f.MEASURED, f.EXPIRED, f.CUT, f.DROPPED, f.HELD)
        return Counts(*(int(sums[field]) for field in (*fates, f.ATTEMPTS, f.PURIFICATIONS, f.IMPROVED)))

    @property
    def trace(self) -> Ints:
        """Shape (n, 5): label, the two labels it was made of (-1: a link), place, time in ps.

        The place is a link's hop, the node of a swap, or -1 - hop of a purification.
        """
        return np.concatenate(self._trace) if self._trace else np.zeros((0, f.TRACE_FIELDS), np.int64)

    @property
    def units(self) -> list[int]:
        """Units on each hop that the chain may use."""
        return [int(units) for units in np.sum([state.hops[:, f.UNITS] for state in self._states], axis=0)]

    def set_units(self, units: Sequence[int]) -> None:
        """Change how many units the chain may use on each hop, 0 or as many as purification takes at least.

        Units that hold pairs are given back when those are done with.
        """
        wanted = np.asarray(units, np.int64)
        if len(wanted) != self.hops or np.any((wanted < self._least) & (wanted != 0)):
            raise ValueError(f"{self.hops} hops have 0 or {self._least} units or more each, not {wanted.tolist()}")
        for lane, split in enumerate(self._split(wanted)):
            self._states[lane] = _with_units(self._states[lane], split)

    def _split(self, units: Ints) -> list[Ints]:
        """Return the units of every lane."""
        if len(self._lanes) == 1:
            return [units]
        use = np.stack([lane.units for lane in self._lanes]).astype(float)
        count, least = len(self._lanes), self._least
        columns = [
            orders.apportioned(use[:, hop], own, least) if own >= count * least else _few(count, own, least)
            for hop, own in enumerate(units.tolist())
        ]
        return list(np.stack(columns, axis=1).astype(np.int64))

    def lose_node(self, place: int) -> None:
        """Drop all pairs with a qubit at the path's node ``place``; to keep it down, set its hops' units to 0."""
        for state in self._states:
            losses.lose(state, place)


def _few(lanes: int, units: int, least: int) -> Ints:
    """Return the units of lanes where only the first ones can have enough; what is left over helps the first."""
    parts = least * (np.arange(lanes) < units // least)
    parts[0] += units % least if units >= least else 0
    return np.asarray(parts, np.int64)


def _lanes(
    order: SwapOrder, units: Ints, shares: orders.Shares | None, swap: Sequence[float], least: int
) -> list[orders.Lane]:
    if order == "optimal":
        if shares is None:
            raise ValueError("the optimal order needs the linear program's shares")
        return orders.lanes(shares, swap, units.tolist(), least)
    make = {"asap": None, "nested": orders.nested, "hop-by-hop": orders.hop_by_hop}[order]
    return [orders.Lane(make(len(units)) if make else None, units)]


def _with_units(state: f.State, units: Ints) -> f.State:
    """Return the state with other units, and room for them."""
    more = units - state.hops[:, f.UNITS]
    state.hops[:, f.UNITS] += more
    state.hops[:, f.FREE] += more
    state.hops[:, f.FREE + 1] += more
    for hop in state.hops:
        free = max(0, min(hop[f.FREE], hop[f.FREE + 1]))
        if free == 0 or (free < hop[f.FLYING] and hop[f.SKIPS]):
            hop[f.NEXT], hop[f.FLYING] = f.NEVER, 0  # begins anew with the next period
        hop[f.FLYING] = min(free, hop[f.FLYING])
    most, had = int(np.maximum(units, 0).sum()), len(state.pairs)
    if most > had:
        state = _with_room(state, most)
    largest = int(units.max())
    if largest >= state.tables.shape[1]:
        kinds = 1.0 - state.tables[:, 1, 0]
        state = state._replace(tables=np.stack([binomial_table(float(kind), largest) for kind in kinds]))
    return state


def _with_room(state: f.State, most: int) -> f.State:
    """Return the state with room for more pairs."""
    had = len(state.pairs)
    pairs = _padded(state.pairs, most)
    pairs[had:, f.LABEL] = pairs[had:, f.DUE_PLACE] = -1
    spare = _padded(state.spare, most)
    free = int(state.counters[f.SPARE])
    spare[free : free + most - had] = np.arange(had, most)
    state.counters[f.SPARE] += most - had
    return state._replace(
        pairs=pairs,
        spare=spare,
        correlation=_padded(state.correlation, most),
        dues=_padded(state.dues, most),
        fresh=_padded(state.fresh, most),
        events=_padded(state.events, 6 * most + ROOM),
        delivered=_padded(state.delivered, len(state.delivered) + 2 * most),
        delivered_correlation=_padded(state.delivered_correlation, len(state.delivered_correlation) + 2 * most),
        trace=_padded(state.trace, len(state.trace) + 3 * most) if state.switches[f.TRACING] else state.trace,
    )


def _padded(array: NDArray[T], rows: int) -> NDArray[T]:
    """Return a copy with at least so many rows."""
    larger = np.zeros((max(rows, len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
