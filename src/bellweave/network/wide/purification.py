"""What purification on every hop costs and gives, in closed form: of fresh pairs that do not decay while it lasts.

Gates and readout err as the nodes say.

A pair of level n is made of two of level n - 1, which succeeds with the chance of :func:`states.purify`, so that it
takes 2/P(1) 2/P(2) ... 2/P(n) links on average. This bounds rates and fidelities from above.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bellweave.network.wide import states
from bellweave.network.wide.params import Purification
from bellweave.network.wide.topology import Topology


def least_units(how: Purification | None) -> int:
    """Return the units that an edge needs: a pair of each level may wait, and one more unit makes the next link."""
    return 1 if how is None else how.rounds + 1


@dataclass(frozen=True, eq=False)
class Errors:
    """How both ends of edges err when they purify, as :func:`bellweave.network.wide.states.purify` takes it.

    Attributes:
        gates: Shape (...), product of the weights of both ends' gates; 1: they are perfect.
        readout: Shape (...), product of 1 - 2e of both ends; 1: all is read rightly.
    """

    gates: ArrayLike = 1.0
    readout: ArrayLike = 1.0


PERFECT = Errors()


def errors(topology: Topology, edges: ArrayLike) -> Errors:
    """Return how the ends of these edges err."""
    ends = topology.ends[np.asarray(edges, np.int64)]
    gates = states.weight_of(topology.gate_fidelity[ends]).prod(axis=-1)
    return Errors(gates, (1.0 - 2.0 * topology.readout_error[ends]).prod(axis=-1))


def after(fidelity: ArrayLike, how: Purification, err: Errors = PERFECT) -> tuple[states.Reals, states.Reals]:
    """Return the links that a pair takes on average, shape (...), and its populations, shape (..., 4).

    Args:
        fidelity: Of fresh Werner pairs, shape (...).
        how: The protocol and its rounds.
        err: Of gates and readout.

    >>> links, state = after(0.8, Purification(protocol="dejmps", rounds=1))
    >>> round(float(links), 6), round(float(state[0]), 6)
    (2.601156, 0.83815)
    """
    state = states.werner(fidelity)
    links: states.Reals = np.ones(state.shape[:-1])
    for _ in range(how.rounds):
        chance, state = states.purify(how.protocol, state, state, err.gates, err.readout)
        links = links * 2.0 / chance
    return links, state


def rated(topology: Topology, how: Purification | None) -> Topology:
    """Return a network whose edges make pairs at the rate of purified ones, of their fidelity; units stay.

    It is what linear programs and routers should see; kernels purify by themselves.
    """
    if how is None:
        return topology
    links, state = after(topology.fidelity, how, errors(topology, np.arange(topology.edges)))
    return replace(topology, success=topology.success / links, fidelity=state[..., 0])
