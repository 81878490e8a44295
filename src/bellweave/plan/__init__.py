"""Plan: the closed forms of all packages, put together. What to expect before anything is simulated.

One link is in :mod:`~bellweave.plan.link`, a network that takes turns in :mod:`~bellweave.plan.network`, what a network
would need in :mod:`~bellweave.plan.design`, how it grows in :mod:`~bellweave.plan.scale`.
"""

from bellweave.plan.link import EFFICIENCY, ExpectedBlock, Line, LinkPlan, expected_block, plan_link, plan_links

__all__ = ["EFFICIENCY", "ExpectedBlock", "Line", "LinkPlan", "expected_block", "plan_link", "plan_links"]
