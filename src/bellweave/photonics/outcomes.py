"""Outcomes: which modes the two photons of each pair are seen in.

A pair ends in one of (M_A + 1) x (M_B + 1) categories, mode or lost on either side; one draw from the cumulative
distribution decides. The distribution depends on the modulators' settings, on the slice of the block if phases drift,
and, in a thermal pulse with several pairs, on the direction that all pairs of the pulse share.
"""

from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numba
import numpy as np
from numpy.random import Generator

from bellweave.bell import Reals
from bellweave.blocks import Bytes, Ints
from bellweave.photonics import states
from bellweave.photonics.checks import check_link
from bellweave.photonics.modes import Modes, modes
from bellweave.photonics.params import Arm, OpticalLink
from bellweave.photonics.source import Pairs
from bellweave.units import s_to_ps


def bunched(table: Reals, direction: Reals) -> Reals:
    """Return the joint tables of the pairs in thermal pulses, given each pulse's direction on the Bloch sphere.

    The n-pair state of a two-mode squeezer is maximally mixed on the symmetric subspace of one side, which is n equal
    photons of one random direction: measured in one basis, the number of ones is uniform on 0..n. The other side's bits
    follow conditionally. Averaged over the directions this is ``table`` again.

    Args:
        table: Shape (2, 2, 2, 2) or (k, 2, 2, 2, 2), with even marginals.
        direction: Shape (k, 2): the direction's Z and X components, in [-1, 1].

    Returns:
        Shape (k, 2, 2, 2, 2). In unequal bases the two sides' bits are independent, given the direction.
    """
    table = np.broadcast_to(table, (direction.shape[0], 2, 2, 2, 2))
    signs = np.array([1.0, -1.0])
    alice = 0.5 * (1.0 + direction[:, :, np.newaxis] * signs)  # [k, basis, bit]
    same = np.stack([table[:, 0, 0], table[:, 1, 1]], axis=1)  # [k, basis, bit_a, bit_b]
    joint = alice[..., np.newaxis] * same * 2.0
    bob = joint.sum(axis=2)
    result: Reals = np.einsum("kxa,kyb->kxyab", alice, bob)
    result[:, 0, 0], result[:, 1, 1] = joint[:, 0], joint[:, 1]
    return result


