"""Routers beside each other and beside the optimum: on chains, grids, random geometric graphs and a European backbone.

Every router chooses paths for all demands of a set, one after the other; a router that heeds load sees one unit on each
edge of every path chosen before. The paths then share the edges in the best way there is (linear program over all trees
on these paths), so that what differs is the choice of paths alone. Two goals: the largest rate that every demand can
have (max-min), and the sum of all rates. The optimum knows all demands at once and may use all trees of the network.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from bellweave import rng
from bellweave.network.wide import params
from bellweave.network.wide.flow.columns import best_on_paths, best_rates
from bellweave.network.wide.flow.stage import Objective, Wanted
from bellweave.network.wide.generators import european_backbone, grid, random_geometric
from bellweave.network.wide.routing.load import Load
from bellweave.network.wide.routing.routers import make_router
from bellweave.network.wide.theory import success_probability
from bellweave.network.wide.topology import Topology, chain
from bellweave.results.records import Row

ROUTERS: tuple[params.Router, ...] = get_args(params.Router)
GOALS: tuple[Objective, ...] = ("max-min", "total")

SWAP_PROBABILITY = 0.9
LOSS_DB_PER_KM = 0.2
SHORTEST_KM, LONGEST_KM = 10.0, 40.0
"""Hops of the made-up networks are drawn between these."""

SPACING_KM = 200.0
"""Of the European backbone's repeaters."""

ROUNDS = 60
NEAR = 1e-3
"""Rounds of pricing for the optimum, and how near is near enough; the bound says how far it is from the end."""


@dataclass(frozen=True)
class Setting:
    """A network and one set of demands."""

    name: str
    topology: Topology
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Compared:
    """What one router achieved with one set of demands.

    Attributes:
        setting: The network's name.
        router: Which one.
        goal: ``max-min`` or ``total``.
        rate_per_s: Pairs/s: of the worst demand, or in total.
        optimum_per_s: The same at the optimum.
        bound_per_s: What the optimum can't exceed.
    """

    setting: str
    router: params.Router
    goal: Objective
    rate_per_s: float
    optimum_per_s: float
    bound_per_s: float

    @property
    def share(self) -> float:
        """Rate over optimum."""
        return self.rate_per_s / self.optimum_per_s if self.optimum_per_s else 1.0


def settings(seed: int, *, sets: int = 3, demands: int = 10) -> Iterator[Setting]:
    """Yield the study's networks with their sets of demands.

    Args:
        seed: Of networks and demands.
        sets: Sets of demands for each network.
        demands: Of a set; a chain has half as many.
    """
    makers: dict[str, Callable[[np.random.Generator], Topology]] = {
        "chain of 12": lambda draw: _drawn(chain(12, swap_probability=SWAP_PROBABILITY), draw),
        "grid 6 x 6": lambda draw: _drawn(grid(6, 6, swap_probability=SWAP_PROBABILITY), draw),
        "random geometric, 60": lambda draw: _drawn(
            random_geometric(60, draw, swap_probability=SWAP_PROBABILITY)[0], draw
        ),
        "European backbone": lambda _: european_backbone(
            spacing_km=SPACING_KM, loss_db_per_km=LOSS_DB_PER_KM, swap_probability=SWAP_PROBABILITY
        )[0],
    }
    for name, make in makers.items():
        for number in range(sets):
            draw = rng.stream(seed, "routing", name, number)
            topology = make(draw)
            ends = _ends(name, topology)
            count = demands if name != "chain of 12" else max(1, demands // 2)
            pairs = [draw.choice(ends, 2, replace=False) for _ in range(count)]
            yield Setting(name, topology, tuple(Wanted(int(a), int(b)) for a, b in pairs))


def compare(setting: Setting, routers: Sequence[params.Router] = ROUTERS) -> list[Compared]:
    """Return what each router achieves, for both goals."""
    paths = {name: chosen(setting, name) for name in routers}
    found = []
    for goal in GOALS:
        optimum = best_rates(setting.topology, setting.wanted, goal, levels=1, rounds=ROUNDS, gap=NEAR)
        for name in routers:
            served = best_on_paths(
                setting.topology, setting.wanted, paths[name], goal, levels=1, rounds=ROUNDS, gap=NEAR
            )
            best, bound = optimum.level_per_s, optimum.bound_per_s
            found.append(Compared(setting.name, name, goal, served.level_per_s, best, bound))
    return found


def chosen(setting: Setting, name: params.Router) -> list[tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]]:
    """Return the paths that a router chooses for each demand, in their order."""
    router, load = make_router(name), Load.none(setting.topology)
    paths = []
    for each in setting.wanted:
        routes = router.route(setting.topology, each.source, each.target, load)
        if not routes:  # all ways are full: as if nothing were reserved
            routes = router.route(setting.topology, each.source, each.target, Load.none(setting.topology))
        if name == "online":
            free = load.free(setting.topology)
            load.reserve(setting.topology, {edge: 1 for route in routes for edge in route.edges if free[edge] > 0})
        paths.append(tuple((route.nodes, route.edges) for route in routes))
    return paths


def rows(compared: Sequence[Compared]) -> tuple[Row, ...]:
    """Return report rows: by network, goal and router the share of the optimum, mean over the sets of demands."""
    table = []
    for (setting, goal, router), shares in by_case(compared).items():
        spread = float(np.std(shares, ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else None
        table.append(
            Row(
                quantity=f"{goal} share of the optimum, {router}, {setting}",
                unit="",
                theory=1.0,
                mean=float(np.mean(shares)),
                stderr=spread,
                n=len(shares),
                note="theory: the linear program over all trees; networks and demands are of our choice",
            )
        )
    return tuple(table)


def by_case(compared: Sequence[Compared]) -> dict[tuple[str, str, str], list[float]]:
    """Return by network, goal and router the shares of the optimum that the sets of demands got."""
    cases: dict[tuple[str, str, str], list[float]] = {}
    for each in compared:
        cases.setdefault((each.setting, each.goal, each.router), []).append(each.share)
    return cases


def _drawn(topology: Topology, draw: np.random.Generator) -> Topology:
    length_km = draw.uniform(SHORTEST_KM, LONGEST_KM, topology.edges)
    success = np.array([success_probability(each, LOSS_DB_PER_KM) for each in length_km])
    return replace(topology, length_km=length_km, success=success)


def _ends(name: str, topology: Topology) -> np.ndarray:
    """Return nodes that may have demands: all of them, or the cities (repeaters' names end in a number)."""
    if name != "European backbone":
        return np.arange(topology.nodes)
    return np.array([at for at, each in enumerate(topology.names) if not each[-1].isdigit()])
