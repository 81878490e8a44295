"""One linear program that every objective is made of, and the objectives: most in total, or max-min fair.

A program is given as ``use x <= capacity``, ``rates = serve x``, x >= 0; what x is (swaps of pairs, or plans along
paths) is the caller's. Rates are scaled by the caller to about 1.

Max-min fair means: no rate can grow without another that is not larger, by weight, getting less. It is found level by
level: raise all rates that are still free together; those whose rows carry a price can't grow in any solution of that
level (complementary slackness), they stay, and the others are raised on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

Floats = NDArray[np.float64]
Objective = Literal["max-min", "weighted", "total"]

PRICED = 1e-7
"""Prices below this are the solver's rounding (its own tolerance)."""

SLACK = 1e-7
"""Share of a rate by which a level that is fixed may be missed on the next: else rounding makes it infeasible."""


LOOSENED = (0.0, 1e-6, 1e-5)
"""Shares by which fixed rates are lowered, one after the other, if rounding makes them infeasible all the same."""


@dataclass(frozen=True)
class Wanted:
    """A demand.

    Attributes:
        source, target: Nodes.
        weight: Its share among others (max-min), or what a pair of it is worth (weighted); > 0.
        most_per_s: Pairs/s beyond which it wants no more.
    """

    source: int
    target: int
    weight: float = 1.0
    most_per_s: float = np.inf

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise ValueError(f"a demand joins two different nodes, not {self.source} with itself")
        if not self.weight > 0.0:
            raise ValueError(f"a demand's weight must be > 0, not {self.weight}")


@dataclass(frozen=True)
class Goal:
    """What a stage maximises: ``gain . rates + level``, with ``floor + growth level <= rates <= most``.

    Attributes:
        floor, growth, gain, most: Shape (d,).
        level_most: The level's limit; 0 where nothing grows.
    """

    floor: Floats
    growth: Floats
    gain: Floats
    most: Floats
    level_most: float


@dataclass(frozen=True)
class Stage:
    """A stage's solution.

    Attributes:
        x: The program's variables.
        rates: Shape (d,).
        level: What all growing rates reached, by weight.
        prices: Shape (rows of ``use``,), of capacity, >= 0.
        worth: Shape (d,), what one more of a rate would add to the goal, >= 0.
        blocked: Shape (d,), > 0 where a rate holds the level down.
    """

    x: Floats
    rates: Floats
    level: float
    prices: Floats
    worth: Floats
    blocked: Floats


Solver = Callable[[Goal], Stage]


def solve(
    use: csr_array, capacity: Floats, serve: csr_array, goal: Goal, method: Literal["highs", "highs-ipm"] = "highs"
) -> Stage:
    """Return the best x of one stage.

    Args:
        use: Of each row, by variable.
        capacity: Of each row.
        serve: By demand, what each variable delivers.
        goal: What to maximise.
        method: ``highs-ipm``, by inner points, takes a third of the time where variables are some hundred plans.

    Raises:
        RuntimeError: If the solver finds none; x = 0 is one when nothing is fixed.
    """
    demands, variables = serve.shape
    capped = np.flatnonzero(np.isfinite(goal.most))
    level = csr_array(goal.growth[:, None])
    rows = vstack(
        [
            hstack([use, csr_array((use.shape[0], 1))]),
            hstack([-serve, level]),
            hstack([serve[capped], csr_array((capped.size, 1))]),
        ],
        format="csr",
    )
    value = np.append(-(serve.T @ goal.gain), -1.0)
    bounds = [(0.0, np.inf)] * variables + [(0.0, goal.level_most)]
    for less in LOOSENED:
        limits = np.concatenate((capacity, -goal.floor * (1.0 - less), goal.most[capped]))
        found = linprog(value, A_ub=rows, b_ub=limits, bounds=bounds, method=method)
        if found.x is not None or not goal.floor.any():
            break
    if found.x is None:
        raise RuntimeError(f"the rates have no solution: {found.message}")
    prices = np.maximum(0.0, -np.asarray(found.ineqlin.marginals))
    held = prices[use.shape[0] : use.shape[0] + demands]
    worth = held + goal.gain
    worth[capped] = np.maximum(0.0, worth[capped] - prices[use.shape[0] + demands :])
    x = np.maximum(0.0, found.x[:-1])
    return Stage(x, serve @ x, float(found.x[-1]), prices[: use.shape[0]], worth, held)


def reach(
    solver: Solver, wanted: tuple[Wanted, ...], objective: Objective, scale: float, levels: int | None = None
) -> tuple[Stage, list[Stage]]:
    """Return the solution of an objective, and all stages on the way.

    Args:
        solver: Solves one stage.
        wanted: The demands.
        objective: ``max-min``: rates by weight; ``weighted``: most weight x rate; ``total``: most rate.
        scale: Pairs/s that count as 1.
        levels: Levels of max-min that are solved; rates that are still free then are what that solution happens to
            give, none below the last level. None: all.
    """
    weights = np.array([each.weight for each in wanted])
    most = np.array([each.most_per_s for each in wanted]) / scale
    zeros = np.zeros(len(wanted))
    if objective != "max-min":
        gain = weights / weights.max() if objective == "weighted" else np.ones(len(wanted))
        stage = solver(Goal(zeros, zeros, gain, most, 0.0))
        return stage, [stage]
    stages: list[Stage] = []
    weights = weights / weights.max()
    free = np.ones(len(wanted), np.bool_)
    fixed = zeros.copy()
    while free.any() and (levels is None or len(stages) < levels):
        level_most = float((most[free] / weights[free]).min())
        goal = Goal(fixed * (1.0 - SLACK), np.where(free, weights, 0.0), zeros, most, level_most)
        stage = solver(goal)
        stages.append(stage)
        tight = free & (stage.blocked * weights > PRICED)
        tight |= free & (most <= weights * stage.level * (1.0 + SLACK))
        if not tight.any():
            tight = free & (stage.blocked >= stage.blocked[free].max())
        fixed[tight] = weights[tight] * stage.level
        free &= ~tight
    return stages[-1], stages
