"""How a chain's state is made from a network and a path in it."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bellweave.network.wide.chains import fields as f
from bellweave.network.wide.chains.draws import binomial_table, seeded
from bellweave.network.wide.chains.orders import Lane
from bellweave.network.wide.params import Purification
from bellweave.network.wide.purification import errors
from bellweave.network.wide.topology import Topology

Mode = Literal["paper", "physical"]

PS = 1e12
LONGEST_S = 1.0e6
"""Longest run: times are picoseconds in 63 bits, and a birth plus a lifetime must fit."""

RARE = 0.25
"""Periods are passed over where a hop's units have a success in less than this share of them."""

ROOM = 512
"""Rows that the list of events has beyond what one moment needs."""


def to_ps(seconds: NDArray[np.float64] | float) -> f.Ints:
    """Return times as whole picoseconds; inf becomes never."""
    values = np.asarray(seconds, float)
    return np.where(values < LONGEST_S, np.rint(np.minimum(values, LONGEST_S) * PS), f.NEVER // 4).astype(np.int64)


def edges_of(topology: Topology, path: Sequence[int]) -> NDArray[np.int64]:
    """Return the edges between the nodes of a path, shape (h,).

    Raises:
        ValueError: If two nodes that follow each other have no edge, or a node comes twice.
    """
    nodes = np.asarray(path, np.int64)
    if len(nodes) < 2 or len(set(path)) != len(nodes):
        raise ValueError(f"a path has two nodes or more, each once, not {list(path)}")
    matrix = topology.adjacency
    edges = np.empty(len(nodes) - 1, np.int64)
    for place, (here, there) in enumerate(pairwise(nodes)):
        row = slice(matrix.indptr[here], matrix.indptr[here + 1])
        found = matrix.data[row][matrix.indices[row] == there]
        if not len(found):
            raise ValueError(f"no edge between {topology.names[here]} and {topology.names[there]}")
        edges[place] = found[0] - 1
    return edges


def make_state(
    topology: Topology,
    path: Sequence[int],
    edges: NDArray[np.int64],
    lane: Lane,
    rng: np.random.Generator,
    *,
    mode: Mode,
    light_km_per_s: float,
    purification: Purification | None,
    start_s: float,
    exclusive: bool,
    traced: bool,
    rare: float,
    room: int,
) -> f.State:
    """Return the state of a lane in which no unit holds anything yet."""
    hops, most = len(edges), int(lane.units.sum())
    node = np.asarray(path, np.int64)
    physical = mode == "physical"
    nodes = _nodes(topology, node, edges, light_km_per_s if physical else np.inf)
    if lane.order is not None:
        nodes[:, f.SPAN], nodes[:, f.SPAN + 1] = lane.order.right, lane.order.left
    node_reals = np.empty((hops + 1, f.NODE_REALS))
    node_reals[:, f.SWAP] = topology.swap_probability[node]
    node_reals[:, f.DECAY] = 1.0 / (topology.coherence_s[node] * PS)
    node_reals[:, f.SWAP_WEIGHT] = (4.0 * topology.swap_fidelity[node] - 1.0) / 3.0
    hop_array, hop_reals, tables = _hops(topology, edges, lane.units, rare)
    timed = bool(np.any(nodes[:, [f.LIFETIME, f.CUTOFF]] < f.NEVER // 4))
    if exclusive and (nodes[:, f.BUSY].any() or nodes[:, f.LIGHT].any() or lane.order is None):
        raise ValueError("spans are built by themselves only in an order, and where swaps and messages take no time")
    rounds = 0 if purification is None else purification.rounds
    twirl = purification is not None and purification.protocol == "bbpssw"
    if rounds and not physical:
        raise ValueError("pairs are perfect in paper mode: there is nothing to purify")
    if rounds and exclusive:
        raise ValueError("where spans are built by themselves a hop has one pair at a time, and can not purify")
    counters = np.zeros(f.COUNTERS, np.int64)
    counters[f.NOW], counters[f.SPARE] = to_ps(start_s), most
    pairs = np.zeros((most, f.PAIR_FIELDS), np.int64)
    pairs[:, f.LABEL] = pairs[:, f.DUE_PLACE] = -1
    return f.State(
        switches=np.array([lane.order is None, physical, exclusive, timed, traced, rounds, twirl], np.int64),
        counters=counters,
        hops=hop_array,
        hop_reals=hop_reals,
        nodes=nodes,
        node_reals=node_reals,
        tables=tables,
        pairs=pairs,
        correlation=np.ones((most, 3)),
        spare=np.arange(most, dtype=np.int64),
        dues=np.zeros(most, np.int64),
        fresh=np.zeros(most, np.int64),
        work=np.zeros(hops + 1, np.int64),
        waiting=np.full((hops, rounds), -1, np.int64),
        random=seeded(rng),
        events=np.zeros((6 * most + ROOM, f.EVENT_FIELDS), np.int64),
        delivered=np.zeros((2 * most + room, f.DELIVERED_FIELDS), np.int64),
        delivered_correlation=np.ones((2 * most + room, 3)),
        trace=np.zeros((3 * most + room if traced else 0, f.TRACE_FIELDS), np.int64),
    )


def _nodes(
    topology: Topology, node: NDArray[np.int64], edges: NDArray[np.int64], light_km_per_s: float
) -> NDArray[np.int64]:
    nodes = np.zeros((len(node), f.NODE_FIELDS), np.int64)
    nodes[:, f.HEAD : f.HEAD + 2] = nodes[:, f.TAIL : f.TAIL + 2] = -1
    nodes[:, f.BUSY] = to_ps(topology.measurement_s[node] + topology.retrieval_s[node])
    nodes[1:, f.LIGHT] = np.cumsum(to_ps(topology.length_km[edges] / light_km_per_s))
    nodes[:, f.LIFETIME] = to_ps(topology.lifetime_s[node])
    nodes[:, f.CUTOFF] = to_ps(topology.cutoff_s[node])
    return nodes


def _hops(
    topology: Topology, edges: NDArray[np.int64], units: NDArray[np.int64], rare: float
) -> tuple[f.Ints, f.Floats, f.Floats]:
    """Return a lane's hops, and a table of binomials for each kind of hop."""
    success = topology.success[edges]
    hops = np.zeros((len(edges), f.HOP_FIELDS), np.int64)
    hops[:, f.PERIOD] = to_ps(topology.attempt_s[edges])
    hops[:, f.UNITS] = hops[:, f.FREE] = hops[:, f.FREE + 1] = units
    hops[:, f.NEXT] = f.NEVER
    kinds, hops[:, f.TABLE] = np.unique(success, return_inverse=True)
    hops[:, f.SKIPS] = 1.0 - (1.0 - success) ** units < rare
    reals = np.empty((len(edges), f.HOP_REALS))
    weight = (4.0 * topology.fidelity[edges] - 1.0) / 3.0
    reals[:, :3] = weight[:, np.newaxis]
    with np.errstate(divide="ignore"):
        reals[:, f.LOG_FAILURE] = np.log1p(-success)
    err = errors(topology, edges)
    reals[:, f.GATES], reals[:, f.READOUT] = err.gates, err.readout
    tables = np.stack([binomial_table(float(kind), int(units.max())) for kind in kinds])
    return hops, reals, tables
