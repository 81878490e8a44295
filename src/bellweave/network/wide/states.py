"""Bell-diagonal pairs in closed form: decay in memories, swapping, purification, error rates, CHSH.

Rules of this file:

1. A Bell-diagonal pair is its four populations, shape (..., 4), in the order of the Pauli error that separates it from
   the wanted Bell state: none, X, Y, Z. Wanted is Phi+; for any other Bell state the errors are relative to it.
2. Its correlations, shape (..., 3), are the factors by which noise shrinks the correlations of X, Y and Z from those of
   the wanted Bell state. A Werner pair of weight w has (w, w, w), fidelity F = (1 + 3w)/4.
3. Independent noise multiplies correlations. So a swap is a product of correlations and a decay is a factor: the
   kernels keep correlations, :func:`purify` needs populations.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]
Purifier = Literal["bbpssw", "dejmps"]

_SIGNS = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
"""Row: correlation of 1, X, Y, Z; column: error none, X, Y, Z. -1 where they anticommute. Its inverse is itself/4."""


def weight_of(fidelity: ArrayLike) -> Reals:
    """Return the Werner weight w = (4F - 1)/3 of a fidelity; F = 1/4 is white noise.

    >>> float(weight_of(0.25)), float(weight_of(1.0))
    (0.0, 1.0)
    """
    weight: Reals = (4.0 * np.asarray(fidelity, float) - 1.0) / 3.0
    return weight


def fidelity_of(weight: ArrayLike) -> Reals:
    """Return the fidelity F = (1 + 3w)/4 of a Werner weight."""
    fidelity: Reals = (1.0 + 3.0 * np.asarray(weight, float)) / 4.0
    return fidelity


def werner(fidelity: ArrayLike) -> Reals:
    """Return the populations of Werner pairs, shape (..., 4): F, and (1 - F)/3 for each error.

    >>> werner(0.7).round(3).tolist()
    [0.7, 0.1, 0.1, 0.1]
    """
    good = np.asarray(fidelity, float)
    rest = (1.0 - good) / 3.0
    return np.stack((good, rest, rest, rest), axis=-1)


def correlations(populations: ArrayLike) -> Reals:
    """Return the correlations (X, Y, Z), shape (..., 3), of populations, shape (..., 4).

    >>> correlations([0.7, 0.3, 0.0, 0.0]).round(3).tolist()  # bit flips: X is untouched
    [1.0, 0.4, 0.4]
    """
    result: Reals = np.asarray(populations, float) @ _SIGNS[1:].T
    return result


def populations(correlation: ArrayLike) -> Reals:
    """Return the populations, shape (..., 4), of correlations, shape (..., 3): the inverse of :func:`correlations`."""
    values = np.asarray(correlation, float)
    full = np.concatenate((np.ones((*values.shape[:-1], 1)), values), axis=-1)
    result: Reals = full @ _SIGNS / 4.0
    return result


def stored(state: ArrayLike, age_s: ArrayLike, coherence_a_s: float, coherence_b_s: float) -> Reals:
    """Return the populations of a pair whose qubits lay in two memories for ``age_s``.

    Each memory depolarises: after t its qubit is white noise with probability 1 - exp(-t/T). Correlations shrink by
    exp(-t/T_a - t/T_b).

    Args:
        state: Populations, shape (..., 4).
        age_s: Time in both memories, shape (...).
        coherence_a_s: Time constant T of one memory; inf: no decay.
        coherence_b_s: Of the other.

    >>> fidelity = stored(werner(1.0), 1.0, 2.0, 2.0)[0]
    >>> round(float(fidelity), 6) == round((1 + 3 * math.exp(-1)) / 4, 6)
    True
    """
    factor = np.exp(-np.asarray(age_s, float) * (1.0 / coherence_a_s + 1.0 / coherence_b_s))
    return populations(correlations(state) * factor[..., np.newaxis])


def swapped(first: ArrayLike, second: ArrayLike, swap_fidelity: float = 1.0) -> Reals:
    """Return the populations of the pair that a swap makes of two, shape (..., 4).

    The outcome of the Bell measurement is told and corrected, so that the errors of both pairs add up as Paulis do;
    correlations multiply (Werner: Briegel et al., PRL 81, 5932, 1998).

    Args:
        first: Populations, shape (..., 4).
        second: Populations, shape (..., 4).
        swap_fidelity: Fidelity of the operation as a depolarising channel on the new pair: its weight is (4F - 1)/3.

    >>> round(float(swapped(werner(0.9), werner(0.8))[0]), 6)  # F F' + (1 - F)(1 - F')/3
    0.726667
    """
    product = correlations(first) * correlations(second) * weight_of(swap_fidelity)
    return populations(product)


def purify(
    protocol: Purifier, first: ArrayLike, second: ArrayLike, gates: ArrayLike = 1.0, readout: ArrayLike = 1.0
) -> tuple[Reals, Reals]:
    """Return the success probability of one round of purification and the populations of the pair it leaves.

    Both parties apply a CNOT from the first pair to the second, measure the second in Z and keep the first if they
    agree. ``bbpssw`` first makes Werner pairs of both (Bennett et al., PRL 76, 722, 1996) and of the result;
    ``dejmps`` first turns both pairs by 90 degrees about X (Deutsch et al., PRL 77, 2818, 1996), which exchanges errors
    Y and Z, and keeps the result as it is. Turns of single qubits are perfect.

    With correlations (x, y, z) of the pair that is kept and (u, v, w) of the other one, success has the chance
    (1 + g r y v)/2 and leaves g (x u + r z w)/2, g (z u + r x w)/2 and g (y + r v)/2, over that chance. g: a gate that
    fails leaves white noise on both its qubits, hence on both pairs, and its outcome is a coin toss. r: of two ends
    that agree rightly and wrongly, the ones lead to the correlations with +, the others to those with -.

    Args:
        protocol: Which.
        first: Populations of the pair that is kept, shape (..., 4).
        second: Populations of the pair that is measured, shape (..., 4).
        gates: g, product of the weights (:func:`weight_of` the fidelity) of both ends' two-qubit gates, shape (...).
        readout: r, product of 1 - 2e of both ends, which read an outcome wrongly with chance e, shape (...).

    Returns:
        Probability, shape (...); populations given success, shape (..., 4).

    >>> probability, state = purify("dejmps", werner(0.8), werner(0.8))
    >>> round(float(probability), 6), round(float(state[0]), 6)
    (0.768889, 0.83815)
    >>> probability, state = purify("dejmps", werner(0.8), werner(0.8), gates=weight_of(0.99) ** 2, readout=0.98)
    >>> round(float(probability), 6), round(float(state[0]), 6)
    (0.756531, 0.826105)
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if protocol == "bbpssw":  # the turn makes no difference to the fidelity that Werner pairs leave
        a, b = werner(a[..., 0]), werner(b[..., 0])
    x, y, z = np.moveaxis(correlations(a), -1, 0)
    u, v, w = np.moveaxis(correlations(b), -1, 0)
    g, r = np.asarray(gates, float), np.asarray(readout, float)
    success: Reals = (1.0 + g * r * y * v) / 2.0
    left = np.stack(np.broadcast_arrays(x * u + r * z * w, z * u + r * x * w, y + r * v), axis=-1)
    state = populations(left * (g / (2.0 * success))[..., np.newaxis])
    return success, (werner(state[..., 0]) if protocol == "bbpssw" else state)


