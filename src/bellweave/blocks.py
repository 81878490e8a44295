"""The four records that pass between the stages, and nothing else does.

========================  ==================================================================================
:class:`Detections`       what one node's detectors and time tagger saw
:class:`Rounds`           what one party knows of each matched (or heralded) round
:class:`SecretBlock`      distilled key with its security statement
:class:`Key`              what an application gets
========================  ==================================================================================

Whatever produces one of them can replace everything before it: a recorded experiment, a backbone's entangled pairs, a
vendor's device. Bits of :class:`Detections` and :class:`Rounds` are NumPy arrays of 0 and 1; key material is packed
bytes, first bit = most significant bit of the first byte. Key material is left out of every ``repr``.
"""

import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class Basis(IntEnum):
    """The two mutually unbiased bases of BBM92. Time-bin: Z = arrival time (outer slots), X = phase (middle slot)."""

    Z = 0
    X = 1


@dataclass(frozen=True, eq=False)
class Detections:
    """What one node's detectors and time tagger saw in one block; no other node's data, no truth about photons.

    Attributes:
        time_ps: Shape (n,), int64, non-decreasing, picoseconds by the node's own clock.
        channel: Shape (n,), uint8, which detector clicked, 0 to ``channels`` - 1.
        duration_ps: Length of the block by the node's own clock, > 0.
        channels: Number of detector channels, 1 to 16.
        setting: Shape (n,), uint8, the basis that the node's modulator had at the event; None with a passive analyser.

    Raises:
        ValueError: If shapes, types or orders are not as said.
    """

    time_ps: Ints
    channel: Bytes
    duration_ps: int
    channels: int = 4
    setting: Bytes | None = None

    def __post_init__(self) -> None:
        columns: dict[str, NDArray[Any]] = {"time_ps": self.time_ps, "channel": self.channel}
        if self.setting is not None:
            columns["setting"] = self.setting
        _require_columns(columns, {"time_ps": np.int64, "channel": np.uint8, "setting": np.uint8})
        if self.duration_ps <= 0:
            raise ValueError(f"duration_ps must be > 0, not {self.duration_ps}")
        if not 1 <= self.channels <= 16:
            raise ValueError(f"channels must be 1 to 16, not {self.channels}")
        if self.time_ps.size and bool(np.any(self.time_ps[1:] < self.time_ps[:-1])):
            raise ValueError("time_ps must not decrease")
        if self.channel.size and int(self.channel.max()) >= self.channels:
            raise ValueError(f"channel {int(self.channel.max())} is out of range, there are {self.channels}")

    def __len__(self) -> int:
        return int(self.time_ps.size)


@dataclass(frozen=True, eq=False)
class Rounds:
    """What one party knows of each matched round. Both parties' records have the same ids, in the same order.

    Attributes:
        id: Shape (n,), int64, strictly increasing, the same at both ends.
        basis: Shape (n,), uint8, this party's own basis (:class:`Basis`).
        bit: Shape (n,), uint8, this party's own outcome, 0 or 1.
        intensity: Shape (n,), uint8, index of the intensity this party sent (decoy-state protocols), else None.
        announcement: Shape (n,), uint8, what a third party announced (MDI-QKD, swapping), else None.

    Raises:
        ValueError: If shapes, types or orders are not as said.
    """

    id: Ints
    basis: Bytes
    bit: Bytes = field(repr=False)
    intensity: Bytes | None = None
    announcement: Bytes | None = None

    def __post_init__(self) -> None:
        columns: dict[str, NDArray[Any]] = {"id": self.id, "basis": self.basis, "bit": self.bit}
        columns |= {
            name: value
            for name, value in (("intensity", self.intensity), ("announcement", self.announcement))
            if value is not None
        }
        _require_columns(
            columns, {"id": np.int64} | dict.fromkeys(("basis", "bit", "intensity", "announcement"), np.uint8)
        )
        if self.id.size and bool(np.any(self.id[1:] <= self.id[:-1])):
            raise ValueError("round ids must strictly increase")
        for name in ("basis", "bit"):
            if self.id.size and int(columns[name].max()) > 1:
                raise ValueError(f"{name} must be 0 or 1, not {int(columns[name].max())}")

    def __len__(self) -> int:
        return int(self.id.size)


