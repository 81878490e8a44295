"""The best rate of one path, by column generation over the trees of swaps on it."""

import numpy as np
from scipy.optimize import linprog

from bellweave.network.wide.flow.plans import FREE, ROUNDS, STEADY
from bellweave.network.wide.flow.stage import Floats
from bellweave.network.wide.flow.trees import cheapest_tree


def path_rate(
    link_per_s: Floats, swap_probability: Floats, tolerance: float = 1e-7, *, useful_per_s: float = 0.0
) -> float:
    """Return the best rate of one path, pairs/s: a lower bound that is off by less than ``tolerance``, relative.

    Args:
        link_per_s: Shape (k,), > 0, pairs/s that each edge makes.
        swap_probability: Shape (k - 1,), > 0.
        tolerance: >= 1e-9; the last digits of long paths take longest.
        useful_per_s: The search ends when the rate is sure to be below this, and returns less than this.
    """
    columns: list[Floats] = []
    steady = price = 1.0 / link_per_s
    rate, bound = 0.0, np.inf
    for _ in range(ROUNDS):
        for asked in (steady, price):
            cost, takes = cheapest_tree(asked, swap_probability)
            bound = min(bound, float(asked @ link_per_s) / cost)
            columns.append(takes / link_per_s)
        if rate >= bound * (1.0 - tolerance) or bound < useful_per_s:
            break
        use = np.stack(columns, axis=1)
        scale = 1.0 / float(use.max(axis=0).min())
        found = linprog(-np.ones(len(columns)), A_ub=use * scale, b_ub=np.ones(link_per_s.size), method="highs-ipm")
        if found.x is None:
            raise RuntimeError(f"the path's rate has no solution: {found.message}")
        rate = float(np.sum(found.x)) * scale
        price = np.maximum(0.0, -np.asarray(found.ineqlin.marginals)) / link_per_s
        price += FREE * price.mean()
        steady = STEADY * steady / float(steady @ link_per_s) + (1.0 - STEADY) * price / float(price @ link_per_s)
    return rate
