"""Which detector channel means which basis and bit: given as ``0=H,1=V,2=D,3=A``, or found from coincidences."""

from itertools import permutations

import numpy as np

from bellweave.blocks import Ints
from bellweave.errors import ScenarioError
from bellweave.photonics.analyser import ChannelMap

LETTERS: dict[str, tuple[int, int]] = {"H": (0, 0), "V": (0, 1), "D": (1, 0), "A": (1, 1)}
"""Polarisations and their basis (0 = Z, 1 = X) and bit."""

CHANNELS = 4
"""Detectors of a passive analyser: two bases, two outcomes."""

AGREEMENT = 0.5
"""Given roles are doubted when outcomes of equal bases agree less than this; a key needs 1 - 2 QBER > 0.78."""


def describe(roles: ChannelMap) -> str:
    """Return the text that :func:`parse` reads.

    >>> describe(ChannelMap((0, 0, 1, 1), (0, 1, 1, 0)))
    '0=H,1=V,2=A,3=D'
    """
    names = {place: letter for letter, place in LETTERS.items()}
    return ",".join(f"{i}={names[place]}" for i, place in enumerate(zip(roles.basis, roles.bit, strict=True)))


def parse(text: str, first_channel: int = 0) -> ChannelMap:
    """Return the roles that a text such as ``4=H,5=V,6=D,7=A`` gives.

    Args:
        text: One channel and letter for each of the four.
        first_channel: The channel that counts as 0: files often number Bob's from 4.

    Raises:
        ScenarioError: Says what is wrong with it.

    >>> parse("4=H,5=V,6=A,7=D", 4)
    ChannelMap(basis=(0, 0, 1, 1), bit=(0, 1, 1, 0))
    """
    found: dict[int, tuple[int, int]] = {}
    for part in text.split(","):
        number, _, letter = (piece.strip() for piece in part.partition("="))
        if not number.isdecimal() or letter.upper() not in LETTERS:
            raise ScenarioError(f"{part.strip()!r} is no channel: write 0=H,1=V,2=D,3=A", path="channels")
        channel = int(number) - first_channel
        if channel in found:
            raise ScenarioError(f"channel {number} is there twice in {text!r}", path="channels")
        found[channel] = LETTERS[letter.upper()]
    if sorted(found) != list(range(CHANNELS)):
        numbers = sorted(channel + first_channel for channel in found)
        wanted = list(range(first_channel, first_channel + CHANNELS))
        raise ScenarioError(f"{text!r} names the channels {numbers}; the file's are {wanted}", path="channels")
    if len(set(found.values())) != CHANNELS:
        raise ScenarioError(f"{text!r} gives two channels the same meaning", path="channels")
    basis, bit = zip(*(found[channel] for channel in range(CHANNELS)), strict=True)
    return ChannelMap(basis=basis, bit=bit)


def infer(
    matrix: Ints, alice: ChannelMap | None = None, bob: ChannelMap | None = None
) -> tuple[ChannelMap, ChannelMap, float]:
    """Find the roles that make the outcomes of equal bases agree best.

    Bases and bits have no names in the data. By convention Alice's channel 0 is H, the lower channel of her other basis
    D; Bob's follow from the correlation, so that equal bits are the likely ones whatever state the source emits.

    Args:
        matrix: Shape (4, 4), coincidences of Alice's channel (row) with Bob's (column) in the calibration slices.
        alice: Her roles, where they are known already.
        bob: His.

    Returns:
        Alice's roles, Bob's roles, and their agreement (see :func:`agreement`).

    Raises:
        ScenarioError: If the matrix is not 4 x 4, or no assignment gives enough agreement for a key.
    """
    if matrix.shape != (CHANNELS, CHANNELS):
        raise ScenarioError(
            f"roles can be found for 4 x 4 channels, not {matrix.shape[0]} x {matrix.shape[1]}: give them",
            path="channels",
        )
    every = [
        ChannelMap(basis=tuple(p // 2 for p in order), bit=tuple(p % 2 for p in order))
        for order in permutations(range(CHANNELS))
    ]
    conventional = [ChannelMap(basis=basis, bit=bit) for basis, bit in _PAIRINGS]
    hers = [alice] if alice is not None else every if bob is not None else conventional
    his = [bob] if bob is not None else every
    scores = [(agreement(matrix, a, b), a, b) for a in hers for b in his]
    best, own, theirs = max(scores, key=lambda score: score[0])
    if best < AGREEMENT:
        raise ScenarioError(
            f"no assignment of channels gives correlated outcomes: agreement {best:.2f}, the limit is {AGREEMENT}",
            path="channels",
        )
    return own, theirs, best


_PAIRINGS = (((0, 0, 1, 1), (0, 1, 0, 1)), ((0, 1, 0, 1), (0, 0, 1, 1)), ((0, 1, 1, 0), (0, 0, 1, 1)))


def agreement(matrix: Ints, alice: ChannelMap, bob: ChannelMap) -> float:
    """Return (equal - unequal bits) / coincidences where bases are equal: 1 - 2 QBER, both bases together."""
    same_basis = np.equal.outer(alice.basis, bob.basis)
    same_bit = np.equal.outer(alice.bit, bob.bit)
    total = int(matrix[same_basis].sum())
    equal = int(matrix[same_basis & same_bit].sum())
    return (2 * equal - total) / total if total else 0.0
