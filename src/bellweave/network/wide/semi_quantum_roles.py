"""Both roles of the talk after the qubits of semi-quantum key distribution. Neither knows anything of the other's.

Alice speaks first, and only when all qubits are back: whoever learns earlier which ones were sifted can cheat.

1. Alice: all are back (:class:`Returned`, how many).
2. Bob: which he sifted, and of which he saw a bit (:class:`Sifting`).
3. Alice: which she sent in Z (:class:`Bases`), and which of the shared bits are compared (:class:`Compared`).
4. Bob: their bits (:class:`Opened`).
5. Alice: the errors (:class:`Judged`), or an abort when one rate is above its limit.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from bellweave.blocks import Bytes, pack_bits, unpack_bits
from bellweave.dialogue import Codec, Dialogue, Message, receive, refuse, reject
from bellweave.network.wide.params import SemiQuantum
from bellweave.network.wide.semi_quantum import Flags, Sent, Treated


class Returned(Message, frozen=True):
    """All ``count`` qubits have had their time to come back."""

    count: int


class Sifting(Message, frozen=True):
    """Masks of all qubits, packed: sifted, and with a bit seen."""

    sifted: bytes
    seen: bytes


class Bases(Message, frozen=True):
    """Mask of the qubits sent in Z, packed; and of the shared bits, those that are compared."""

    z: bytes
    compared: bytes


class Opened(Message, frozen=True):
    """Bob's bits that are compared, packed."""

    bits: bytes


class Judged(Message, frozen=True):
    """What the comparisons showed: bits compared and their errors, reflected rounds in X and in Z and their errors."""

    tested: int
    test_errors: int
    ctrl_x: int
    ctrl_x_errors: int
    ctrl_z: int
    ctrl_z_errors: int


CODEC = Codec(Returned, Sifting, Bases, Opened, Judged)


@dataclass(frozen=True, eq=False)
class Shared:
    """What a role ends with.

    Attributes:
        bits: Shape (n,), uint8, its own copy of the bits that were not compared; they differ where the line erred.
        judged: What both know of the errors.
    """

    bits: Bytes = field(repr=False)
    judged: Judged


def alice(sent: Sent, own: SemiQuantum, rng: Generator) -> Dialogue[Shared]:
    """Judge, and keep the bits that were not compared.

    Raises:
        BlockRejected: An error rate is above its limit.
        ProtocolError, PeerAborted: The peer broke the protocol, or gave up.
    """
    count = sent.bit.size
    yield Returned(count=count)
    told = yield from receive(Sifting)
    sifted = yield from _mask(told.sifted, count)
    seen = yield from _mask(told.seen, count)
    if np.any(seen & ~sifted):
        yield from refuse("Sifting: bits were seen where nothing was sifted")
    z = sent.basis == 0
    shared = sent.bit[z & seen]
    compared = rng.random(shared.size) < own.test_share
    yield Bases(z=pack_bits(z.astype(np.uint8)), compared=pack_bits(compared.astype(np.uint8)))
    answer = yield from receive(Opened)
    theirs = yield from _bits(answer.bits, int(compared.sum()))
    judged = _judged(sent, ~sifted, int(compared.sum()), int((theirs != shared[compared]).sum()))
    rates = (("TEST", judged.test_errors, judged.tested), ("CTRL in X", judged.ctrl_x_errors, judged.ctrl_x))
    for name, errors, number in (*rates, ("CTRL in Z", judged.ctrl_z_errors, judged.ctrl_z)):
        if number and errors / number > own.error_limit:
            yield from reject("qber above limit", f"{name}: {errors} of {number}, the limit is {own.error_limit}")
    yield judged
    return Shared(shared[~compared], judged)


def bob(treated: Treated) -> Dialogue[Shared]:
    """Tell what was sifted, open what is compared, and keep the rest.

    Raises:
        ProtocolError, PeerAborted: The peer broke the protocol, or gave up.
    """
    count = treated.bit.size
    told = yield from receive(Returned)
    if told.count != count:
        yield from refuse(f"Returned: {told.count} qubits, here are {count}")
    yield Sifting(sifted=pack_bits(treated.sifted), seen=pack_bits(treated.seen))
    bases = yield from receive(Bases)
    z = yield from _mask(bases.z, count)
    shared = treated.bit[z & (treated.seen == 1)]
    compared = yield from _mask(bases.compared, shared.size)
    yield Opened(bits=pack_bits(shared[compared]))
    judged = yield from receive(Judged)
    return Shared(shared[~compared], judged)


def _judged(sent: Sent, reflected: Flags, tested: int, errors: int) -> Judged:
    came = reflected & (sent.returned == 1)
    wrong = sent.result != sent.bit
    x, z = came & (sent.basis == 1), came & (sent.basis == 0)
    return Judged(
        tested=tested,
        test_errors=errors,
        ctrl_x=int(x.sum()),
        ctrl_x_errors=int((x & wrong).sum()),
        ctrl_z=int(z.sum()),
        ctrl_z_errors=int((z & wrong).sum()),
    )


def _mask(data: bytes, count: int) -> Dialogue[Flags]:
    bits = yield from _bits(data, count)
    return np.asarray(bits == 1, np.bool_)


def _bits(data: bytes, count: int) -> Dialogue[Bytes]:
    try:
        return unpack_bits(data, count)
    except ValueError as error:
        return (yield from refuse(f"a list of {count} bits: {error}"))
