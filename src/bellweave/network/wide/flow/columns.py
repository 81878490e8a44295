"""The linear program over trees: the same optimum as over pairs of nodes, for networks of a thousand nodes.

A variable is a plan for one demand: a path and a binary tree of swaps over it (:mod:`.trees`), in delivered pairs/s;
it takes a fixed number of each edge's pairs for one delivered. Every solution over pairs of nodes is a mixture of such
trees, so the optimum over all trees is the optimum. There are far too many: plans are made when prices ask for them
(column generation), the cheapest one for each demand, until none costs less than it is worth.

The searches of :mod:`.plans` make them. What the one over paths ends with is a lower bound; when the one over trees
finds none, the optimum is reached. With every cost found on the way, a bound on the first level is known (nothing is
sold below cost: demand x cost <= capacity x price), so that an early end has a stated gap.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from bellweave.network.wide.flow.plans import FREE, GAP, ROUNDS, STEADY, GivenPaths, Optimum, Plan, Search
from bellweave.network.wide.flow.stage import Floats, Goal, Objective, Stage, Wanted, reach, solve
from bellweave.network.wide.topology import Topology

MANY = 500
DEAR = 1.05
"""Idle plans that cost so many times what they are worth are dropped when there are many plans."""


def best_rates(
    topology: Topology,
    wanted: Sequence[Wanted],
    objective: Objective = "max-min",
    *,
    tree_searches: int = ROUNDS,
    rounds: int = ROUNDS,
    levels: int | None = None,
    gap: float = GAP,
) -> Optimum:
    """Return the best rates of a network.

    Args:
        topology: The network.
        wanted: The demands.
        objective: ``max-min``: rates by weight; ``weighted``: most weight x rate; ``total``: most rate.
        tree_searches: How often the whole network may be searched for trees, first for the first level; 0: what is
            found is the optimum over the paths that were looked at, a lower bound. A search takes a second and more at
            1,000 nodes.
        rounds: How often plans may be made in a stage; then what there is is the answer, below ``bound_per_s``.
        gap: A plan is made only if it costs this share less than it is worth: about how far, relative, the answer may
            be from the optimum.
        levels: Max-min: levels that are solved, as in :func:`.stage.reach`; None: all.
    """
    return _Plans(topology, tuple(wanted), tree_searches, rounds, gap).optimum(objective, levels)


def best_on_paths(
    topology: Topology,
    wanted: Sequence[Wanted],
    paths: GivenPaths,
    objective: Objective = "max-min",
    *,
    rounds: int = ROUNDS,
    levels: int | None = None,
    gap: float = GAP,
) -> Optimum:
    """Return the best rates when each demand has its paths, by whichever trees on them: exact.

    Args:
        topology: The network.
        wanted: The demands.
        paths: By demand, the nodes and the edges of each path.
        objective: As for :func:`best_rates`.
        rounds: As for :func:`best_rates`; long paths of equal hops need many for the last digits.
        levels: As for :func:`best_rates`.
        gap: As for :func:`best_rates`.
    """
    return _Plans(topology, tuple(wanted), 0, rounds, gap, paths).optimum(objective, levels)


class _Plans:
    """The plans made so far, and the search for more. Rows of the program are edges, capacity 1."""

    def __init__(
        self,
        topology: Topology,
        wanted: tuple[Wanted, ...],
        tree_searches: int,
        rounds: int,
        gap: float,
        given: GivenPaths | None = None,
    ) -> None:
        self.topology, self.wanted, self.searches, self.rounds = topology, wanted, tree_searches, rounds
        self.search = Search(topology, wanted, given, gap)
        self.alive = topology.pairs_per_s > 0.0
        self.plans: list[Plan] = []
        self.made: set[Plan] = set()
        self.bound = np.inf
        self.goals = 0
        with np.errstate(divide="ignore"):
            price = 1.0 / topology.pairs_per_s
        self.fresh(self.search.by_paths(price, price, np.full(len(wanted), np.inf))[0])
        alone = [1.0 / float(np.max(price[list(each.edges)] * each.takes)) for each in self.plans]
        self.scale = min(alone, default=1.0)

    def optimum(self, objective: Objective, levels: int | None) -> Optimum:
        """Return the best rates."""
        weights = np.array([each.weight for each in self.wanted])
        if not self.plans:
            return Optimum(np.zeros(len(self.wanted)), (), 0.0, 0.0)
        last, stages = reach(self.solve, self.wanted, objective, self.scale, levels)
        used = tuple(
            replace(plan, rate_per_s=float(rate) * self.scale)
            for plan, rate in zip(self.plans, last.x, strict=False)
            if rate > 0.0
        )
        rates = last.rates * self.scale
        if objective == "max-min":
            return Optimum(
                rates, used, max(0.0, stages[0].level) * self.scale / weights.max(), self.bound / weights.max()
            )
        gain = weights if objective == "weighted" else np.ones(len(self.wanted))
        return Optimum(rates, used, float(gain @ rates), self.bound * gain.max())

    def solve(self, goal: Goal) -> Stage:
        """Return a stage's solution, making plans until no search finds one that is of use."""
        self.goals += 1
        thorough = False
        best, least = np.zeros(0), np.inf
        for _ in range(self.rounds):
            stage = self.stage(goal)
            price = self.prices(stage)
            found: list[Plan] = []
            if thorough:
                found = self.by_trees(price, price, stage, goal)
            else:
                # prices jump from round to round; plans made near those that bound the goal best are of use longer
                near = price if least == np.inf else STEADY * best + (1.0 - STEADY) * price
                for asked in (near, price):
                    plans, cost = self.search.by_paths(asked, price, stage.worth)
                    limit = self.limit(asked, cost, goal)
                    if limit < least:
                        best, least = asked, limit
                    found += plans
                # only where paths are given are their costs the least, and the limit proven
                if self.search.given is not None and self.reached(stage, goal) >= least * (1.0 - self.search.gap):
                    found = []
            found = [plan for plan in found if plan not in self.made]
            if not found and (thorough or self.searches == 0):
                return stage
            self.forget(stage, price)
            self.fresh(found)
            thorough = not found
        stage = self.stage(goal)
        if self.searches > 0:
            self.by_trees(best, self.prices(stage), stage, goal)
        return stage

    def reached(self, stage: Stage, goal: Goal) -> float:
        """Return what a stage makes of its goal, pairs/s."""
        return (float(goal.gain @ stage.rates) + stage.level) * self.scale

    def limit(self, price: Floats, cost: Floats, goal: Goal) -> float:
        """Return what a goal can't exceed, pairs/s, if a delivered pair costs no less than ``cost``."""
        budget = float(price[self.alive] @ self.topology.pairs_per_s[self.alive])
        return bound(budget / self.scale, cost, goal, self.most / self.scale) * self.scale

    def fresh(self, found: list[Plan]) -> list[Plan]:
        """Keep the plans that are not made yet; return them.

        One that is made and is of use all the same is within the solver's tolerance of being of none.
        """
        kept = []
        for plan in found:
            if plan not in self.made:
                self.made.add(plan)
                kept.append(plan)
        self.plans += kept
        return kept

    def forget(self, stage: Stage, price: Floats) -> None:
        """Drop plans that are idle and far too dear, once there are many: the program stays small."""
        if len(self.plans) < MANY:
            return
        kept = [
            plan
            for plan, rate in zip(self.plans, stage.x, strict=True)
            if rate > 0.0 or float(price[list(plan.edges)] @ plan.takes) < DEAR * stage.worth[plan.demand]
        ]
        self.plans, self.made = kept, set(kept)

    def stage(self, goal: Goal) -> Stage:
        """Solve with the plans made so far."""
        limit = self.topology.pairs_per_s
        rows = np.concatenate([each.edges for each in self.plans])
        sizes = [len(each.edges) for each in self.plans]
        takes = np.concatenate([each.takes for each in self.plans]) * self.scale / limit[rows]
        count = len(self.plans)
        use = csr_array((takes, (rows, np.repeat(np.arange(count), sizes))), shape=(limit.size, count))
        busy = np.unique(rows)
        demand = [each.demand for each in self.plans]
        serve = csr_array((np.ones(count), (demand, np.arange(count))), shape=(len(self.wanted), count))
        stage = solve(csr_array(use[busy]), np.ones(busy.size), serve, goal, "highs-ipm")
        prices = np.zeros(limit.size)
        prices[busy] = stage.prices
        return replace(stage, prices=prices)

    def prices(self, stage: Stage) -> Floats:
        """Return the price of a pair of each edge, in what one delivered unit is worth."""
        price = np.full(self.topology.edges, np.inf)
        price[self.alive] = stage.prices[self.alive] * self.scale / self.topology.pairs_per_s[self.alive]
        price[self.alive] += FREE * price[self.alive].mean()
        return price

    def by_trees(self, asked: Floats, price: Floats, stage: Stage, goal: Goal) -> list[Plan]:
        """Return for each demand its cheapest tree in the whole network, where it is of use; lower the bound.

        Args:
            asked: Prices to look for the cheapest by.
            price: Prices by which it must be of use.
            stage: What is reached.
            goal: What it is to reach.
        """
        self.searches -= 1
        found, cost = self.search.by_trees(asked, stage.worth)
        if cost is not None and self.goals == 1:
            self.bound = min(self.bound, self.limit(asked, cost, goal))
        return [each for each in found if float(price[list(each.edges)] @ each.takes) < stage.worth[each.demand]]

    @cached_property
    def most(self) -> Floats:
        """Pairs/s that each demand can't exceed: what it wants, and what the edges at its ends make."""
        near = np.bincount(self.topology.ends.ravel(), np.repeat(self.topology.pairs_per_s, 2), self.topology.nodes)
        return np.array([min(each.most_per_s, near[each.source], near[each.target]) for each in self.wanted])


