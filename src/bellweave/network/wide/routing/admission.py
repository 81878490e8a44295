"""Which requests run at once: admit, queue or refuse, by free units and by the rate they can give.

A request wants a rate, or as much as one unit on each edge of its path gives. It is refused if the network could not
serve it even alone, or if the queue is full; it waits if units are lacking now. What waits is looked at whenever units
come back, in one of three orders:

* ``arrival``: the first comes first, and nobody passes who does not fit (no starvation).
* ``smallest``: the request that takes the fewest units first; others pass it where it does not fit.
* ``fair``: the request whose pair of nodes holds the least now, by weight; others pass it where it does not fit.

When nodes or edges fail, requests that ran over them are routed anew, and wait if that fails. There is no clock here:
who waits too long is withdrawn by the caller.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from bellweave.network.wide.flow.chain import chain_rate
from bellweave.network.wide.routing.load import Load, without
from bellweave.network.wide.routing.routers import Route, Router
from bellweave.network.wide.topology import Topology

Order = Literal["arrival", "smallest", "fair"]


@dataclass(frozen=True)
class Request:
    """A request for entanglement.

    Attributes:
        name: Of one request at a time.
        source, target: Nodes.
        rate_per_s: Pairs/s that it needs; None: what one unit on each edge gives.
        weight: Its share, for ``fair``.
    """

    name: str
    source: int
    target: int
    rate_per_s: float | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Granted:
    """The request runs: these routes, with these units of each edge, give this rate."""

    request: Request
    routes: tuple[Route, ...]
    units: dict[int, int]
    rate_per_s: float


@dataclass(frozen=True)
class Queued:
    """The request waits for units."""

    request: Request


@dataclass(frozen=True)
class Refused:
    """The request can't be served; why."""

    request: Request
    reason: Literal["no path", "rate too high", "queue full"]


Decision = Granted | Queued | Refused


