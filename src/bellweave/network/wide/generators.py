"""Networks to try things on: random geometric graphs, grids, and a European research backbone."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from bellweave.network.wide.theory import LIGHT_KM_PER_S, success_probability
from bellweave.network.wide.topology import Topology, uniform

Floats = NDArray[np.float64]

EARTH_KM = 6371.0
DETOUR = 1.25
"""Fibre between two cities over the great circle: roads and railways bend."""

SHORTEST_ATTEMPT_S = 145e-6


def random_geometric(
    nodes: int, rng: np.random.Generator, *, mean_degree: float = 6.0, **values: float
) -> tuple[Topology, Floats]:
    """Return the largest connected part of a random geometric graph, its edges all alike.

    Points are uniform in a square; the nodes x mean_degree / 2 closest pairs have an edge, so that the mean degree is
    what is asked for in spite of the borders. At degree 6 nearly all nodes are in the largest part.

    Args:
        nodes: Number of points.
        rng: Places them.
        mean_degree: Of the graph before its small parts are left out, below ``nodes`` - 1.
        values: As for :func:`~bellweave.network.wide.topology.uniform`: ``length_km``, ``success`` and so on.

    Returns:
        The network; and where its nodes stand, shape (n, 2), in the unit square.
    """
    points = rng.uniform(size=(nodes, 2))
    wanted = round(nodes * mean_degree / 2.0)
    if not 0 < wanted <= math.comb(nodes, 2):
        raise ValueError(f"{nodes} nodes can not have a mean degree of {mean_degree}")
    tree, reach = KDTree(points), math.sqrt(mean_degree / (math.pi * nodes))
    pairs = np.zeros((0, 2), np.int64)
    while len(pairs) < wanted:
        reach *= 1.2
        pairs = tree.query_pairs(reach, output_type="ndarray")
    gaps = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    pairs = pairs[np.argsort(gaps, kind="stable")[:wanted]]
    graph = coo_array((np.ones(wanted), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    _, part = connected_components(graph, directed=False)
    kept = np.flatnonzero(part == np.argmax(np.bincount(part)))
    number = np.full(nodes, -1)
    number[kept] = np.arange(len(kept))
    inside = pairs[number[pairs[:, 0]] >= 0]
    return uniform(number[inside], len(kept), **values), points[kept]  # type: ignore[arg-type]


def grid(rows: int, columns: int, **values: float) -> Topology:
    """Return a grid of equal edges, node r x columns + c in row r and column c; ``values`` as for ``uniform``."""
    number = np.arange(rows * columns).reshape(rows, columns)
    along = np.stack((number[:, :-1].ravel(), number[:, 1:].ravel()), axis=1)
    across = np.stack((number[:-1].ravel(), number[1:].ravel()), axis=1)
    return uniform(np.concatenate((along, across)), rows * columns, **values)  # type: ignore[arg-type]


CITIES: dict[str, tuple[float, float]] = {
    "Amsterdam": (52.37, 4.90),
    "Athens": (37.98, 23.73),
    "Belgrade": (44.79, 20.45),
    "Bratislava": (48.15, 17.11),
    "Brussels": (50.85, 4.35),
    "Bucharest": (44.43, 26.10),
    "Budapest": (47.50, 19.04),
    "Copenhagen": (55.68, 12.57),
    "Dublin": (53.35, -6.26),
    "Frankfurt": (50.11, 8.68),
    "Geneva": (46.20, 6.14),
    "Hamburg": (53.55, 9.99),
    "Helsinki": (60.17, 24.94),
    "Kaunas": (54.90, 23.89),
    "Lisbon": (38.72, -9.14),
    "Ljubljana": (46.06, 14.51),
    "London": (51.51, -0.13),
    "Luxembourg": (49.61, 6.13),
    "Madrid": (40.42, -3.70),
    "Marseille": (43.30, 5.37),
    "Milan": (45.46, 9.19),
    "Oslo": (59.91, 10.75),
    "Paris": (48.86, 2.35),
    "Poznan": (52.41, 16.93),
    "Prague": (50.08, 14.44),
    "Riga": (56.95, 24.11),
    "Sofia": (42.70, 23.32),
    "Stockholm": (59.33, 18.07),
    "Tallinn": (59.44, 24.75),
    "Thessaloniki": (40.64, 22.94),
    "Vienna": (48.21, 16.37),
    "Zagreb": (45.81, 15.98),
}
"""Latitude and longitude in degrees."""

_LINES = """
Amsterdam Brussels, Amsterdam Frankfurt, Amsterdam Hamburg, Amsterdam London, Athens Thessaloniki, Athens Milan,
Belgrade Sofia, Belgrade Zagreb, Belgrade Budapest, Bratislava Budapest, Bratislava Vienna, Brussels Paris,
Brussels Luxembourg, Bucharest Budapest, Bucharest Sofia, Budapest Zagreb, Copenhagen Hamburg, Copenhagen Oslo,
Copenhagen Stockholm, Dublin London, Frankfurt Geneva, Frankfurt Hamburg, Frankfurt Luxembourg, Frankfurt Prague,
Geneva Marseille, Geneva Milan, Geneva Paris, Hamburg Poznan, Helsinki Stockholm, Helsinki Tallinn, Kaunas Poznan,
Kaunas Riga, Lisbon Madrid, Lisbon London, Ljubljana Milan, Ljubljana Zagreb, Ljubljana Vienna, London Paris,
Madrid Marseille, Madrid Paris, Marseille Milan, Milan Vienna, Oslo Stockholm, Poznan Prague, Prague Vienna,
Riga Tallinn, Sofia Thessaloniki
"""


def great_circle_km(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Return the distance of two places given in degrees of latitude and longitude.

    >>> round(great_circle_km(CITIES["Paris"], CITIES["Vienna"]), -1)
    1030.0
    """
    (a, b), (c, d) = ((math.radians(angle) for angle in place) for place in (here, there))
    half = math.sin((c - a) / 2.0) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2.0) ** 2
    return 2.0 * EARTH_KM * math.asin(math.sqrt(half))


