"""One block of MDI-QKD: two senders' pulses interfere at a third party, which announces what it heralded.

* :func:`pulses`: every pulse. Coherent light: a random relative phase, four intensities, four detectors. Single
  photons: one draw from the exact distribution of click patterns.
* :func:`heralds`: only heralded rounds, from :mod:`bellweave.photonics.mdi_theory`: blocks of 10^10 pulses and more.

Both return each sender's rounds: its own basis, bit and intensity, and what was announced to everybody. Bob has
inverted his bits as the announcement asks (:func:`bellweave.photonics.mdi_theory.bob_inverts`).
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.random import Generator

from bellweave.bell import Reals
from bellweave.blocks import Bytes, Ints, Rounds
from bellweave.photonics import mdi_theory, outcomes
from bellweave.photonics.mdi_params import MdiLink, Sender, check
from bellweave.rng import stream
from bellweave.units import transmission

CHUNK = 1 << 20
"""Pulses that are held at a time: memory stays flat."""


@dataclass(frozen=True, eq=False)
class Sent:
    """What one sender chose, pulse by pulse; nobody else knows it.

    Attributes:
        basis, bit, intensity: Shape (n,), uint8.
    """

    basis: Bytes
    bit: Bytes
    intensity: Bytes


@dataclass(frozen=True, eq=False)
class Announcement:
    """What the third party tells everybody.

    Attributes:
        id: Shape (k,), int64, which pulses were heralded, increasing.
        result: Shape (k,), uint8, ``PSI_MINUS`` or ``PSI_PLUS``.
    """

    id: Ints
    result: Bytes


def pulses(link: MdiLink, seed: int, block: int) -> tuple[Rounds, Rounds]:
    """Return Alice's and Bob's heralded rounds of one block, every pulse simulated.

    Args:
        link: The link.
        seed: The run's seed.
        block: Index of the block, >= 0.

    Raises:
        ScenarioError: If the link is impossible.
    """
    check(link)
    alice_rng, bob_rng, master_rng = (
        stream(seed, "mdi", link.name, "block", block, who) for who in ("alice", "bob", "master")
    )
    rounds: tuple[list[Rounds], list[Rounds]] = ([], [])
    for start in range(0, link.pulses, CHUNK):
        count = min(CHUNK, link.pulses - start)
        hers, his = send(link, count, alice_rng), send(link, count, bob_rng)
        told = measure(link, hers, his, master_rng)
        rounds[0].append(own_rounds("alice", hers, told, link, start))
        rounds[1].append(own_rounds("bob", his, told, link, start))
    return _joined(rounds[0]), _joined(rounds[1])


def send(link: MdiLink, count: int, rng: Generator) -> Sent:
    """Return one sender's choices for ``count`` pulses."""
    basis = (rng.random(count, np.float32) >= link.z_probability).astype(np.uint8)
    bit = rng.integers(0, 2, count, np.uint8)
    if link.light == "single-photon":
        return Sent(basis, bit, np.zeros(count, np.uint8))
    drawn, intensity = rng.random(count), np.zeros(count, np.uint8)
    for border in np.cumsum(link.shares)[:-1]:
        intensity += drawn >= border
    return Sent(basis, bit, intensity)


def measure(link: MdiLink, alice: Sent, bob: Sent, rng: Generator) -> Announcement:
    """Return what the third party announces of these pulses; it sees light, no choices."""
    state_a, state_b = 2 * alice.basis + alice.bit, 2 * bob.basis + bob.bit
    if link.light == "single-photon":
        ids, result = _measured_single(state_a, state_b, _single_table(link), rng)
        return Announcement(ids, result)
    amplitude_a, amplitude_b = (_amplitudes(link, who, transmission(who.loss_db)) for who in (link.alice, link.bob))
    ids, result = _measured(
        state_a + 4 * alice.intensity,
        state_b + 4 * bob.intensity,
        amplitude_a,
        amplitude_b,
        mdi_theory.efficiencies(link),
        math.sqrt(link.visibility),
        1.0 - mdi_theory.dark_probability(link),
        rng,
    )
    return Announcement(ids, result)


def own_rounds(role: str, sent: Sent, told: Announcement, link: MdiLink, start: int = 0) -> Rounds:
    """Return one sender's rounds from its own choices and the announcement."""
    basis, bit = sent.basis[told.id], sent.bit[told.id]
    if role == "bob":
        bit = bit ^ inverted(basis, told.result)
    intensity = sent.intensity[told.id] if link.light == "coherent" else None
    return Rounds(told.id + start, basis, bit, intensity, told.result)


