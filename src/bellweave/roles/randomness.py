"""Where a party's random numbers come from: named streams of a seed, or secrets that only those hold whom they concern.

=======================  ==================  ==========================================
drawn from it            who needs the same  without a seed, made of
=======================  ==================  ==========================================
photons, drift           nobody              the source's own secret
clicks, protocol seeds   nobody              the node's own secret
authentication keys      both ends of it     a secret that the two ends of a link share
=======================  ==================  ==========================================

Every draw has a name, and a name is used once: blocks are numbered, and a run has a label that stands in their ids.
With a seed everybody can draw everything, so that simulation and emulation give the same bits; such keys are no secret.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from numpy.random import Generator

from bellweave import rng
from bellweave.blocks import Role
from bellweave.rng import Entropy

SECRET_BYTES = 32
"""Least length of a secret."""


class Randomness(Protocol):
    """What one process draws from."""

    @property
    def run(self) -> str:
        """What the run is called in its blocks' ids; public, the same everywhere."""
        ...

    def photons(self) -> int:
        """Return the seed of the photons' streams; the source's business."""
        ...

    def drift(self, node: str) -> Generator:
        """Return the stream of a node's drift; the source's business."""
        ...

    def clicks(self, block_id: str, role: Role) -> Generator:
        """Return the stream from which an end draws the outcomes of its double clicks in a block."""
        ...

    def protocol(self, block_id: str, role: Role) -> Entropy:
        """Return what an end's public seeds of a distillation come from."""
        ...

    def authentication(self, link: str, block_id: str) -> Entropy:
        """Return what both ends of a link make their authentication keys of."""
        ...


@dataclass(frozen=True)
class Seeded:
    """Named streams of one seed, the same in every process."""

    seed: int

    @property
    def run(self) -> str:
        """The seed."""
        return str(self.seed)

    def photons(self) -> int:
        """Return the seed itself."""
        return self.seed

    def drift(self, node: str) -> Generator:
        """Return a named stream."""
        return rng.stream(self.seed, "node", node, "drift")

    def clicks(self, block_id: str, role: Role) -> Generator:
        """Return a named stream."""
        return rng.stream(self.seed, block_id, role, "clicks")

    def protocol(self, block_id: str, role: Role) -> Entropy:
        """Return a named stream."""
        return rng.stream(self.seed, block_id, role, "protocol")

    def authentication(self, link: str, block_id: str) -> Entropy:  # noqa: ARG002  # the block's id names the link
        """Return a named stream."""
        return rng.stream(self.seed, block_id, "authentication")


@dataclass(frozen=True)
class Secret:
    """Secrets of one process, each of at least :data:`SECRET_BYTES` bytes from the operating system.

    Attributes:
        run: Label of the run; may not come again at the same key servers.
        own: The node's secret, or the source's.
        links: What a node shares with the other end of each of its links; the source has none.

    Raises:
        ValueError: A secret is too short.
    """

    run: str
    own: bytes = field(repr=False)
    links: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for secret in (self.own, *self.links.values()):
            if len(secret) < SECRET_BYTES:
                raise ValueError(f"a secret has at least {SECRET_BYTES} bytes, not {len(secret)}")

    def photons(self) -> int:
        """Return a seed that nobody can guess."""
        return int.from_bytes(_derived(self.own, self.run, "photons"), "big")

    def drift(self, node: str) -> Generator:
        """Return a stream of its own."""
        return rng.from_bytes(_derived(self.own, self.run, "node", node, "drift"))

    def clicks(self, block_id: str, role: Role) -> Generator:
        """Return a stream of the node's own."""
        return rng.from_bytes(_derived(self.own, self.run, block_id, role, "clicks"))

    def protocol(self, block_id: str, role: Role) -> Entropy:
        """Return entropy of the node's own: what it has announced says nothing of what it will."""
        return _Squeezed(_derived(self.own, self.run, block_id, role, "protocol"))

    def authentication(self, link: str, block_id: str) -> Entropy:
        """Return entropy of the link's two ends.

        Raises:
            KeyError: This process is no end of the link.
        """
        return _Squeezed(_derived(self.links[link], self.run, block_id, "authentication"))


class _Squeezed:
    """Entropy out of a secret key by SHAKE-256: each piece under a number of its own."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._pieces = 0

    def bytes(self, length: int, /) -> bytes:
        """Return the next piece."""
        self._pieces += 1
        return hashlib.shake_256(self._key + self._pieces.to_bytes(8, "big")).digest(length)


def _derived(secret: bytes, *name: str) -> bytes:
    """Return the key of that name: SHAKE-256 takes a secret prefix, as SHA-2 does not."""
    label = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in name)
    return hashlib.shake_256(len(secret).to_bytes(4, "big") + secret + label).digest(SECRET_BYTES)
