"""Means, standard errors and rates, computed from counts when they are read."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bellweave.results.records import BlockRecord


@dataclass(frozen=True)
class Mean:
    """A mean over blocks.

    Attributes:
        value: The mean.
        stderr: Its standard error (sample deviation over sqrt n); None for fewer than two blocks.
        n: Number of blocks.
    """

    value: float
    stderr: float | None
    n: int


def mean(values: Iterable[float]) -> Mean | None:
    """Return the mean of the values, or None if there are none.

    >>> mean([1.0, 3.0])
    Mean(value=2.0, stderr=1.0, n=2)
    """
    data = list(values)
    if not data:
        return None
    n = len(data)
    centre = math.fsum(data) / n
    if n == 1:
        return Mean(centre, None, 1)
    variance = math.fsum((value - centre) ** 2 for value in data) / (n - 1)
    return Mean(centre, math.sqrt(variance / n), n)


QUANTITIES: dict[str, tuple[str, Callable[[BlockRecord], float | None]]] = {
    "sifted_bits": ("bit", lambda block: block.ledger.sifted),
    "sample_bits": ("bit", lambda block: block.ledger.sample),
    "qber": ("", lambda block: block.estimate.qber),
    "disclosed_bits": ("bit", lambda block: block.ledger.disclosed),
    "removed_bits": ("bit", lambda block: block.ledger.removed),
    "authentication_bits": ("bit", lambda block: block.ledger.authentication),
    "final_bits": ("bit", lambda block: block.ledger.final),
    "rejected_bits": ("bit", lambda block: block.ledger.rejected),
    "rate_bps": ("bit/s", lambda block: block.ledger.final / (block.end_s - block.start_s)),
}
"""Quantity -> (unit, what it is in one block); None where a block has none."""


def quantity_mean(blocks: Sequence[BlockRecord], quantity: str) -> Mean | None:
    """Return a quantity's mean over the blocks that have it.

    Raises:
        KeyError: If there is no such quantity.
    """
    _, value_of = QUANTITIES[quantity]
    return mean(value for block in blocks if (value := value_of(block)) is not None)


def accounting_mean(blocks: Sequence[BlockRecord], accounting: str) -> Mean | None:
    """Return an accounting's mean length over the blocks, rejected ones as 0 bits; None if no block has it."""
    if not any(accounting in block.accountings for block in blocks):
        return None
    return mean(max(0, block.accountings.get(accounting, 0)) for block in blocks)