class Admission:
    """Who runs and who waits.

    Attributes:
        topology: The network as it is now, what failed being down.
        load: What is reserved.
        running: By name, what was granted.
        waiting: Requests in the order of arrival.
    """

    def __init__(self, topology: Topology, router: Router, *, order: Order = "arrival", queue: int = 1000) -> None:
        self._whole, self._router, self._order, self._queue = topology, router, order, queue
        self._nodes: set[int] = set()
        self._edges: set[int] = set()
        self.topology = topology
        self.load = Load.none(topology)
        self.running: dict[str, Granted] = {}
        self.waiting: list[Request] = []

    def ask(self, request: Request) -> Decision:
        """Decide on a new request.

        Raises:
            ValueError: If one of this name runs or waits.
        """
        if request.name in self.running or any(each.name == request.name for each in self.waiting):
            raise ValueError(f"there is a request {request.name!r} already")
        return self._decide(request)

    def end(self, name: str) -> tuple[Granted, ...]:
        """End a request that runs or waits; return those that run now because of it.

        Raises:
            KeyError: If there is none of this name.
        """
        if name in self.running:
            self.load.release(self.running.pop(name).units)
            return self._retry()
        left = [each for each in self.waiting if each.name != name]
        if len(left) == len(self.waiting):
            raise KeyError(name)
        self.waiting = left
        return self._retry()

    def fail(self, nodes: Collection[int] = (), edges: Collection[int] = ()) -> tuple[Decision, ...]:
        """Take nodes and edges down; return what becomes of the requests that ran over them, and who runs now."""
        self._nodes |= set(nodes)
        self._edges |= set(edges)
        self.topology = without(self._whole, self._nodes, self._edges)
        lost = [
            each for each in self.running.values() if any(self.topology.success[edge] <= 0.0 for edge in each.units)
        ]
        for each in lost:
            self.load.release(self.running.pop(each.request.name).units)
        again: list[Decision] = [self._decide(each.request, lost=True) for each in lost]
        return (*again, *self._retry())

    def repair(self, nodes: Collection[int] = (), edges: Collection[int] = ()) -> tuple[Granted, ...]:
        """Bring nodes and edges back; return those that run now because of it."""
        self._nodes -= set(nodes)
        self._edges -= set(edges)
        self.topology = without(self._whole, self._nodes, self._edges)
        return self._retry()

    def _decide(self, request: Request, *, lost: bool = False) -> Decision:
        """Grant, queue or refuse; a request that lost its path is not refused for want of a path or of room."""
        first = self._order == "arrival" and bool(self.waiting) and not lost
        granted = None if first else self._grant(request)
        if granted is not None:
            return granted
        reason = self._impossible(request)
        if reason is None and len(self.waiting) >= self._queue:
            reason = "queue full"
        if reason is not None and not lost:
            return Refused(request, reason)
        self.waiting.insert(0 if lost else len(self.waiting), request)
        return Queued(request)

    def _impossible(self, request: Request) -> Literal["no path", "rate too high", "queue full"] | None:
        """Return why the network could not serve a request even if it had nothing else to do; None if it could."""
        routes = self._router.route(self.topology, request.source, request.target, Load.none(self.topology))
        if not routes:
            return "no path"
        return None if self._needs(request, routes, Load.none(self.topology)) else "rate too high"

    def _grant(self, request: Request) -> Granted | None:
        routes = self._router.route(self.topology, request.source, request.target, self.load)
        units = self._needs(request, routes, self.load)
        if not units:
            return None
        self.load.reserve(self.topology, units)
        granted = Granted(request, routes, units, self._rate(request, routes))
        self.running[request.name] = granted
        return granted

    def _needs(self, request: Request, routes: tuple[Route, ...], load: Load) -> dict[int, int]:
        """Return the units of each edge that a request needs on its routes; empty if they are not free."""
        units: dict[int, int] = {}
        for route, each in zip(routes, self._units(request, routes), strict=True):
            for edge in route.edges:
                units[edge] = units.get(edge, 0) + each
        free = load.free(self.topology)
        return {} if any(wanted > free[edge] for edge, wanted in units.items()) else units

    def _units(self, request: Request, routes: tuple[Route, ...]) -> list[int]:
        """Return by route how many units it takes on each of its edges: a rate grows with them in proportion."""
        if request.rate_per_s is None:
            return [1] * len(routes)
        return [max(1, math.ceil(request.rate_per_s * route.share / self._unit_rate(route) - 1e-9)) for route in routes]

    def _rate(self, request: Request, routes: tuple[Route, ...]) -> float:
        counts = self._units(request, routes)
        return sum(count * self._unit_rate(route) for count, route in zip(counts, routes, strict=True))

    def _unit_rate(self, route: Route) -> float:
        """Return the rate of a path with one unit on each edge."""
        rates = self.topology.pairs_per_s[list(route.edges)] / self.topology.units[list(route.edges)]
        return chain_rate(rates, self.topology.swap_probability[list(route.nodes[1:-1])])

    def _retry(self) -> tuple[Granted, ...]:
        """Grant what now fits, in the order."""
        granted: list[Granted] = []
        while self.waiting:
            for request in self._ordered():
                found = self._grant(request)
                if found is not None:
                    granted.append(found)
                    self.waiting.remove(request)
                    break
                if self._order == "arrival":
                    return tuple(granted)
            else:
                break
        return tuple(granted)

    def _ordered(self) -> list[Request]:
        if self._order == "arrival":
            return self.waiting
        key = self._size if self._order == "smallest" else self._held
        return sorted(self.waiting, key=key)

    def _size(self, request: Request) -> float:
        routes = self._router.route(self.topology, request.source, request.target, self.load)
        counts = self._units(request, routes)
        return sum(count * len(route.edges) for count, route in zip(counts, routes, strict=True))

    def _held(self, request: Request) -> float:
        ends = {request.source, request.target}
        held = sum(
            sum(each.units.values())
            for each in self.running.values()
            if {each.request.source, each.request.target} == ends
        )
        return held / request.weight
