"""Named random streams: a stream depends on the seed and on its name, on nothing else.

Adding a component to a scenario, or drawing more numbers in one, changes no other component's numbers. Functions take a
:class:`numpy.random.Generator` or an :class:`Entropy`, never a seed; the drivers make them here. Simulated keys come
from these streams and are **not secret**; what must be secret comes from the operating system and enters as an
argument.
"""

import hashlib
from typing import Protocol

import numpy as np


class Entropy(Protocol):
    """Where a protocol role takes random bytes from: a named stream in a simulation, the system's source in earnest."""

    def bytes(self, length: int, /) -> bytes:
        """Return ``length`` random bytes."""
        ...


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """Return the random stream of that name.

    Args:
        seed: The run's seed, any integer >= 0.
        name: The parts of the name, such as ``"link", "alice-bob", "block", 17, "photons"``.

    Raises:
        ValueError: If the seed is negative or the name is empty.

    >>> float(stream(1, "a").random()) == float(stream(1, "a").random())
    True
    >>> float(stream(1, "a", "b").random()) == float(stream(1, "ab").random())
    False
    """
    if seed < 0:
        raise ValueError(f"a seed is >= 0, not {seed}")
    if not name:
        raise ValueError("a random stream has a name")
    label = "\x1f".join((str(seed), *map(str, name)))
    return from_bytes(hashlib.sha256(label.encode()).digest())


def from_bytes(seed: bytes) -> np.random.Generator:
    """Return the stream that these bytes fix: both ends of a dialogue derive the same from an announced seed."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))
