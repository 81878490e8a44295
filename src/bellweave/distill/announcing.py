"""What both ends of a tested protocol tell each other before a session: choices of every round, bits of test rounds.

Alice speaks first. Choices are announced only after the last photon was detected, bits only of rounds that never become
key. These messages cross before those of :mod:`bellweave.distill.messages`; a driver's ``Codec`` takes both.
"""

import numpy as np

from bellweave.blocks import Bytes, Role, pack_bits
from bellweave.dialogue import Dialogue, Message, receive, refuse
from bellweave.distill.messages import unpacked


class Choices(Message, frozen=True):
    """The sender's choice in every round, one packed plane for each binary digit, the lowest first."""

    planes: tuple[bytes, ...]


class Opened(Message, frozen=True):
    """The sender's bits of the rounds that test, packed, in the order of the rounds."""

    bits: bytes


KINDS: tuple[type[Message], ...] = (Choices, Opened)


def choices(role: Role, own: Bytes, options: tuple[int, int]) -> Dialogue[Bytes]:
    """Tell one's choices and return the peer's, shape (n,), uint8.

    Args:
        role: One's own.
        own: Shape (n,), uint8.
        options: How many there are to choose from: Alice's, Bob's.
    """
    mine, theirs = options if role == "alice" else options[::-1]
    if role == "alice":
        yield _choices(own, mine)
    answer = yield from receive(Choices)
    if len(answer.planes) != _digits(theirs):
        yield from refuse(f"Choices: {theirs} options take {_digits(theirs)} planes, not {len(answer.planes)}")
    chosen = np.zeros(own.size, np.uint8)
    for digit, plane in enumerate(answer.planes):
        chosen |= (yield from unpacked(plane, own.size)) << np.uint8(digit)
    if chosen.size and int(chosen.max()) >= theirs:
        yield from refuse(f"Choices: there are {theirs} options, number {int(chosen.max())} is none")
    if role == "bob":
        yield _choices(own, mine)
    return chosen


def opened(role: Role, own: Bytes) -> Dialogue[Bytes]:
    """Tell one's bits of the test rounds and return the peer's, both shape (n,)."""
    if role == "alice":
        yield Opened(bits=pack_bits(own))
    theirs = yield from unpacked((yield from receive(Opened)).bits, own.size)
    if role == "bob":
        yield Opened(bits=pack_bits(own))
    return theirs


def _digits(options: int) -> int:
    return (options - 1).bit_length()


def _choices(own: Bytes, options: int) -> Choices:
    return Choices(planes=tuple(pack_bits((own >> np.uint8(digit)) & np.uint8(1)) for digit in range(_digits(options))))