def european_backbone(
    *,
    spacing_km: float = 50.0,
    loss_db_per_km: float = 0.2,
    light_km_per_s: float = LIGHT_KM_PER_S,
    units: int = 10,
    **values: float,
) -> tuple[Topology, Floats]:
    """Return a backbone between 32 European cities, with repeaters at equal distances on its lines.

    Whence: the cities are those of public maps of the GEANT research network and the lines are entered by hand after
    them, so that its density and shape are alike; it is not that network's own data. A line is as long as the great
    circle between its cities times :data:`DETOUR`.

    Args:
        spacing_km: Longest hop; a line gets as few repeaters as that allows.
        loss_db_per_km: Of the fibre; a hop succeeds by Eq. 7.
        light_km_per_s: In fibre; an attempt takes the round trip, :data:`SHORTEST_ATTEMPT_S` at least.
        units: Of every hop.
        values: Further ones as for :func:`~bellweave.network.wide.topology.uniform`.

    Returns:
        The network, the cities first and by name; and where nodes stand, shape (n, 2), latitude and longitude.
    """
    names, places = list(CITIES), list(CITIES.values())
    ends: list[tuple[int, int]] = []
    lengths: list[float] = []
    for line in _LINES.replace("\n", " ").split(","):
        a, b = line.split()
        length_km = DETOUR * great_circle_km(CITIES[a], CITIES[b])
        hops = math.ceil(length_km / spacing_km)
        inner = range(len(names), len(names) + hops - 1)
        (x, y), (u, v) = CITIES[a], CITIES[b]
        shares = [(number + 1) / hops for number in range(hops - 1)]
        places += [(x + share * (u - x), y + share * (v - y)) for share in shares]
        names += [f"{a}-{b}-{number + 1}" for number in range(hops - 1)]
        ends += pairwise([list(CITIES).index(a), *inner, list(CITIES).index(b)])
        lengths += [length_km / hops] * hops
    topology = uniform(np.array(ends), len(names), units=units, **values)
    length = np.array(lengths)
    return replace(
        topology,
        names=tuple(names),
        length_km=length,
        success=np.array([success_probability(each, loss_db_per_km) for each in lengths]),
        attempt_s=np.maximum(SHORTEST_ATTEMPT_S, 2.0 * length / light_km_per_s),
    ), np.array(places)
