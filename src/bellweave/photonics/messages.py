"""What Alice and Bob tell each other before there are rounds: times, which coincide, and calibration slices.

A basis or a bit never crosses here, but for the detections of the calibration slices, which are given up for it.
"""

from typing import Annotated

import msgspec

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
        more: Whether another such message continues the announcement.
    """

    count: int
    resolution_ps: int
    first: int
    low_bits: int
    high: bytes
    low: bytes
    more: bool = False


class Coincident(Message, frozen=True):
    """Which of the announced times coincide with one of the other node.

    Attributes:
        count: How many of them.
        mask: One bit for each announced time, packed.
    """

    count: int
    mask: bytes


Binary = Annotated[int, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Slices(Message, frozen=True):
    """Bob's detections that are given up for calibration.

    Attributes:
        times: Of each slice.
        channels: Of each slice, one byte a detection.
        channel_count: How many channels Bob has.
        record_ps: First and last time of his whole record, by his clock.
        basis, bit: What his channels measure, where he knows it.
    """

    times: tuple[Times, ...]
    channels: tuple[bytes, ...]
    channel_count: int
    record_ps: tuple[int, int]
    basis: tuple[Binary, ...] | None = None
    bit: tuple[Binary, ...] | None = None


class Aligned(Message, frozen=True):
    """What Alice found of Bob's timing: his public time is ``(t - offset_ps - channel_delay_ps) / (1 + drift)``.

    Attributes:
        offset_ps, drift: Of his clock.
        channel_delay_ps: Of each of his channels.
        window_ps: The coincidence window from now on.
        sifted, errors: Coincidences of equal bases in the slices with that window, and those with unequal bits, (Z, X).
        basis, bit: What his channels measure, where it was looked for or known.
    """

    offset_ps: int
    drift: float
    channel_delay_ps: tuple[int, ...]
    window_ps: int
    sifted: tuple[Count, Count] = (0, 0)
    errors: tuple[Count, Count] = (0, 0)
    basis: tuple[Binary, ...] | None = None
    bit: tuple[Binary, ...] | None = None


KINDS: tuple[type[Message], ...] = (Times, Coincident, Slices, Aligned)
"""All messages of the photon stage, for a :class:`bellweave.dialogue.Codec`."""
