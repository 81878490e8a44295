"""The chain that only counts against the one that knows every pair, and against Eq. 9."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bellweave import rng
from bellweave.network.wide import theory
from bellweave.network.wide.chains.counting import tally
from bellweave.network.wide.chains.run import Chain
from bellweave.network.wide.topology import chain

SIGMAS = 4.0
ATTEMPT_S = 145e-6


@pytest.mark.parametrize("order", ["nested", "hop-by-hop"])
@pytest.mark.parametrize(("hops", "units", "swap"), [(1, 3, 1.0), (2, 1, 0.5), (5, 4, 0.7), (8, 10, 1.0)])
def test_counting_delivers_as_much_as_knowing_every_pair(order: Any, hops: int, units: int, swap: float) -> None:
    topology = chain(hops, units=units, success=0.3, swap_probability=swap)
    counted = tally(topology, range(hops + 1), rng.stream(1, "count"), periods=2000, batches=30, order=order)
    run = Chain(topology, range(hops + 1), rng.stream(1, "know"), order=order)
    known = np.array([len(run.advance(2000 * ATTEMPT_S * (batch + 1))) for batch in range(30)]) / 2000
    error = math.hypot(counted.rate_error, float(known.std(ddof=1)) / math.sqrt(30))
    assert abs(counted.rate - float(known.mean())) < SIGMAS * error
    assert counted.links + counted.joined == 2 * counted.swaps + counted.measured + counted.held
    per_attempt = counted.links / counted.attempts
    assert abs(per_attempt - 0.3) < SIGMAS * math.sqrt(0.21 / counted.attempts)


def test_unequal_hops_deliver_no_more_than_the_worst_of_them_could() -> None:
    topology = replace(chain(3, units=5), success=np.array([0.5, 0.2, 0.5]))
    counted = tally(topology, range(4), rng.stream(1, "unequal"), periods=5000)
    assert 0.6 < counted.rate < theory.distribution_rate(3, 5, 0.2, 1.0) + SIGMAS * counted.rate_error


def test_hops_out_of_step_are_refused() -> None:
    topology = replace(chain(2), attempt_s=np.array([1e-4, 2e-4]))
    with pytest.raises(ValueError, match="in step"):
        tally(topology, range(3), rng.stream(1, "steps"), periods=10)
    assert tally(chain(2), range(3), rng.stream(1, "one"), periods=10, batches=1).rate_error == math.inf
