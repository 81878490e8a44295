"""What Alice and Bob tell each other before there are rounds: times, which coincide, and calibration slices.

A basis or a bit never crosses here, but for the detections of the calibration slices, which are given up for it.
"""

from bellweave.dialogue import Message


class Times(Message, frozen=True):
    """A node's public times, packed by :func:`bellweave.photonics.time_codec.pack`.

    Attributes:
        count: How many.
        resolution_ps: Unit of the packed times.
        first: The first time in units.
        low_bits: Width of the low parts.
        high: Elias-Fano code of the high parts, packed bits.
        low: The low parts, packed bits.
    """

    count: int
    resolution_ps: int
    first: int
    low_bits: int
    high: bytes
    low: bytes


class Coincident(Message, frozen=True):
    """Which of the announced times coincide with one of the other node.

    Attributes:
        count: How many of them.
        mask: One bit for each announced time, packed.
    """

    count: int
    mask: bytes


KINDS: tuple[type[Message], ...] = (Times, Coincident)
"""All messages of the photon stage, for a :class:`bellweave.dialogue.Codec`."""
