"""Basis choice by a modulator: which basis a node measures in, slot by slot.

The setting of slot i is a pseudo-random function of i: AES-128 in counter mode, one block a slot, whose first 64 bits
are compared with the probability of Z. With ``active`` each node has a key of its own, with ``keyed`` both share one,
so all their bases match; everyone who breaks the cipher knows the bases, hence its security is computational.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from bellweave.blocks import Bytes, Ints
from bellweave.photonics.params import Polarisation
from bellweave.rng import stream

KEY_BYTES = 16


def key(analyser: Polarisation, seed: int, link: str, role: str) -> bytes:
    """Return the modulator's key, 16 bytes: the role's own, or the one that both ends share."""
    owner = "shared" if analyser.basis_choice == "keyed" else role
    return stream(seed, "link", link, "modulator", owner).bytes(KEY_BYTES)


def settings(secret: bytes, slot: Ints, z_probability: float) -> Bytes:
    """Return the basis of each slot.

    Args:
        secret: The key, 16 bytes.
        slot: Shape (n,), indices of slots >= 0 since the start of the run, in any order.
        z_probability: Probability of Z in [0, 1].

    Returns:
        Shape (n,), uint8: :class:`~bellweave.blocks.Basis`.
    """
    return (_words(secret, slot) >= z_probability * 2.0**64).astype(np.uint8)


def choices(secret: bytes, slot: Ints, shares: tuple[float, ...]) -> Bytes:
    """Return which of several settings each slot has, shape (n,), uint8; ``shares`` add up to 1."""
    return np.searchsorted(np.cumsum(shares)[:-1] * 2.0**64, _words(secret, slot), side="right").astype(np.uint8)


def _words(secret: bytes, slot: Ints) -> NDArray[np.float64]:
    """Return a pseudo-random number in [0, 2^64) for each slot."""
    counters = np.zeros((slot.size, 2), np.uint64)
    counters[:, 0] = slot
    # ECB over distinct counters is counter mode's key stream, at random access.
    encryptor = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()  # noqa: S305
    stream_words: NDArray[np.uint64] = np.frombuffer(encryptor.update(counters.tobytes()), np.uint64)[::2]
    return stream_words.astype(np.float64)
