"""Demands that share a network's units: shares, coming and going, refusals, accounts; and the networks themselves."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from bellweave import rng
from bellweave.network.wide.chains.run import Chain, Counts
from bellweave.network.wide.generators import CITIES, european_backbone, grid, random_geometric
from bellweave.network.wide.mesh.run import Mesh
from bellweave.network.wide.topology import chain


def accounted(counts: Counts) -> bool:
    gone = counts.swapped + counts.measured + counts.expired + counts.purified
    return counts.created == gone + counts.held


def test_demands_divide_the_units_of_the_edges_they_share_by_weight() -> None:
    mesh = Mesh(chain(4, success=0.4))
    mesh.add("long", range(5), rng.stream(1, "long"))
    mesh.add("short", [3, 2, 1], rng.stream(1, "short"), weight=4.0)
    assert mesh.chains["long"].units == [10, 2, 2, 10]
    assert mesh.chains["short"].units == [8, 8]
    shared = mesh.advance(2.0)
    assert len(shared["short"]) > 2 * len(shared["long"]) > 0
    assert accounted(mesh.remove("short"))
    assert mesh.chains["long"].units == [10, 10, 10, 10]
    alone = mesh.advance(4.0)
    assert len(alone["long"]) > 3 * len(shared["long"])
    assert accounted(mesh.chains["long"].counts)


def test_a_demand_alone_is_its_chain() -> None:
    topology = grid(3, 3, success=0.3)
    mesh = Mesh(topology, mode="physical")
    path = [0, 1, 4, 5]
    mesh.add("a", path, rng.stream(1, "a"))
    mesh.add("b", [3, 6, 7], rng.stream(1, "b"))
    own = Chain(topology, path, rng.stream(1, "a"), mode="physical")
    assert np.array_equal(mesh.advance(0.5)["a"].at_s, own.advance(0.5).at_s)


def test_a_full_edge_takes_no_more_and_the_others_go_on() -> None:
    mesh = Mesh(chain(3, success=0.4, units=2))
    mesh.add_all((f"d{number}", range(4), rng.stream(1, "d", number), 1.0) for number in range(2))
    assert mesh.full([2, 1]) == [1]
    with pytest.raises(ValueError, match="no unit is left between r0 and r1"):
        mesh.add("late", range(4), rng.stream(1, "late"))
    with pytest.raises(ValueError, match="already"):
        mesh.add("d0", range(4), rng.stream(1, "again"))
    with pytest.raises(ValueError, match="weight"):
        Mesh(chain(3)).add("none", range(4), rng.stream(1, "none"), weight=0.0)
    assert set(mesh.chains) == {"d0", "d1"}
    assert min(len(each) for each in mesh.advance(1.0).values()) > 0
    mesh.remove("d0")
    mesh.add("late", range(4), rng.stream(1, "late"))
    assert np.all(mesh.advance(2.0)["late"].at_s > 1.0)


def test_shares_of_the_optimum_belong_to_one_path() -> None:
    with pytest.raises(ValueError, match="not optimal"):
        Mesh(chain(3), order="optimal")


def test_a_random_geometric_network_has_its_degree_and_is_one_piece() -> None:
    topology, points = random_geometric(2000, rng.stream(1, "places"), success=0.4, length_km=20.0)
    assert topology.nodes > 0.95 * 2000
    assert points.shape == (topology.nodes, 2)
    assert 2.0 * topology.edges / topology.nodes == pytest.approx(6.0, abs=0.15)
    assert connected_components(topology.adjacency, directed=False)[0] == 1
    gaps = np.linalg.norm(points[topology.ends[:, 0]] - points[topology.ends[:, 1]], axis=1)
    assert gaps.max() < 3.0 / np.sqrt(2000)
    with pytest.raises(ValueError, match="mean degree"):
        random_geometric(4, rng.stream(1, "few"), mean_degree=6.0)


def test_a_grid_has_its_edges() -> None:
    topology = grid(3, 4)
    assert (topology.nodes, topology.edges) == (12, 3 * 3 + 2 * 4)
    assert connected_components(topology.adjacency, directed=False)[0] == 1


def test_the_european_backbone_joins_all_cities_by_short_hops() -> None:
    topology, places = european_backbone(spacing_km=50.0)
    assert topology.names[: len(CITIES)] == tuple(CITIES)
    assert places.shape == (topology.nodes, 2)
    assert topology.length_km.max() <= 50.0
    assert topology.success == pytest.approx(10.0 ** (-0.02 * topology.length_km))
    assert topology.attempt_s.max() <= 5e-4
    assert connected_components(topology.adjacency, directed=False)[0] == 1
    degree = np.bincount(topology.ends.ravel())
    assert degree[: len(CITIES)].min() >= 1
    assert np.all(degree[len(CITIES) :] == 2)
