"""Two-qubit states, single-qubit channels, and the joint table of two parties' measurements.

Rules of this file:

1. A two-qubit state is a 4 x 4 density matrix in the order 00, 01, 10, 11; Alice's qubit comes first (time-bin:
   0 = early).
2. A channel is its Kraus operators, shape (k, 2, 2). All noise is drawn afresh for every photon, so the averaged
   density matrix holds everything that a measurement of one pair can show: averaging first is exact, and costs one draw
   a pair.
3. A measurement is an array ``effect[basis, bit]`` of positive operators, shape (2, 2, 2, 2); a table is
   ``P[basis_a, basis_b, bit_a, bit_b]``, shape (2, 2, 2, 2), the joint probability of the bits given the bases. Ekert91
   has more settings than two; there the leading axis counts settings.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bellweave.errors import ScenarioError

Complex = NDArray[np.complex128]
Reals = NDArray[np.float64]
BellName = Literal["phi+", "phi-", "psi+", "psi-"]

_TOLERANCE = 1e-9
"""How far a given density matrix may be off, by rounding in the scenario file."""

IDENTITY: Complex = np.eye(2, dtype=np.complex128)
PAULI_X: Complex = np.array([[0, 1], [1, 0]], np.complex128)
PAULI_Y: Complex = np.array([[0, -1j], [1j, 0]], np.complex128)
PAULI_Z: Complex = np.array([[1, 0], [0, -1]], np.complex128)

_KETS: dict[str, tuple[float, float, float, float]] = {
    "phi+": (1.0, 0.0, 0.0, 1.0),
    "phi-": (1.0, 0.0, 0.0, -1.0),
    "psi+": (0.0, 1.0, 1.0, 0.0),
    "psi-": (0.0, 1.0, -1.0, 0.0),
}


def bell_state(name: BellName) -> Complex:
    """Return the density matrix of a Bell state.

    >>> round(float(bell_state("psi-")[1, 2].real), 6)
    -0.5
    """
    ket = np.array(_KETS[name], np.complex128) / math.sqrt(2.0)
    return np.asarray(np.outer(ket, ket.conj()), np.complex128)


def werner(name: BellName, visibility: float) -> Complex:
    """Return a Bell state mixed with white noise; ``visibility`` in [0, 1] is the weight of the Bell state."""
    return visibility * bell_state(name) + (1.0 - visibility) * np.eye(4) / 4.0


def density_matrix(entries: object, *, path: str = "density_matrix") -> Complex:
    """Return given entries as a density matrix.

    Args:
        entries: Array-like, shape (4, 4), complex; or shape (4, 4, 2), real and imaginary part.
        path: Where the entries stand in the scenario, for the message.

    Raises:
        ScenarioError: If the matrix is not Hermitian, not positive, or its trace is not 1.
    """
    matrix = np.asarray(entries)
    if matrix.shape == (4, 4, 2):
        matrix = matrix[..., 0] + 1j * matrix[..., 1]
    if matrix.shape != (4, 4):
        raise ScenarioError(f"a two-qubit density matrix has shape (4, 4), not {matrix.shape}", path=path)
    matrix = matrix.astype(np.complex128)
    skew = float(np.abs(matrix - matrix.conj().T).max())
    if not skew <= _TOLERANCE:
        raise ScenarioError(
            f"must be Hermitian; it differs from its adjoint by {skew:.3g} (limit {_TOLERANCE})", path=path
        )
    trace = float(matrix.trace().real)
    if not abs(trace - 1.0) <= _TOLERANCE:
        raise ScenarioError(f"must have trace 1, not {trace:.12g}", path=path)
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if lowest < -_TOLERANCE:
        raise ScenarioError(
            f"must have no negative eigenvalue; the lowest is {lowest:.3g} (limit -{_TOLERANCE})", path=path
        )
    return matrix


def depolarising(probability: float) -> Complex:
    """Return the channel that replaces the qubit by white noise with this probability."""
    weights = (1.0 - 0.75 * probability, *(probability / 4.0,) * 3)
    return _mixture(weights, (IDENTITY, PAULI_X, PAULI_Y, PAULI_Z))


def bit_flip(probability: float) -> Complex:
    """Return the channel that applies Pauli X with this probability."""
    return _mixture((1.0 - probability, probability), (IDENTITY, PAULI_X))


def dephasing(probability: float) -> Complex:
    """Return the channel that applies Pauli Z with this probability."""
    return _mixture((1.0 - probability, probability), (IDENTITY, PAULI_Z))


def rotation(axis: Complex, angle_rad: float) -> Complex:
    """Return the unitary that turns the Bloch sphere by ``angle_rad`` about a Pauli axis, shape (2, 2)."""
    return math.cos(angle_rad / 2.0) * IDENTITY - 1j * math.sin(angle_rad / 2.0) * axis


def misalignment(angle_rad: float) -> Complex:
    """Return the channel of a fixed rotation about Y of the Bloch sphere."""
    return rotation(PAULI_Y, angle_rad)[np.newaxis]


def gaussian_rotation(sigma_rad: float) -> Complex:
    """Return RX, then RZ, by fresh Gaussian angles of deviation ``sigma_rad``, averaged exactly.

    The mean of RX(t) rho RX(t)^+ over t ~ N(0, sigma^2) is a bit flip with probability E[sin^2(t/2)] = (1 -
    exp(-sigma^2/2))/2; the terms linear in sin t average out. The same holds for RZ and the phase flip.

    Source: SQUANCH 1.1.0, ``RandomUnitaryError``, whose argument ``variance`` is the standard deviation.
    """
    flip = -0.5 * math.expm1(-0.5 * sigma_rad**2)
    return compose(bit_flip(flip), dephasing(flip))


def intercept_resend(fraction: float, basis: Literal["z", "x", "random"]) -> Complex:
    """Return the channel of an eavesdropper who measures a fraction of the qubits and sends what she saw."""
    share_z = {"z": 1.0, "x": 0.0, "random": 0.5}[basis]
    effect = effects()
    kraus = [math.sqrt(1.0 - fraction) * IDENTITY]
    kraus += [math.sqrt(fraction * share_z) * effect[0, bit] for bit in (0, 1)]
    kraus += [math.sqrt(fraction * (1.0 - share_z)) * effect[1, bit] for bit in (0, 1)]
    return np.stack(kraus)


def compose(first: Complex, *then: Complex) -> Complex:
    """Return the Kraus operators of channels applied one after the other, the first argument first."""
    kraus = first
    for channel in then:
        kraus = np.einsum("mij,njk->mnik", channel, kraus).reshape(-1, 2, 2)
    return kraus


def on_alice(rho: Complex, kraus: Complex) -> Complex:
    """Return the pair's state after a channel on Alice's qubit."""
    state = rho.reshape(2, 2, 2, 2)
    after: Complex = np.einsum("mia,ajbl,mkb->ijkl", kraus, state, kraus.conj()).reshape(4, 4)
    return after


def on_bob(rho: Complex, kraus: Complex) -> Complex:
    """Return the pair's state after a channel on Bob's qubit."""
    state = rho.reshape(2, 2, 2, 2)
    after: Complex = np.einsum("mja,iakb,mlb->ijkl", kraus, state, kraus.conj()).reshape(4, 4)
    return after


def effects(phase_rad: float = 0.0, visibility: float = 1.0) -> Complex:
    """Return the measurement of one party, ``effect[basis, bit]``, shape (2, 2, 2, 2).

    Basis 0 is Z. Basis 1 is X turned by the phase: bit b projects on ``(|0> + (-1)^b e^(i phase) |1>) / sqrt 2``,
    blurred towards a coin toss by ``visibility`` < 1.
    """
    effect = np.zeros((2, 2, 2, 2), np.complex128)
    effect[0, 0, 0, 0] = effect[0, 1, 1, 1] = 1.0
    turn = 0.5 * visibility * np.exp(-1j * phase_rad)
    for bit, sign in ((0, 1.0), (1, -1.0)):
        effect[1, bit] = [[0.5, sign * turn], [sign * np.conj(turn), 0.5]]
    return effect


def joint_table(rho: Complex, alice: Complex, bob: Complex) -> Reals:
    """Return ``P[basis_a, basis_b, bit_a, bit_b]``, the probability of the bits given the bases.

    Leading axes of the measurements, such as time, are kept.
    """
    state = rho.reshape(2, 2, 2, 2)
    table: Reals = np.einsum("ijkl,...xaki,...yblj->...xyab", state, alice, bob).real.clip(0.0, 1.0)
    return table


def correlation(table: Reals) -> Reals:
    """Return E[basis_a, basis_b] = P(bits equal) - P(bits differ), shape (2, 2), in [-1, 1]."""
    return np.asarray(table[..., 0, 0] + table[..., 1, 1] - table[..., 0, 1] - table[..., 1, 0], np.float64)


def chsh(rho: Complex) -> float:
    """Return the largest CHSH value that this state reaches, at most 2 sqrt 2.

    Source: Horodecki, Horodecki, Horodecki, Phys. Lett. A 200, 340 (1995): 2 sqrt(m1 + m2), the two largest eigenvalues
    of T^T T, T the correlation matrix.

    >>> round(chsh(bell_state("psi-")), 6)
    2.828427
    """
    paulis = np.stack([PAULI_X, PAULI_Y, PAULI_Z])
    matrix = np.einsum("ijkl,xki,ylj->xy", rho.reshape(2, 2, 2, 2), paulis, paulis).real
    largest = np.linalg.eigvalsh(matrix.T @ matrix)[1:]
    return float(2.0 * math.sqrt(largest.sum()))


SettingsName = Literal["unbiased", "ekert"]


@dataclass(frozen=True)
class Settings:
    """The analyser settings of Ekert91 and what each pair of them is for. Angles are on the Bloch sphere, from Z to X.

    With the optimal CHSH settings, Alice's two are 90 degrees apart and Bob's lie half-way between them. Two mutually
    unbiased key bases that both ends share are 90 degrees apart as well, so no setting of one end's test can be in the
    key bases *and* one of the other's: one end needs four settings. Three a side reach S = 1 + sqrt 2, or bases that
    are 45 degrees apart: Ekert's own.

    Attributes:
        name: ``unbiased`` or ``ekert``.
        alice_rad, bob_rad: The angles; Bob's for ``phi+``, see :func:`bob_angles`.
        alice_share, bob_share: How often each is chosen.
        key: (Alice's, Bob's) setting whose outcomes are key bits, of basis 0 and of basis 1.
        test: (Alice's, Bob's, sign) of the four correlations in S.
        unbiased: Whether the two key bases are mutually unbiased.
    """

    name: SettingsName
    alice_rad: tuple[float, ...]
    bob_rad: tuple[float, ...]
    alice_share: tuple[float, ...]
    bob_share: tuple[float, ...]
    key: tuple[tuple[int, int], tuple[int, int]]
    test: tuple[tuple[int, int, int], ...]
    unbiased: bool

    @property
    def key_share(self) -> float:
        """Share of the rounds whose settings make key bits."""
        return sum(self.alice_share[a] * self.bob_share[b] for a, b in self.key)

    @property
    def test_share(self) -> float:
        """Share of the rounds that test the CHSH inequality."""
        return sum(self.alice_share[a] * self.bob_share[b] for a, b, _ in self.test)


def ekert_settings(name: SettingsName, test_share: float = 0.5) -> Settings:
    """Return the settings of that name.

    Args:
        name: ``unbiased``: Alice Z and X, Bob Z, X and the two half-way. ``ekert``: three a side, 45 degrees apart,
            each chosen with probability 1/3.
        test_share: Share of the rounds that test the inequality with ``unbiased``, in (0, 1).

    Source: Ekert, Phys. Rev. Lett. 67, 661 (1991); polariser angles are half of ours.

    >>> round(ekert_settings("ekert").key_share, 4), ekert_settings("unbiased").key_share
    (0.2222, 0.25)
    """
    eighth, quarter = math.pi / 4.0, math.pi / 2.0
    if name == "ekert":
        third = (1.0 / 3.0,) * 3
        return Settings(
            name,
            (0.0, eighth, quarter),
            (eighth, quarter, 3.0 * eighth),
            third,
            third,
            ((1, 0), (2, 1)),
            ((0, 0, 1), (0, 2, -1), (2, 0, 1), (2, 2, 1)),
            unbiased=False,
        )
    key, test = (1.0 - test_share) / 2.0, test_share / 2.0
    return Settings(
        name,
        (0.0, quarter),
        (0.0, quarter, eighth, 3.0 * eighth),
        (0.5, 0.5),
        (key, key, test, test),
        ((0, 0), (1, 1)),
        ((0, 2, 1), (0, 3, -1), (1, 2, 1), (1, 3, 1)),
        unbiased=True,
    )


def bob_angles(settings: Settings, state: BellName) -> tuple[float, ...]:
    """Return how Bob turns his analyser so that a pair in this Bell state gives E(a, b) = cos(a - b)."""
    turned = {"phi+": (1.0, 0.0), "phi-": (-1.0, 0.0), "psi-": (1.0, math.pi), "psi+": (-1.0, math.pi)}
    sign, offset = turned[state]
    return tuple(sign * angle + offset for angle in settings.bob_rad)


def effects_at(angles_rad: tuple[float, ...]) -> Complex:
    """Return the measurements at these angles from Z towards X, ``effect[setting, bit]``, shape (n, 2, 2, 2)."""
    axes = [math.cos(angle) * PAULI_Z + math.sin(angle) * PAULI_X for angle in angles_rad]
    return np.stack([np.stack([(IDENTITY + sign * axis) / 2.0 for sign in (1.0, -1.0)]) for axis in axes])


def chsh_value(settings: Settings, correlations: Reals) -> float:
    """Return S from the correlations E[a, b] of all pairs of settings."""
    return float(sum(sign * correlations[a, b] for a, b, sign in settings.test))


def _mixture(weights: tuple[float, ...], unitaries: tuple[Complex, ...]) -> Complex:
    return np.stack([math.sqrt(weight) * unitary for weight, unitary in zip(weights, unitaries, strict=True)])
