"""Memory units of edges, set aside for requests: who holds how many, and until when.

The books of an edge are kept by one of its two nodes. Free + set aside = all, always; what nobody prolongs is free
again when its lease is over.
"""

from collections.abc import Mapping


class Units:
    """The units of some edges.

    Args:
        units: By edge, on each side.
    """

    def __init__(self, units: Mapping[str, int]) -> None:
        self._units = dict(units)
        self._held: dict[str, dict[int, tuple[int, float]]] = {edge: {} for edge in units}

    def free(self, edge: str, now_s: float) -> int:
        """Return how many units of an edge nobody holds.

        Raises:
            KeyError: The edge is none of these.
        """
        self._expire(edge, now_s)
        return self._units[edge] - sum(units for units, _ in self._held[edge].values())

    def reserve(self, edge: str, request: int, units: int, now_s: float, lease_s: float) -> bool:
        """Set units aside for a request, or prolong; return False, and change nothing, if there are too few.

        Raises:
            KeyError: The edge is none of these.
            ValueError: Fewer than one unit.
        """
        if units < 1:
            raise ValueError(f"at least one unit, not {units}")
        own = self.held(edge, request, now_s)
        if units > self.free(edge, now_s) + own:
            return False
        self._held[edge][request] = (units, now_s + lease_s)
        return True

    def release(self, edge: str, request: int) -> None:
        """Free what a request holds of an edge, if it holds anything.

        Raises:
            KeyError: The edge is none of these.
        """
        self._held[edge].pop(request, None)

    def held(self, edge: str, request: int, now_s: float) -> int:
        """Return how many units of an edge a request holds."""
        self._expire(edge, now_s)
        return self._held[edge].get(request, (0, 0.0))[0]

    def drop(self, request: int) -> None:
        """Free all that a request holds."""
        for held in self._held.values():
            held.pop(request, None)

    def forget(self) -> None:
        """Free everything: the node has failed."""
        for held in self._held.values():
            held.clear()

    def _expire(self, edge: str, now_s: float) -> None:
        held = self._held[edge]
        for request in [request for request, (_, until_s) in held.items() if until_s <= now_s]:
            del held[request]