def categories(table: Reals, alice: Modes, bob: Modes, alice_reach: float, bob_reach: float) -> Reals:
    """Return the probability of every category of an emitted pair, for every table and every pair of settings.

    Args:
        table: Shape (k, 2, 2, 2, 2).
        alice: Alice's modes, S_A settings.
        bob: Bob's modes, S_B settings.
        alice_reach: Probability that Alice's photon reaches the analyser.
        bob_reach: Bob's.

    Returns:
        Shape (k, S_A, S_B, M_A + 1, M_B + 1); the last index on either side means lost.
    """
    a_basis, b_basis, a_bit, b_bit = alice.basis[:, None], bob.basis[None, :], alice.bit[:, None], bob.bit[None, :]
    weight_a, weight_b = alice.weight * alice_reach, bob.weight * bob_reach
    joint = table[:, a_basis, b_basis, a_bit, b_bit]
    own_a = table.sum(axis=4)[:, alice.basis, 0, alice.bit]
    own_b = table.sum(axis=3)[:, 0, bob.basis, bob.bit]
    result = np.zeros((table.shape[0], weight_a.shape[0], weight_b.shape[0], alice.basis.size + 1, bob.basis.size + 1))
    result[..., :-1, :-1] = np.einsum("kij,si,tj->kstij", joint, weight_a, weight_b)
    result[..., :-1, -1] = np.einsum("ki,si->ksi", own_a, weight_a)[:, :, None] - result[..., :-1, :-1].sum(axis=-1)
    result[..., -1, :-1] = np.einsum("kj,tj->ktj", own_b, weight_b)[:, None] - result[..., :-1, :-1].sum(axis=-2)
    result[..., -1, -1] = 1.0 - result.sum(axis=(-1, -2))
    return result


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws the outcomes of a block's pairs.

    Attributes:
        keep: The thinning probability; :meth:`draw` expects pairs that were kept with it.
    """

    keep: float
    _link: OpticalLink
    _modes: tuple[Modes, Modes]
    _tables: Reals
    _chances: "Chances"

    def draw(
        self, pairs: Pairs, alice_setting: Bytes | None, bob_setting: Bytes | None, rng: Generator
    ) -> tuple[Ints, Ints]:
        """Return the modes of Alice's and of Bob's photons, each shape (n,), int64, -1 for a lost photon."""
        piece = np.zeros(0, np.int64)
        if self._tables.shape[0] > 1:
            piece = pairs.time_ps * self._tables.shape[0] // s_to_ps(self._link.block_s)
        row = piece
        for setting, modes_ in ((alice_setting, self._modes[0]), (bob_setting, self._modes[1])):
            if setting is not None:
                row = (row * modes_.weight.shape[0] if row.size else 0) + setting.astype(np.int64)
        uniform = rng.random(pairs.time_ps.size)
        category = self._chances.pick(row, uniform)
        if pairs.pulse is not None:
            self._bunch(category, pairs.pulse, piece, (alice_setting, bob_setting), uniform, rng)
        alice: Ints
        alice, bob = _split(category, self._modes[0].basis.size, self._modes[1].basis.size)
        return alice, bob

    def _bunch(
        self,
        category: Ints,
        pulse: Ints,
        piece: Ints,
        settings: tuple[Bytes | None, Bytes | None],
        uniform: Reals,
        rng: Generator,
    ) -> None:
        """Draw again where a pulse has several pairs; a single one has no direction to share."""
        number = np.bincount(pulse)
        several = np.flatnonzero(number[pulse] > 1)
        height, angle = rng.uniform(-1.0, 1.0, number.size), rng.uniform(0.0, 2.0 * np.pi, number.size)
        direction = np.stack([height, np.sqrt(1.0 - height**2) * np.cos(angle)], axis=1)[pulse[several]]
        for start in range(0, several.size, _CHUNK):
            part = several[start : start + _CHUNK]
            table = self._tables[piece[part]] if piece.size else self._tables[:1]
            shares = _cumulated(bunched(table, direction[start : start + _CHUNK]), *self._modes, self._link, self.keep)
            own_a, own_b = (0 if setting is None else setting[part] for setting in settings)
            own = shares[np.arange(part.size), own_a, own_b]
            category[part] = np.minimum((own <= uniform[part, np.newaxis]).sum(axis=1), own.shape[1] - 1)


_CHUNK = 4096
"""Pairs of crowded pulses whose distributions are held at a time: memory stays flat."""


@dataclass(frozen=True, eq=False)
class Chances:
    """Discrete distributions, drawn from by inversion with a guide table.

    Attributes:
        cumulative: Shape (rows, categories), the last entry of a row is 1.
        guide: Shape (rows, guide steps): where to start looking.
    """

    cumulative: Reals
    guide: Ints

    def pick(self, row: Ints, uniform: Reals) -> Ints:
        """Return a category for each number in [0, 1); ``row`` has the same shape, or is empty if there is one row."""
        picked: Ints = _pick(self.cumulative, self.guide, row, uniform)
        return picked


_GUIDE_STEPS = 64


def chances(cumulative: Reals) -> Chances:
    """Return the distributions with their guide."""
    steps = np.arange(_GUIDE_STEPS) / _GUIDE_STEPS
    guide = np.stack([np.searchsorted(row, steps, side="right") for row in cumulative])
    return Chances(cumulative, guide.astype(np.int64))


def drawn_cells(cells: Reals, count: int, rng: Generator) -> list[Bytes]:
    """Draw cells of a table by their weight; return one column of indices, shape (count,), for each axis."""
    cumulative = np.cumsum(cells.ravel())
    cumulative /= max(cumulative[-1], np.finfo(float).tiny)
    cumulative[-1] = 1.0
    cell = chances(cumulative[np.newaxis]).pick(np.zeros(0, np.int64), rng.random(count))
    places = np.unravel_index(np.arange(cells.size), cells.shape)
    return [place.astype(np.uint8)[cell] for place in places]


def sampler(link: OpticalLink, start_s: float) -> Sampler:
    """Return the sampler of a block that starts at ``start_s``; equal arguments give the same one.

    Raises:
        ScenarioError: If the link is impossible.
    """
    return _sampler(msgspec.msgpack.encode(link), start_s)


@lru_cache(maxsize=64)
def _sampler(encoded: bytes, start_s: float) -> Sampler:
    link = msgspec.msgpack.decode(encoded, type=OpticalLink)
    check_link(link)
    alice, bob = modes(link.alice), modes(link.bob)
    alice_seen, bob_seen = reach(link, link.alice) * alice.ceiling, reach(link, link.bob) * bob.ceiling
    keep = alice_seen + bob_seen - alice_seen * bob_seen
    tables = states.tables(link, start_s)
    cumulative = _cumulated(tables, alice, bob, link, keep)
    return Sampler(keep, link, (alice, bob), tables, chances(cumulative.reshape(-1, cumulative.shape[-1])))


def reach(link: OpticalLink, arm: Arm) -> float:
    """Return the probability that a photon comes out at its own arm and reaches the analyser there."""
    return (1.0 - link.crosstalk) * arm.transmission


def _cumulated(tables: Reals, alice: Modes, bob: Modes, link: OpticalLink, keep: float) -> Reals:
    """Return the cumulative distribution over the categories of a *kept* pair, shape (k, S_A, S_B, categories)."""
    shares = categories(tables, alice, bob, reach(link, link.alice), reach(link, link.bob))
    flat = shares.reshape(*shares.shape[:3], -1) / max(keep, np.finfo(float).tiny)
    cumulative = np.cumsum(flat, axis=-1)
    cumulative[..., -1] = 1.0  # what is left is lost on both sides
    return cumulative


def arm_modes(arm: Arm) -> Modes:
    """Return the arm's modes; equal arms give the same object."""
    return _arm_modes(msgspec.msgpack.encode(arm))


