"""Closed forms of Bell-diagonal pairs against density matrices of two and of four qubits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import bell
from bellweave.network.wide import states

PAULIS = (bell.IDENTITY, bell.PAULI_X, bell.PAULI_Y, bell.PAULI_Z)
PHI = np.array([1, 0, 0, 1], complex) / math.sqrt(2.0)
KETS = [np.kron(np.eye(2), pauli) @ PHI for pauli in PAULIS]


@st.composite
def bell_diagonal(draw: st.DrawFn) -> states.Reals:
    parts = np.array(draw(st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4)))
    return np.asarray(parts / parts.sum())


def matrix(state: states.Reals) -> bell.Complex:
    return np.asarray(sum(part * np.outer(ket, ket.conj()) for part, ket in zip(state, KETS, strict=True)))


def read(rho: bell.Complex) -> states.Reals:
    return np.array([(ket.conj() @ rho @ ket).real for ket in KETS])


@given(bell_diagonal())
def test_correlations_are_those_of_the_density_matrix_and_invert(state: states.Reals) -> None:
    wanted = (1.0, -1.0, 1.0)  # of Phi+ in X, Y, Z
    seen = [
        sign * np.trace(np.kron(pauli, pauli) @ matrix(state)).real
        for sign, pauli in zip(wanted, PAULIS[1:], strict=True)
    ]
    assert states.correlations(state) == pytest.approx(np.array(seen), abs=1e-12)
    assert states.populations(states.correlations(state)) == pytest.approx(state, abs=1e-12)


@given(bell_diagonal(), st.floats(0.0, 3.0))
def test_two_memories_depolarise_both_qubits(state: states.Reals, age_s: float) -> None:
    rho = matrix(state)
    for qubit, coherence_s in ((0, 1.0), (1, 2.5)):
        channel = bell.depolarising(1.0 - math.exp(-age_s / coherence_s))
        lifted = [np.kron(k, np.eye(2)) if qubit == 0 else np.kron(np.eye(2), k) for k in channel]
        rho = sum((k @ rho @ k.conj().T for k in lifted), np.zeros((4, 4), complex))
    assert states.stored(state, age_s, 1.0, 2.5) == pytest.approx(read(rho), abs=1e-12)


@given(bell_diagonal(), bell_diagonal())
def test_a_swap_is_a_bell_measurement_with_correction(first: states.Reals, second: states.Reals) -> None:
    rho = np.kron(matrix(first), matrix(second))  # qubits a, b, c, d
    total = np.zeros((4, 4), complex)
    for error, ket in enumerate(KETS):
        project = np.kron(np.kron(np.eye(2), ket.conj()[np.newaxis]), np.eye(2))  # from a b c d to a d
        correct = np.kron(np.eye(2), PAULIS[error])
        total += correct @ project @ rho @ project.conj().T @ correct.conj().T
    assert np.trace(total).real == pytest.approx(1.0)
    assert states.swapped(first, second) == pytest.approx(read(total), abs=1e-12)


def cnot_from_first_to_second() -> bell.Complex:
    """Both parties' CNOT on qubits a1 b1 a2 b2."""
    gate = np.zeros((16, 16), complex)
    for a, b, c, d in itertools.product((0, 1), repeat=4):
        gate[int(f"{a}{b}{c ^ a}{d ^ b}", 2), int(f"{a}{b}{c}{d}", 2)] = 1.0
    return gate


def purified(first: bell.Complex, second: bell.Complex, *, turn: bool) -> tuple[float, states.Reals]:
    if turn:
        turns = np.kron(bell.rotation(bell.PAULI_X, math.pi / 2), bell.rotation(bell.PAULI_X, -math.pi / 2))
        first, second = (turns @ rho @ turns.conj().T for rho in (first, second))
    gate = cnot_from_first_to_second()
    rho = gate @ np.kron(first, second) @ gate.conj().T
    kept = sum((rho.reshape(4, 4, 4, 4)[:, k, :, k] for k in (0b00, 0b11)), np.zeros((4, 4), complex))
    chance = float(np.trace(kept).real)
    return chance, read(np.asarray(kept / chance, complex))


@given(bell_diagonal(), bell_diagonal())
def test_dejmps_is_what_its_circuit_does(first: states.Reals, second: states.Reals) -> None:
    chance, state = purified(matrix(first), matrix(second), turn=True)
    closed_chance, closed_state = states.purify("dejmps", first, second)
    assert closed_chance == pytest.approx(chance, abs=1e-12)
    assert closed_state == pytest.approx(state, abs=1e-12)


@given(st.floats(0.3, 1.0), st.floats(0.3, 1.0))
def test_bbpssw_is_what_its_circuit_does_to_werner_pairs(first: float, second: float) -> None:
    chance, state = purified(matrix(states.werner(first)), matrix(states.werner(second)), turn=False)
    closed_chance, closed_state = states.purify("bbpssw", states.werner(first), states.werner(second))
    assert closed_chance == pytest.approx(chance, abs=1e-12)
    assert closed_state == pytest.approx(states.werner(state[0]), abs=1e-12)


