"""The messages of one distillation, in the order in which they cross.

=====================  ==========  =====================================================================================
:class:`Proposal`      both ways   protocol version and digest of everything that both ends must have agreed on before
:class:`Bases`         both ways   the sender's basis of every round
:class:`Sample`        A to B      seed that draws the sample, Alice's bits of it
:class:`SampleReply`   B to A      Bob's bits of it
:class:`Parities`      A to B      one parity a block, search, subset or group of rows, of all frames, packed
:class:`Differences`   B to A      whether each of them differs from Bob's own, packed
:class:`Tag`           A to B      seed and universal hash of the corrected bits, one hash a frame
:class:`Verified`      B to A      Bob's hash is the same
:class:`HashSeed`      A to B      seed of privacy amplification
:class:`Confirmation`  both ways   what the sender saw of the conversation
:class:`AliceTag`      A to B      which keys, and the tag of all that Alice sent
:class:`BobTag`        B to A      the tag of all that Bob sent
=====================  ==========  =====================================================================================

Both ends can tell how many bits each field holds, so no message says so; a field of another length is refused.
"""

from bellweave.blocks import Bytes, Role, unpack_bits
from bellweave.dialogue import Dialogue, Message, refuse

VERSION = 2
"""Version of the protocol: of messages, their order, and how public seeds are expanded."""

SEED_BYTES = 32
"""Length of the seeds that a public order is expanded from (:mod:`bellweave.distill.shuffle`)."""


class Proposal(Message, frozen=True):
    """Open the conversation; ``role`` is the sender's, so that a reflected message is noticed."""

    version: int
    role: Role
    digest: bytes


class Bases(Message, frozen=True):
    """One bit a round, 0 = Z, 1 = X, packed."""

    bases: bytes


class Sample(Message, frozen=True):
    """The seed that draws the sample, and Alice's bits there, packed, in the order of the rounds."""

    seed: bytes
    bits: bytes


class SampleReply(Message, frozen=True):
    """Bob's bits of the sample."""

    bits: bytes


class Parities(Message, frozen=True):
    """Alice's parities of the blocks, or left halves, that both ends know to be next, packed."""

    bits: bytes


class Differences(Message, frozen=True):
    """For each of those parities, whether Bob's is another, packed."""

    bits: bytes


class Tag(Message, frozen=True):
    """Seed of the verification hash, and Alice's hash, both packed."""

    seed: bytes
    tag: bytes


class Verified(Message, frozen=True):
    """Bob's hash is the same."""


class HashSeed(Message, frozen=True):
    """Seed of the privacy amplification hash, packed."""

    seed: bytes


class Confirmation(Message, frozen=True):
    """SHA-256 of all that the sender sent, and of all that it received, before this message."""

    sent: bytes
    received: bytes


class AliceTag(Message, frozen=True):
    """Alice's place in the pool of keys, and her tag; both are bound into the tag. Instead of ``Confirmation``."""

    slot: int
    released: int
    tag: bytes


class BobTag(Message, frozen=True):
    """Bob's tag, sent once Alice's has turned out right."""

    tag: bytes


KINDS: tuple[type[Message], ...] = (
    Proposal,
    Bases,
    Sample,
    SampleReply,
    Parities,
    Differences,
    Tag,
    Verified,
    HashSeed,
    Confirmation,
    AliceTag,
    BobTag,
)
"""Every message class of a distillation; a driver's ``Codec`` takes them beside those of other protocols."""


def unpacked(data: bytes, count: int) -> Dialogue[Bytes]:
    """Return the ``count`` bits of a message's field, shape (count,), or refuse a field of another length."""
    try:
        return unpack_bits(data, count)
    except ValueError as error:
        return (yield from refuse(str(error)))