def bound(budget: float, cost: Floats, goal: Goal, most: Floats) -> float:
    """Return what a goal can't exceed: at any prices, all that is delivered costs at most all there is.

    Args:
        budget: Price of all pairs that the edges make in a second.
        cost: Shape (d,), no more than the least cost of a delivered pair; inf: none can be delivered.
        goal: What is maximised.
        most: Shape (d,), rates that a demand can't exceed, whatever the others get.
    """
    if goal.level_most > 0.0:
        if not np.all(np.isfinite(cost[goal.growth > 0.0])):
            return 0.0
        there = np.isfinite(cost)
        left = budget - float(goal.floor[there] @ cost[there])
        growing = float(goal.growth[there] @ cost[there])
        return min(goal.level_most, max(0.0, left) / growing) if growing > 0.0 else goal.level_most
    there = np.isfinite(cost) & (goal.gain > 0.0)
    gain, dear, much = goal.gain[there], cost[there], most[there]
    # all prices may be raised together: what a unit of each demand then loses falls, the budget grows
    times = np.append(1.0, gain[dear > 0.0] / dear[dear > 0.0])
    profit = np.maximum(0.0, gain - times[:, np.newaxis] * dear) * much
    return float((times * budget + np.where(profit > 0.0, profit, 0.0).sum(axis=1)).min())
