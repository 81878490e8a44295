"""Semi-quantum key distribution: qubits there and back, talk, and theory."""

import math

import numpy as np
import pytest

from bellweave import rng
from bellweave.errors import BlockRejected, ProtocolError
from bellweave.network.wide.params import SemiQuantum
from bellweave.network.wide.semi_quantum import (
    Sent,
    Treated,
    entropy,
    exchange,
    expect,
    latency_s,
    phase_error,
    tolerated_noise,
)
from bellweave.network.wide.semi_quantum_roles import CODEC, Shared, alice, bob
from bellweave.sim.classical import converse, settle

SIGMA = 4.0
COUNT = 200_000
QUIET = SemiQuantum(length_km=5.0)


def sent(own: SemiQuantum, tapped: float = 0.0, seed: int = 1) -> tuple[Sent, Treated]:
    streams = [rng.stream(seed, "sqkd", who) for who in ("alice", "bob", "line")]
    return exchange(own, COUNT, *streams, tapped=tapped)


def run(own: SemiQuantum, tapped: float = 0.0) -> tuple[Shared, Shared]:
    hers, his = sent(own, tapped)
    return converse(alice(hers, own, rng.stream(1, "sqkd", "test")), bob(his), CODEC)


def near(found: float, expected: float, count: float) -> None:
    assert abs(found - expected) < SIGMA * math.sqrt(max(expected * (1.0 - expected), 1e-12) / count) + 1e-12


def test_without_noise_both_share_the_same_bits_and_as_many_as_theory_says() -> None:
    hers, his = run(QUIET)

    assert np.array_equal(hers.bits, his.bits)
    assert hers.judged == his.judged
    assert (hers.judged.test_errors, hers.judged.ctrl_x_errors, hers.judged.ctrl_z_errors) == (0, 0, 0)
    near(hers.bits.size / COUNT, expect(QUIET).bits_per_qubit, COUNT)
    near(float(hers.bits.mean()), 0.5, hers.bits.size)


def test_a_perfect_line_gives_an_eighth_of_a_bit_per_qubit() -> None:
    assert expect(SemiQuantum(length_km=0.0, efficiency=1.0)).bits_per_qubit == 1.0 / 8.0


@pytest.mark.parametrize("noise", [0.02, 0.08])
def test_errors_are_those_of_theory(noise: float) -> None:
    own = SemiQuantum(depolarising=noise, error_limit=0.5)
    hers, his = run(own)
    expected = expect(own)

    near(hers.judged.test_errors / hers.judged.tested, expected.test_error, hers.judged.tested)
    near(hers.judged.ctrl_x_errors / hers.judged.ctrl_x, expected.ctrl_error, hers.judged.ctrl_x)
    near(hers.judged.ctrl_z_errors / hers.judged.ctrl_z, expected.ctrl_error, hers.judged.ctrl_z)
    near(float((hers.bits != his.bits).mean()), expected.test_error, hers.bits.size)


def test_whoever_measures_on_the_way_is_seen_in_the_reflected_rounds_alone() -> None:
    hers, _ = run(SemiQuantum(error_limit=0.6), tapped=1.0)

    assert hers.judged.test_errors == 0
    assert hers.judged.ctrl_z_errors == 0
    near(hers.judged.ctrl_x_errors / hers.judged.ctrl_x, 0.5, hers.judged.ctrl_x)


def test_both_ends_abort_when_somebody_measures() -> None:
    hers, his = sent(QUIET, tapped=0.5)
    ends = settle(alice(hers, QUIET, rng.stream(1, "sqkd", "test")), bob(his), CODEC)

    assert isinstance(ends[0], BlockRejected)
    assert "CTRL in X" in str(ends[0])
    assert isinstance(ends[1], ProtocolError)


def test_bits_stay_out_of_what_is_printed() -> None:
    hers, his = sent(QUIET)
    shared, _ = run(QUIET)

    for each in (hers, his, shared):
        assert "bit=" not in repr(each)
        assert "bits=" not in repr(each)


