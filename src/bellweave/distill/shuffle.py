"""Public orders from announced seeds, defined so that any implementation finds the same.

Word i of a seed is bytes 8i to 8i+7, little-endian, of SHAKE-256(seed, then the label in UTF-8). The order is the one
that sorts the words, equal words by their index. (NumPy's own ``permutation`` may change with its version; two ends
with different versions would disagree.)
"""

import hashlib

import numpy as np

from bellweave.blocks import Ints


def order(seed: bytes, label: str, count: int) -> Ints:
    """Return a pseudo-random order of ``count`` places, shape (count,), int64.

    >>> order(b"seed", "pass 2", 5).tolist()
    [0, 4, 2, 3, 1]
    """
    stream = hashlib.shake_256(seed + label.encode()).digest(8 * count)
    return np.argsort(np.frombuffer(stream, "<u8"), kind="stable").astype(np.int64, copy=False)


def subset(seed: bytes, label: str, count: int, size: int) -> Ints:
    """Return ``size`` of ``count`` places, drawn without replacement, strictly increasing."""
    return np.sort(order(seed, label, count)[:size])
