"""The k shortest paths, against scipy's and by their properties."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import yen

from bellweave import rng
from bellweave.network.wide.flow.search import neighbours
from bellweave.network.wide.routing.paths import Path, shortest_paths
from bellweave.network.wide.topology import Topology, uniform


def grid(side: int) -> Topology:
    """Return a square grid, node row * side + column."""
    number = np.arange(side * side).reshape(side, side)
    across = np.stack((number[:, :-1].ravel(), number[:, 1:].ravel()), axis=1)
    down = np.stack((number[:-1].ravel(), number[1:].ravel()), axis=1)
    return uniform(np.concatenate((across, down)), side * side)


def paths(network: Topology, weight: np.ndarray, source: int, target: int, count: int) -> list[Path]:
    passes = network.swap_probability > 0.0
    return shortest_paths(neighbours(network), network.ends, weight, passes, source, target, count)


def check(network: Topology, weight: np.ndarray, source: int, target: int, found: list[Path]) -> None:
    for path in found:
        assert path.nodes[0] == source
        assert path.nodes[-1] == target
        assert len(set(path.nodes)) == len(path.nodes)
        assert path.length == pytest.approx(weight[list(path.edges)].sum())
        for edge, ends in zip(path.edges, itertools.pairwise(path.nodes), strict=True):
            assert sorted(ends) == network.ends[edge].tolist()
    lengths = [path.length for path in found]
    assert lengths == sorted(lengths)
    assert len({path.edges for path in found}) == len(found)


@settings(max_examples=30, deadline=None)
@given(side=st.integers(2, 6), seed=st.integers(0, 1000), count=st.integers(1, 12), whole=st.booleans())
def test_paths_are_as_short_as_scipys(side: int, seed: int, count: int, whole: bool) -> None:
    network = grid(side)
    draw = rng.stream(seed, "test", "paths")
    weight = draw.integers(1, 4, network.edges).astype(float) if whole else draw.uniform(0.5, 2.0, network.edges)
    source, target = map(int, draw.choice(network.nodes, 2, replace=False))

    found = paths(network, weight, source, target, count)

    check(network, weight, source, target, found)
    both = np.concatenate((network.ends, network.ends[:, ::-1]))
    matrix = csr_array((np.tile(weight, 2), (both[:, 0], both[:, 1])), shape=(network.nodes, network.nodes))
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    assert [path.length for path in found] == pytest.approx(yen(matrix, source, target, count))


def test_all_paths_are_found_where_there_are_few() -> None:
    network = grid(3)
    every = list(nx.all_simple_paths(nx.Graph(network.ends.tolist()), 0, 8))

    found = paths(network, np.ones(network.edges), 0, 8, 100)

    assert {path.nodes for path in found} == {tuple(each) for each in every}
    assert len(found) == len(every)


def test_paths_keep_off_edges_that_are_down_and_nodes_that_cannot_swap() -> None:
    network = grid(3)
    network.swap_probability[4] = 0.0
    weight = np.ones(network.edges)
    weight[0] = np.inf

    found = paths(network, weight, 0, 8, 100)

    assert found
    assert all(4 not in path.nodes and 0 not in path.edges for path in found)
    assert paths(network, weight, 0, 4, 1)[0].length == 2.0
    assert paths(network, np.full(network.edges, np.inf), 0, 8, 3) == []