def test_tolerated_noise_is_that_of_bb84_or_less() -> None:
    assert tolerated_noise(two_ways=False) == pytest.approx(0.1100, abs=1e-4)
    limit = tolerated_noise()
    assert 0.04 < limit < 0.0794  # where 1 - h(e) - h(2 e (1 - e)), which no proof was found for, would end
    assert expect(SemiQuantum(depolarising=2.0 * limit - 1e-3), 1.0).key_per_qubit > 0.0
    assert expect(SemiQuantum(depolarising=2.0 * limit + 1e-3), 1.0).key_per_qubit == 0.0


def entropy_of(states: np.ndarray) -> float:
    values = np.linalg.eigvalsh(states)
    return float(-sum(each * math.log2(each) for each in values if each > 1e-15))


def attack(stream: np.random.Generator, strength: float, ancilla: int) -> np.ndarray:
    """A random unitary on the qubit and Eve's ancilla, near to none where the strength is small."""
    size = 2 * ancilla
    generator = stream.normal(size=(size, size)) + 1j * stream.normal(size=(size, size))
    values, vectors = np.linalg.eigh(generator + generator.conj().T)
    return np.asarray((vectors * np.exp(1j * strength * values)) @ vectors.conj().T)


@pytest.mark.parametrize("strength", [0.01, 0.03, 0.1, 0.3, 1.0])
def test_no_random_attack_on_both_ways_learns_more_than_the_phase_error_allows(strength: float) -> None:
    """F[s, e, a, b, c]: Eve's state, and the turn s of all bits, which she knows."""
    stream, ancilla = rng.stream(5, "attacks"), 3
    tight = 0.0
    for _ in range(60):
        there, back = (attack(stream, strength, ancilla) for _ in range(2))
        there, back = (each.reshape(2, ancilla, 2, ancilla) for each in (there, back))
        one = np.einsum("cfbe,bea->fabc", back, there[:, :, :, 0])  # |a>|0> -> b, e -> c, f
        states = np.stack((one, one[:, ::-1, ::-1, ::-1])) / math.sqrt(2.0)
        chances = np.sum(np.abs(states) ** 2, axis=(0, 1))
        cases = [float(chances[0, b, c]) for b, c in ((0, 0), (1, 1), (0, 1), (1, 0))]  # none, forward, back, both
        assert chances[0] == pytest.approx(chances[1, ::-1, ::-1])
        reflected = states.sum(axis=3)  # s, f, a, c
        x = np.einsum("sfac,sfac->", reflected[:, :, ::-1, ::-1].conj(), reflected).real / 2.0
        vectors = states.transpose(2, 0, 1, 3, 4).reshape(2, 2 * ancilla, 4)
        of_bit = [each @ each.conj().T for each in vectors]
        unknown = 1.0 + sum(entropy_of(each) for each in of_bit) / 2.0 - entropy_of((of_bit[0] + of_bit[1]) / 2.0)
        forward, backward = cases[1] + cases[3], cases[2] + cases[3]
        phase = phase_error((1.0 - x) / 2.0, forward, backward, cases[3])
        allowed = 1.0 - entropy(phase)
        assert unknown >= allowed - 1e-9
        tight = max(tight, allowed / unknown)
    assert tight > 0.5 or strength > 0.05


def test_latency_grows_with_the_key_and_is_endless_without_any() -> None:
    one, ten = latency_s(QUIET, 256), latency_s(QUIET, 2560)

    assert one == pytest.approx(256 / (expect(QUIET).key_per_qubit * 1e6) + 8 * 5.0 / 2e5)
    assert one < ten < 10 * one
    assert latency_s(SemiQuantum(depolarising=0.5), 1) == math.inf


def test_bits_that_were_seen_but_not_sifted_are_refused() -> None:
    hers, his = sent(QUIET)
    odd = Treated(np.zeros_like(his.sifted), np.ones_like(his.seen), his.bit)
    with pytest.raises(ProtocolError, match="where nothing was sifted"):
        converse(alice(hers, QUIET, rng.stream(1, "t")), bob(odd), CODEC)


def test_both_must_speak_of_as_many_qubits() -> None:
    hers, his = sent(QUIET)
    short = Treated(his.sifted[:-8], his.seen[:-8], his.bit[:-8])
    with pytest.raises(ProtocolError, match="qubits, here are"):
        converse(alice(hers, QUIET, rng.stream(1, "t")), bob(short), CODEC)
