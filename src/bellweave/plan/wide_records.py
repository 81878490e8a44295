"""What a plan of a wide-area network says."""

import msgspec

from bellweave.plan.wide_lanes import Lane
from bellweave.scenario.wide import Map


class DemandPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One demand.

    Attributes:
        demand, a, b: Its name and its two slaves.
        kind: ``cluster``: by Ekert91 and MDI-QKD in one cluster. ``backbone``: by swapped pairs.
        paths: Nodes of each lane.
        units: Memory units on each edge of each lane.
        length_km: Of the first lane.
        eq9_per_s: Eq. 9 for its first lane's units, if its hops are alike; null else.
        alone_per_s: The best rate of its first path when nobody else is there.
        rate_per_s, timed_per_s: End-to-end pairs/s among all demands, at most; see above. Within a cluster, those of
            Ekert91 in the demand's turns.
        fidelity, qber, chsh: Of the pairs, at best; within a cluster the fidelity is null, and all are in ``paper``
            mode.
        key_bits_per_s: Key of ``timed_per_s`` pairs, of finite blocks in ``physical`` mode; within a cluster of
            Ekert91 and MDI-QKD: Eq. 6's part, or the master's turns' in ``physical`` mode.
        asymptotic_bits_per_s: The same of blocks without end; null in ``paper`` mode.
        trusted_bits_per_s: Key over the same paths with trusted nodes; null within a cluster.
        trusted_nodes: Nodes that would know it.
        asked_bits_per_s: What is asked for; null: whatever there is.
    """

    demand: str
    a: str
    b: str
    kind: str
    paths: tuple[tuple[str, ...], ...]
    units: tuple[tuple[int, ...], ...]
    length_km: float | None
    eq9_per_s: float | None
    alone_per_s: float | None
    rate_per_s: float
    timed_per_s: float
    fidelity: float | None
    qber: float | None
    chsh: float | None
    key_bits_per_s: float
    asymptotic_bits_per_s: float | None = None
    trusted_bits_per_s: float | None
    trusted_nodes: int
    asked_bits_per_s: float | None


class ClusterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster.

    Attributes:
        master: Its name.
        slaves: How many.
        pairs_at_once: Pairs of slaves that run Ekert91 at once (Eq. 5).
        bits_per_attempt: Key of one attempt of all units (Eq. 6), with the smallest N_s; in ``physical`` mode with the
            mean asymptotic rates of its demands' pairs.
        bits_per_s: The same, an attempt every 145 us; in ``physical`` mode, where the rates of source and pulses count
            and not units, what its demands get in their turns.
    """

    master: str
    slaves: int
    pairs_at_once: int
    bits_per_attempt: float
    bits_per_s: float


class WidePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A wide-area network.

    Attributes:
        mode, swap_order, router, fairness: As the scenario says.
        demands, clusters: In the scenario's order.
        warnings: What is possible but doubtful, a sentence each.
    """

    mode: str
    swap_order: str
    router: str
    fairness: str
    demands: tuple[DemandPlan, ...]
    clusters: tuple[ClusterPlan, ...]
    warnings: tuple[str, ...]


def names_of(net: Map, lanes: tuple[Lane, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the names of the nodes of lanes."""
    return tuple(tuple(net.topology.names[node] for node in lane.nodes) for lane in lanes)