def inverted(basis: Bytes, announced: Bytes) -> Bytes:
    """Return 1 where Bob inverts his bit."""
    told: Bytes = ((basis == 0) | (announced == mdi_theory.PSI_MINUS)).astype(np.uint8)
    return told


def heralds(link: MdiLink, seed: int, block: int) -> tuple[Rounds, Rounds]:
    """Return the same as :func:`pulses`, drawn from the closed forms; the ids count heralded rounds only."""
    rng = stream(seed, "mdi", link.name, "block", block, "heralds")
    cells = mdi_theory.expect(link).cells
    count = int(rng.binomial(link.pulses, min(1.0, float(cells.sum()))))
    basis_a, basis_b, a, b, bit_a, bit_b, told = outcomes.drawn_cells(cells, count, rng)
    ids = np.arange(count)
    if link.light == "single-photon":
        return Rounds(ids, basis_a, bit_a, None, told), Rounds(ids, basis_b, bit_b, None, told)
    return Rounds(ids, basis_a, bit_a, a, told), Rounds(ids, basis_b, bit_b, b, told)


def _amplitudes(link: MdiLink, sender: Sender, reach: float) -> Reals:
    """Return the arriving field (H, V) of every intensity and state, shape (4 k, 2): square root of photons."""
    states = [mdi_theory.jones(divmod(state, 2), sender) for state in range(4)]
    return np.array([math.sqrt(mean * reach) * state for mean in link.intensities for state in states])


def _single_table(link: MdiLink) -> Reals:
    """Return the cumulative chances (psi-, psi+) of every pair of states, shape (4, 4, 2)."""
    table = np.zeros((4, 4, 2))
    for a, b in np.ndindex(4, 4):
        clicks = mdi_theory.patterns(link, divmod(a, 2), divmod(b, 2), None, None)
        for told, which in mdi_theory.PATTERNS.items():
            table[a, b, told] = sum(clicks[pattern] for pattern in which)
    return np.cumsum(table, axis=2)


def _joined(parts: list[Rounds]) -> Rounds:
    def column(name: str) -> Bytes:
        return np.concatenate([getattr(part, name) for part in parts])

    intensity = None if parts[0].intensity is None else column("intensity")
    ids = np.concatenate([part.id for part in parts])
    return Rounds(ids, column("basis"), column("bit"), intensity, column("announcement"))


@numba.njit(cache=True)
def _measured(sent_a, sent_b, amplitude_a, amplitude_b, seen, overlap, bright, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return (ids, results) of the heralded pulses; ``bright`` is the chance of no dark count."""
    ids, result = np.empty(sent_a.size, np.int64), np.empty(sent_a.size, np.uint8)
    size = 0
    for index in range(sent_a.size):
        a, b = amplitude_a[sent_a[index]], amplitude_b[sent_b[index]]
        cosine = overlap * math.cos(2.0 * math.pi * rng.random())
        mean_h, cross_h = 0.5 * (a[0] * a[0] + b[0] * b[0]), a[0] * b[0] * cosine
        mean_v, cross_v = 0.5 * (a[1] * a[1] + b[1] * b[1]), a[1] * b[1] * cosine
        clicked = 0
        if rng.random() >= bright * math.exp(-seen[0] * (mean_h + cross_h)):
            clicked |= 1
        if rng.random() >= bright * math.exp(-seen[1] * (mean_v + cross_v)):
            clicked |= 2
        if rng.random() >= bright * math.exp(-seen[2] * (mean_h - cross_h)):
            clicked |= 4
        if rng.random() >= bright * math.exp(-seen[3] * (mean_v - cross_v)):
            clicked |= 8
        if clicked == 9 or clicked == 6 or clicked == 3 or clicked == 12:  # noqa: PLR1714 (a set is slow here)
            ids[size] = index
            result[size] = 0 if clicked == 9 or clicked == 6 else 1  # noqa: PLR1714
            size += 1
    return ids[:size].copy(), result[:size].copy()


@numba.njit(cache=True)
def _measured_single(sent_a, sent_b, cumulative, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    ids, result = np.empty(sent_a.size, np.int64), np.empty(sent_a.size, np.uint8)
    size = 0
    for index in range(sent_a.size):
        number = rng.random()
        chance = cumulative[sent_a[index], sent_b[index]]
        if number < chance[1]:
            ids[size] = index
            result[size] = number >= chance[0]
            size += 1
    return ids[:size].copy(), result[:size].copy()
