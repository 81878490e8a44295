"""Semi-quantum key distribution, the classical host's way to key of its own: parameters, closed forms, qubits.

A slave (Alice) sends qubits in the Z or the X basis. A host (Bob) that has no quantum device but a mirror and a Z
measurement treats each of them at random in one of two ways:

* CTRL: he reflects it;
* SIFT: he measures it in Z and sends back what he saw.

Alice measures what returns in the basis in which she sent it. Rounds sent in Z that Bob sifted are shared bits; a part
of them is compared (TEST). Reflected rounds must come back as they were sent: who measured on the way can't tell them
from sifted ones, and disturbs those in X.

Source: Boyer, Kenigsberg, Mor, PRL 99, 140501 (2007): the protocol with four states, 8n(1 + delta) qubits for n bits,
and that it is robust. The key fraction here is 1 - f h(e_test) - h(e_phase), with a bound e_phase on the phase errors
that reflected X rounds and both ways' errors in Z leave possible (:func:`phase_error`); it is derived below, in the
manner of Krawec (Quantum Inf. Comput. 17, 209, 2017), and a test holds it to random attacks.

1. What Eve does on the way to Bob and back is |a>|E> -> sum_b |b>|E_ab>, then |b>|E_ab> -> sum_c |c>|F_abc>, for
   Alice's bit a, Bob's b and Alice's result c. Alice and Bob turn bits at random, in public, so that the chances
   |F_abc|^2 depend only on which of the ways flip: p_0 for none, p_f, p_r for one of them, p_2 for both.
2. Eve is told which ways flipped. For each case i she has one of two pure states, of overlap r_i, so that
   H(A|E) >= sum p_i (1 - h((1 - r_i)/2)) >= 1 - h((1 - Q)/2), Q = sum p_i r_i >= 0, because this is convex in r.
3. A reflected round adds up her states of b = 0 and 1. Its X errors say 1 - 2 e_ctrl = Q + four overlaps of states
   of different cases, two of them at most sqrt(p_0 p_2) and two at most sqrt(p_f p_r) (Cauchy and Schwarz). So
   (1 - Q)/2 <= e_ctrl + sqrt(p_0 p_2) + sqrt(p_f p_r) = e_phase.

It is asymptotic, against attacks that treat all qubits alike, and of single photons; so its keys are never called
proven.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bellweave.blocks import Bytes
from bellweave.network.wide.params import SemiQuantum

Flags = NDArray[np.bool_]

LIGHT_KM_PER_S = 2.0e5


@dataclass(frozen=True)
class Expected:
    """What closed forms expect.

    Attributes:
        bits_per_qubit: Shared bits that are not compared (INFO), per qubit that Alice sends.
        test_error, ctrl_error: Of sifted Z rounds, and of reflected X rounds.
        key_per_qubit: Asymptotic key; 0 where there is none.
    """

    bits_per_qubit: float
    test_error: float
    ctrl_error: float
    key_per_qubit: float


def expect(own: SemiQuantum, efficiency: float = 1.16) -> Expected:
    """Return the closed forms; ``efficiency``: disclosed bits of reconciliation over the Shannon minimum.

    One way's depolarising with probability d flips a bit with d/2; both ways' combine to 1 - (1 - d)^2. A sifted bit
    passes only one.

    >>> from bellweave.network.wide.params import SemiQuantum
    >>> expect(SemiQuantum(length_km=0.0, efficiency=1.0)).bits_per_qubit
    0.125
    """
    bits = transmission(own) * own.z_share * own.sift_share * (1.0 - own.test_share)
    test, ctrl = own.depolarising / 2.0, (1.0 - (1.0 - own.depolarising) ** 2) / 2.0
    secret = max(0.0, 1.0 - efficiency * entropy(test) - entropy(phase_error(ctrl, test, test)))
    return Expected(bits, test, ctrl, bits * secret)


def transmission(own: SemiQuantum) -> float:
    """Return the share of qubits that Bob's detectors see when he sifts: one way's loss, and their efficiency."""
    return math.pow(10.0, -own.length_km * own.loss_db_per_km / 10.0) * own.efficiency


def phase_error(ctrl: float, forward: float, back: float, both: float | None = None) -> float:
    """Return the bound e_phase on phase errors of shared bits, at most 1/2; see the rules of this file.

    Args:
        ctrl: Error rate of reflected rounds in X.
        forward: Chance that a bit in Z is flipped on the way to Bob.
        back: The same on the way back.
        both: Chance that both ways flip it; None: they are independent.

    >>> phase_error(0.05, 0.05, 0.0), round(phase_error(0.02, 0.01, 0.01), 4)
    (0.05, 0.0398)
    """
    together = forward * back if both is None else both
    none = 1.0 - forward - back + together
    cross = math.sqrt(max(0.0, none * together)) + math.sqrt(max(0.0, (forward - together) * (back - together)))
    return min(0.5, ctrl + cross)


def tolerated_noise(*, two_ways: bool = True) -> float:
    """Return the error rate of a sifted bit at which the key ends, with perfect reconciliation.

    Args:
        two_ways: Noise acts independently on both ways, so that reflected rounds have 2 e (1 - e); else only on the way
            to Bob, and they have e: as in BB84.

    >>> round(tolerated_noise(), 4), round(tolerated_noise(two_ways=False), 4)
    (0.051, 0.11)
    """
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2.0
        ctrl, back = (2.0 * middle * (1.0 - middle), middle) if two_ways else (middle, 0.0)
        phase = phase_error(ctrl, middle, back)
        low, high = (middle, high) if 1.0 - entropy(middle) - entropy(phase) > 0.0 else (low, middle)
    return low


def latency_s(own: SemiQuantum, bits: int, efficiency: float = 1.16) -> float:
    """Return how long a key of so many bits takes by this protocol: its qubits, then three round trips of talk.

    From the pool it takes one round trip. Infinity where there is no key.
    """
    each = expect(own, efficiency).key_per_qubit
    way_s = own.length_km / LIGHT_KM_PER_S
    return bits / (each * own.qubit_rate_hz) + 8.0 * way_s if each > 0.0 else math.inf


def entropy(share: float) -> float:
    """Return the binary entropy; 1 from a half on."""
    if share <= 0.0:
        return 0.0
    return 1.0 if share >= 0.5 else -share * math.log2(share) - (1.0 - share) * math.log2(1.0 - share)


@dataclass(frozen=True, eq=False)
class Sent:
    """What Alice knows of every qubit: her basis (0: Z) and bit, whether it returned, and what she then saw.

    Attributes:
        basis, bit, returned, result: Shape (n,), uint8; ``result`` means nothing where nothing returned.
    """

    basis: Bytes
    bit: Bytes = field(repr=False)
    returned: Bytes
    result: Bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class Treated:
    """What Bob knows of every qubit: whether he sifted it, whether he then saw anything, and which bit.

    Attributes:
        sifted, seen, bit: Shape (n,), uint8; ``bit`` means nothing where nothing was seen.
    """

    sifted: Bytes
    seen: Bytes
    bit: Bytes = field(repr=False)


def exchange(
    own: SemiQuantum, count: int, alice: Generator, bob: Generator, line: Generator, *, tapped: float = 0.0
) -> tuple[Sent, Treated]:
    """Send so many qubits there and back; return what each end knows.

    Args:
        own: Parameters.
        count: Qubits.
        alice: Alice's random numbers.
        bob: Bob's.
        line: The line's, and of whoever sits on it.
        tapped: Share of the qubits that somebody measures in Z, and sends on, on the way to Bob.
    """
    basis = (alice.random(count) >= own.z_share).astype(np.uint8)
    bit = alice.integers(0, 2, count, np.uint8)
    state_basis, state = basis.copy(), bit.copy()
    arrived = line.random(count) < math.pow(10.0, -own.length_km * own.loss_db_per_km / 10.0)
    _measure_z(state_basis, state, line.random(count) < tapped, line)
    _depolarise(state_basis, state, own.depolarising, line)
    sifted = bob.random(count) < own.sift_share
    seen = sifted & arrived & (bob.random(count) < own.efficiency)
    _measure_z(state_basis, state, seen, bob)
    his = state.copy()
    _depolarise(state_basis, state, own.depolarising, line)
    leaves = seen | (arrived & ~sifted)
    returned = leaves & (line.random(count) < transmission(own))
    same = state_basis == basis
    noise = state_basis > 1
    result = np.where(same & ~noise, state, alice.integers(0, 2, count, np.uint8)).astype(np.uint8)
    flags = [each.astype(np.uint8) for each in (returned, sifted, seen)]
    return Sent(basis, bit, flags[0], result), Treated(flags[1], flags[2], his)


def _measure_z(basis: Bytes, bit: Bytes, where: Flags, rng: Generator) -> None:
    """Measure some qubits in Z, in place: what was not in Z becomes a coin toss in Z."""
    other = where & (basis != 0)
    bit[other] = rng.integers(0, 2, int(other.sum()), np.uint8)
    basis[where] = 0


def _depolarise(basis: Bytes, bit: Bytes, probability: float, rng: Generator) -> None:
    """Replace some qubits by white noise, in place: basis 2, which every measurement sees as a coin toss."""
    basis[rng.random(basis.size) < probability] = 2
    del bit
