"""From pairs to blocks in both slaves' KMEs, in ``paper`` mode: one pair is one key bit.

What is less than a byte waits for the next pairs. A demand that asks for so many bits a second keeps no more.
"""

from dataclasses import dataclass

import numpy as np

from bellweave import rng
from bellweave.blocks import SecretBlock
from bellweave.network.wide.params import Demand

BYTE = 8


@dataclass(frozen=True)
class Made:
    """A block at both ends, and what it is made of.

    Attributes:
        alice, bob: None where nothing came of it.
        method: ``backbone``, ``ekert91`` or ``mdi``.
        pairs: End-to-end pairs, or bits that a cluster made.
        sifted_bits: Of equal settings.
        qber, chsh: As estimated.
        rejection: Why there is no block.
        trips: One-way messages until both ends have it.
    """

    alice: SecretBlock | None
    bob: SecretBlock | None
    method: str
    pairs: int
    sifted_bits: int
    qber: float | None = None
    chsh: float | None = None
    rejection: str | None = None
    trips: int = 0


class PaperKeys:
    """Collects one demand's bits."""

    def __init__(self, name: str, demand: Demand, seed: int) -> None:
        self._name, self._demand, self._seed = name, demand, seed
        self._stream = rng.stream(seed, "demand", name, "key")
        self._blocks = 0
        self._waiting: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._kept = 0

    def add(self, method: str, bits: int, began_s: float, now_s: float) -> Made | None:
        """Take the bits of an interval; return the block that they make with those that waited, if any."""
        room = self._room(now_s)
        self._began.setdefault(method, began_s)
        waiting = self._waiting.get(method, 0) + bits
        whole = min(waiting, room) // BYTE * BYTE
        self._waiting[method] = waiting - whole if waiting <= room else 0
        if whole == 0:
            return None
        self._kept += whole
        block = self._block(method, whole, self._began.pop(method), now_s)
        other = SecretBlock(**{**{name: getattr(block, name) for name in block.__struct_fields__}, "role": "bob"})
        return Made(block, other, method, bits, bits)

    def _room(self, now_s: float) -> int:
        """Return how many more bits are wanted by now."""
        if self._demand.bits_per_s is None:
            return int(np.iinfo(np.int64).max)
        wanted = self._demand.bits_per_s * (now_s - self._demand.start_s)
        return max(0, int(wanted) + BYTE - self._kept)

    def _block(self, method: str, bits: int, began_s: float, now_s: float) -> SecretBlock:
        self._blocks += 1
        return SecretBlock(
            block_id=f"{self._name}/{self._seed}/{method}/{self._blocks}",
            link=self._name,
            role="alice",
            bits=self._stream.bytes(bits // BYTE),
            bit_count=bits,
            accountings={"paper": bits},
            minted_by="paper",
            provable_bits=0,
            epsilon=1.0,
            method="none",
            assumptions=("pairs are perfect: one pair is one key bit, as the cluster paper counts",),
            authentication_bits=0,
            start_s=began_s,
            end_s=now_s,
            provenance="simulated",
        )
