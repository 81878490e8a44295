"""Who gets which lanes: shares units out among the requests that are open, and anew when something changes."""

from collections.abc import Sequence

from bellweave.network.wide.agreement.asking import Bundle, Plan
from bellweave.network.wide.agreement.messages import Lane
from bellweave.network.wide.purification import least_units
from bellweave.plan import wide_lanes
from bellweave.plan.wide_lanes import Routes, Shares, shared
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map, backbone_of

PATIENCE = 3
"""So often a request insists on its share before it takes less: others may still be giving theirs back."""


class Control:
    """Shares of all open requests; what changes at one moment is shared out at once."""

    def __init__(self, scenario: Scenario, net: Map) -> None:
        self._scenario, self._net = scenario, net
        self._open: dict[str, None] = {}
        self._failed: frozenset[str] = frozenset()
        self._shares = Shares({}, {})
        self._routes: Routes = {}
        self._stale = False
        self._changed: dict[str, None] = {}
        self._asked: dict[str, int] = {}

    def change(
        self, *, opened: Sequence[str] = (), closed: Sequence[str] = (), failed: frozenset[str] | None = None
    ) -> None:
        """Note that requests begin or end, or what has failed now."""
        for name in opened:
            self._open[name] = None
        for name in closed:
            self._open.pop(name, None)
        if failed is not None:
            self._failed = failed
        self._stale = True

    def changed(self) -> list[str]:
        """Share out anew, if anything has changed; return the open demands that get other lanes than before."""
        self._share()
        names, self._changed = [name for name in self._changed if name in self._open], {}
        return names

    def _share(self) -> None:
        if not self._stale:
            return
        before, self._shares = self._shares, shared(self._scenario, self._net, self._open, self._failed, self._routes)
        for name, lanes in self._shares.lanes.items():
            if name in before.lanes and _units(before.lanes[name]) != _units(lanes):
                self._changed[name] = None
        self._stale = False
        self._asked.clear()

    def plan(self, demand: str) -> Plan:
        """Return what finds lanes for a demand's requests."""

        def found(_same_cluster: bool, avoid: frozenset[str]) -> list[Bundle]:
            self._share()
            lanes = self._shares.lanes.get(demand, ())
            whole = tuple(self._lane(lane) for lane in lanes)
            whole = tuple(lane for lane in whole if not avoid & {*lane.nodes, *lane.edges})
            if not whole:
                return []
            self._asked[demand] = self._asked.get(demand, 0) + 1
            return [whole] if self._asked[demand] <= PATIENCE else [whole, *_lesser(whole, self._least(demand))]

        return found

    def _least(self, demand: str) -> int:
        """Return the units that a demand's lanes need on an edge; within a cluster nothing is purified."""
        ends = self._scenario.demand[demand]
        return 1 if self._net.same_cluster(ends.a, ends.b) else least_units(backbone_of(self._scenario).purification)

    def _lane(self, lane: wide_lanes.Lane) -> Lane:
        names, edges = self._net.topology.names, self._net.edge_names
        return Lane(
            nodes=tuple(names[node] for node in lane.nodes),
            edges=tuple(edges[edge] for edge in lane.edges),
            keepers=tuple(names[self._net.topology.ends[edge, 0]] for edge in lane.edges),
            units=lane.units,
        )


def _units(lanes: tuple[wide_lanes.Lane, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return sorted((lane.edges, lane.units) for lane in lanes)


def _lesser(whole: Bundle, least: int) -> list[Bundle]:
    """Return bundles that are content with less: half the units, and half again, down to ``least`` on one lane."""
    found = []
    most = max(units for lane in whole for units in lane.units)
    divisor = 2
    while divisor <= most:
        lanes = tuple(
            Lane(lane.nodes, lane.edges, lane.keepers, tuple(max(least, units // divisor) for units in lane.units))
            for lane in whole
        )
        found.append(lanes)
        divisor *= 2
    return [*found, *((lane,) for lane in (found[-1] if found else whole))]