def _require_columns(columns: dict[str, NDArray[Any]], kinds: dict[str, type[np.generic]]) -> None:
    lengths = {name: column.shape for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise ValueError(f"columns must be of one length, not {lengths}")
    for name, column in columns.items():
        if column.dtype != kinds[name]:
            raise ValueError(f"{name} must be {np.dtype(kinds[name])}, not {column.dtype}")


Role = Literal["alice", "bob"]
Provenance = Literal["simulated", "recorded", "device", "test"]
"""``test``: a sandbox made the bits up; they are as little secret as simulated ones."""
Origin = Literal["direct", "relayed", "expanded"]
Count = Annotated[int, msgspec.Meta(ge=0)]
Epsilon = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class SecretBlock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Distilled key of one link with its security statement.

    Attributes:
        block_id: The same at both ends, unique on the link.
        link: Name of the link.
        role: Whose copy this is.
        bits: The key, packed, padded with zero bits to a byte. Never shown.
        bit_count: Length of the key in bits.
        accountings: Key length in bits that each named accounting gives; ``minted_by`` is one of the names.
        minted_by: The accounting that fixed ``bit_count``.
        provable_bits: Bits that ``method`` proves secret at ``epsilon``, at most ``bit_count``; 0 where nothing is
            proven.
        epsilon: Failure probability of that proof; 1 where nothing is proven.
        method: Name of the proof, or "none".
        assumptions: What the statement is conditional on, one sentence each.
        authentication_bits: Key spent to authenticate the block's classical messages.
        start_s, end_s: When the block's photons were detected, seconds since the start of the run.
        provenance: Where the bits come from; keys of a simulation are not secret.
    """

    block_id: str
    link: str
    role: Role
    bits: bytes
    bit_count: Count
    accountings: dict[str, int]
    minted_by: str
    provable_bits: Count
    epsilon: Epsilon
    method: str
    assumptions: tuple[str, ...]
    authentication_bits: Count
    start_s: float
    end_s: float
    provenance: Provenance

    def __post_init__(self) -> None:
        _require_packed(self.bits, self.bit_count)
        if self.provable_bits > self.bit_count:
            raise ValueError(f"provable_bits is {self.provable_bits}, more than the block's {self.bit_count} bits")
        if self.minted_by not in self.accountings:
            raise ValueError(f"minted_by {self.minted_by!r} is none of the accountings {sorted(self.accountings)}")
        if self.end_s < self.start_s:
            raise ValueError(f"end_s {self.end_s} lies before start_s {self.start_s}")

    def __repr__(self) -> str:
        what = f"{self.bit_count} bits, {self.provable_bits} provable"
        return f"<SecretBlock {self.block_id} of {self.link} at {self.role}: {what}>"

    def agrees_with(self, other: "SecretBlock") -> bool:
        """Return whether both hold the same bits under the same id; compares in constant time."""
        return self.block_id == other.block_id and hmac.compare_digest(self.bits, other.bits)


def total_epsilon(blocks: Iterable[SecretBlock]) -> float:
    """Return how likely any of the blocks' proofs fails, at most: epsilons add up. What is unproven counts 1.

    Composable security allows the sum, whatever the keys are used for and however the blocks depend on each other.
    """
    return min(1.0, math.fsum(block.epsilon for block in blocks))


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key as an application gets it.

    Attributes:
        key_id: UUID, the same at both ends.
        bits: The key, packed. Never shown.
        bit_count: Length in bits, a multiple of 8.
        origin: ``direct`` from one link, ``relayed`` through trusted nodes, or ``expanded`` by a generator.
        hops: Links that the key crossed; 1 for ``direct``.
        block_ids: The blocks whose bits it is made of.
        epsilon: Sum of the blocks' epsilons, at most 1.
        provable_bits: How many of its bits are proven.
        age_s: Age of its oldest block when it was delivered, seconds.
        provenance: Where the bits come from.
    """

    key_id: str
    bits: bytes
    bit_count: Count
    origin: Origin
    hops: Annotated[int, msgspec.Meta(ge=1)]
    block_ids: tuple[str, ...]
    epsilon: Epsilon
    provable_bits: Count
    age_s: Annotated[float, msgspec.Meta(ge=0.0)]
    provenance: Provenance

    def __post_init__(self) -> None:
        _require_packed(self.bits, self.bit_count)

    def __repr__(self) -> str:
        return f"<Key {self.key_id}: {self.bit_count} bits, {self.origin}, {self.provable_bits} provable>"


def _require_packed(data: bytes, bit_count: int) -> None:
    if len(data) != (bit_count + 7) // 8:
        raise ValueError(f"{bit_count} bits need {(bit_count + 7) // 8} bytes, not {len(data)}")


def pack_bits(bits: Bytes) -> bytes:
    """Return bits (shape (n,), 0 or 1) packed, the first one in the top bit of the first byte.

    >>> pack_bits(np.array([1, 0, 0, 0, 0, 0, 0, 0, 1], np.uint8)).hex()
    '8080'
    """
    return np.packbits(bits).tobytes()


def unpack_bits(data: bytes, count: int) -> Bytes:
    """Return the first ``count`` bits, shape (count,), uint8.

    Raises:
        ValueError: If the data hold fewer, or a padding bit is set.
    """
    _require_packed(data, count)
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[count:].any():
        raise ValueError("padding bits must be zero")
    return bits[:count]
