"""Who gets which lanes: shares units out among the requests that are open, and anew when something changes."""

from collections.abc import Sequence

from bellweave.network.wide.agreement.asking import Bundle, Plan
from bellweave.network.wide.agreement.messages import Lane
from bellweave.plan import wide_lanes
from bellweave.plan.wide_lanes import Shares, shared
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map

PATIENCE = 3
"""So often a request insists on its share before it takes less: others may still be giving theirs back."""


class Control:
    """Shares of all open requests; every change of who is open or what has failed makes new ones."""

    def __init__(self, scenario: Scenario, net: Map) -> None:
        self._scenario, self._net = scenario, net
        self._open: dict[str, None] = {}
        self._failed: frozenset[str] = frozenset()
        self._shares = Shares({}, {})
        self._asked: dict[str, int] = {}

    @property
    def shares(self) -> Shares:
        """What everybody gets now."""
        return self._shares

    def change(
        self, *, opened: Sequence[str] = (), closed: Sequence[str] = (), failed: frozenset[str] | None = None
    ) -> list[str]:
        """Share out anew; return the demands that were open before, still are, and get other lanes."""
        before = {name: self._shares.lanes.get(name, ()) for name in self._open if name not in closed}
        for name in opened:
            self._open[name] = None
        for name in closed:
            self._open.pop(name, None)
        if failed is not None:
            self._failed = failed
        self._shares = shared(self._scenario, self._net, self._open, self._failed)
        self._asked.clear()
        return [name for name, lanes in before.items() if _units(lanes) != _units(self._shares.lanes[name])]

    def plan(self, demand: str) -> Plan:
        """Return what finds lanes for a demand's requests."""

        def found(_same_cluster: bool, avoid: frozenset[str]) -> list[Bundle]:
            lanes = self._shares.lanes.get(demand, ())
            whole = tuple(self._lane(lane) for lane in lanes)
            whole = tuple(lane for lane in whole if not avoid & {*lane.nodes, *lane.edges})
            if not whole:
                return []
            self._asked[demand] = self._asked.get(demand, 0) + 1
            return [whole] if self._asked[demand] <= PATIENCE else [whole, *_lesser(whole)]

        return found

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


def _lesser(whole: Bundle) -> list[Bundle]:
    """Return bundles that are content with less: half the units, and half again, down to one on one lane."""
    found = []
    most = max(units for lane in whole for units in lane.units)
    divisor = 2
    while divisor <= most:
        lanes = tuple(
            Lane(lane.nodes, lane.edges, lane.keepers, tuple(max(1, units // divisor) for units in lane.units))
            for lane in whole
        )
        found.append(lanes)
        divisor *= 2
    return [*found, *((lane,) for lane in (found[-1] if found else whole))]