def white(rho: bell.Complex, one: int, other: int) -> bell.Complex:
    """Four qubits with two of them replaced by white noise."""
    axes = [qubit for qubit in range(4) if qubit not in {one, other}]
    order = [*axes, one, other]
    tensor = rho.reshape((2,) * 8).transpose([*order, *(4 + qubit for qubit in order)]).reshape(4, 4, 4, 4)
    mixed = np.kron(np.einsum("akbk->ab", tensor), np.eye(4) / 4.0).reshape((2,) * 8)
    back = np.argsort(order)
    return np.asarray(mixed.transpose([*back, *(4 + back)]).reshape(16, 16))


@given(
    bell_diagonal(),
    bell_diagonal(),
    st.tuples(st.floats(0.25, 1.0), st.floats(0.25, 1.0)),
    st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5)),
)
def test_gates_that_depolarise_and_wrong_readings_purify_as_their_circuit_does(
    first: states.Reals, second: states.Reals, fidelities: tuple[float, float], wrong: tuple[float, float]
) -> None:
    """Each end's CNOT leaves white noise on its two qubits with chance 1 - w; each reads its outcome wrongly."""
    turns = np.kron(bell.rotation(bell.PAULI_X, math.pi / 2), bell.rotation(bell.PAULI_X, -math.pi / 2))
    turned = [turns @ matrix(state) @ turns.conj().T for state in (first, second)]
    gate = cnot_from_first_to_second()
    rho = gate @ np.kron(*turned) @ gate.conj().T
    for end, fidelity in enumerate(fidelities):  # what a gate that fails leaves does not depend on the other end's
        weight = float(states.weight_of(fidelity))
        rho = weight * rho + (1.0 - weight) * white(rho, end, end + 2)
    kept = np.zeros((4, 4), complex)
    for outcome in range(4):
        flips = [(flip, 1.0 - flip) for flip in wrong]
        seen_alike = sum(
            flips[0][1 - a] * flips[1][1 - b]
            for a, b in itertools.product((0, 1), repeat=2)
            if ((outcome >> 1) ^ a) == ((outcome & 1) ^ b)
        )
        kept += seen_alike * rho.reshape(4, 4, 4, 4)[:, outcome, :, outcome]
    chance = float(np.trace(kept).real)
    gates = float(np.prod(states.weight_of(fidelities)))
    readout = (1.0 - 2.0 * wrong[0]) * (1.0 - 2.0 * wrong[1])
    closed_chance, closed_state = states.purify("dejmps", first, second, gates, readout)
    assert closed_chance == pytest.approx(chance, abs=1e-12)
    assert closed_state == pytest.approx(read(np.asarray(kept / chance, complex)), abs=1e-12)


def test_errors_of_gates_and_readout_bound_what_purification_can_reach() -> None:
    """Perfect pairs come out worse; with 1 % errors at each end good pairs are spoilt and bad ones still improve."""
    gates = float(states.weight_of(0.99)) ** 2
    alike = [states.werner(fidelity) for fidelity in (1.0, 0.98, 0.8)]
    reached = [float(states.purify("dejmps", each, each, gates, 0.98**2)[1][0]) for each in alike]
    assert reached[0] < 1.0
    assert reached[1] < 0.98
    assert reached[2] > 0.8


@given(bell_diagonal())
def test_error_rates_are_those_of_the_measurement(state: states.Reals) -> None:
    rho = matrix(state)
    z = np.trace(np.kron(bell.PAULI_Z, bell.PAULI_Z) @ rho).real
    x = np.trace(np.kron(bell.PAULI_X, bell.PAULI_X) @ rho).real
    assert [float(rate) for rate in states.qber(state)] == pytest.approx([(1 - z) / 2, (1 - x) / 2], abs=1e-12)


def test_the_chsh_value_is_that_of_the_best_settings() -> None:
    rho = matrix(states.werner(0.9))
    z, x = bell.PAULI_Z, bell.PAULI_X
    b0, b1 = (z + x) / math.sqrt(2), (z - x) / math.sqrt(2)
    operator = np.kron(z, b0) + np.kron(z, b1) + np.kron(x, b0) - np.kron(x, b1)
    seen = np.trace(operator @ rho).real
    assert float(states.chsh(states.weight_of(0.9))) == pytest.approx(seen)
    assert float(states.chsh_at_best(states.werner(0.9))) == pytest.approx(seen)


def test_an_imperfect_swap_depolarises_the_new_pair() -> None:
    new = states.swapped(states.werner(1.0), states.werner(1.0), 0.97)
    assert new == pytest.approx(states.werner(0.97))
    assert float(states.fidelity_of(states.weight_of(0.97))) == pytest.approx(0.97)