@lru_cache(maxsize=64)
def _arm_modes(encoded: bytes) -> Modes:
    return modes(msgspec.msgpack.decode(encoded, type=Arm))


def uncorrelated(arm: Arm, setting: Bytes | None, count: int, rng: Generator) -> Ints:
    """Return the modes in which unpolarised photons at the analyser are seen, shape (count,), -1 for lost ones."""
    table = arm_modes(arm)
    cumulative = np.concatenate([np.cumsum(0.5 * table.weight, axis=1), np.ones((table.weight.shape[0], 1))], axis=1)
    row = np.zeros(0, np.int64) if setting is None else setting.astype(np.int64)
    drawn = chances(cumulative).pick(row, rng.random(count))
    drawn[drawn == table.basis.size] = -1
    return drawn


@numba.njit(cache=True)
def _pick(cumulative, guide, row, uniform):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return for each draw the first category whose cumulative probability exceeds it."""
    picked = np.empty(uniform.size, np.int64)
    steps = guide.shape[1]
    for index in range(uniform.size):
        number = uniform[index]
        own = row[index] if row.size else 0
        category = guide[own, int(number * steps)]
        while cumulative[own, category] <= number:
            category += 1
        picked[index] = category
    return picked


@numba.njit(cache=True)
def _split(category, lost_a, lost_b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return (Alice's modes, Bob's modes) of categories, -1 for lost."""
    alice, bob = np.empty(category.size, np.int64), np.empty(category.size, np.int64)
    mode_a, mode_b = np.arange(lost_a + 1), np.arange(lost_b + 1)
    mode_a[lost_a], mode_b[lost_b] = -1, -1
    table_a, table_b = np.repeat(mode_a, lost_b + 1), np.empty((lost_a + 1) * (lost_b + 1), np.int64)
    for start in range(lost_a + 1):
        table_b[start * (lost_b + 1) : (start + 1) * (lost_b + 1)] = mode_b
    for index in range(category.size):
        alice[index], bob[index] = table_a[category[index]], table_b[category[index]]
    return alice, bob