def qber(state: ArrayLike) -> tuple[Reals, Reals]:
    """Return the error rates in the Z and in the X basis: errors X and Y flip Z, errors Y and Z flip X.

    >>> [round(float(rate), 3) for rate in qber([0.9, 0.05, 0.03, 0.02])]
    [0.08, 0.05]
    """
    values = np.asarray(state, float)
    return values[..., 1] + values[..., 2], values[..., 2] + values[..., 3]


def chsh(weight: ArrayLike) -> Reals:
    """Return the CHSH value of a Werner pair at the best settings, 2 sqrt(2) w.

    >>> round(float(chsh(1.0)), 4)
    2.8284
    """
    value: Reals = 2.0 * math.sqrt(2.0) * np.asarray(weight, float)
    return value


def chsh_at_best(state: ArrayLike) -> Reals:
    """Return the highest CHSH value of Bell-diagonal pairs over all settings, 2 sqrt(c1^2 + c2^2).

    c1 and c2 are the two largest correlations in magnitude (Horodecki, Horodecki, Horodecki, PLA 200, 340, 1995).

    >>> round(float(chsh_at_best(werner(0.85))) - float(chsh(weight_of(0.85))), 12)
    0.0
    """
    squares = np.sort(correlations(state) ** 2, axis=-1)
    value: Reals = 2.0 * np.sqrt(squares[..., 1] + squares[..., 2])
    return value
