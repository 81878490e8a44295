"""Test key in a KME's store, the same at all KMEs that are told the same seed; for sandboxes and benchmarks.

It comes from ChaCha20 under the seed, says that it is test key, and proves nothing: it is as secret as the seed.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, permutations

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from bellweave.errors import DeliveryError
from bellweave.kms.config import KmeConfig
from bellweave.kms.operations import Operation, Store
from bellweave.kms.prefill import fill

SEED_BYTES = 32
_OPERATIONS_A_BATCH = 192


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """What a KME of a sandbox is filling.

    Attributes:
        keys: How many keys of the default size each pair of SAEs gets, each way.
        seed: Of all of them, 32 bytes.
        now_s: When they were made, Unix time.
    """

    keys: int
    seed: bytes
    now_s: float

    def __repr__(self) -> str:
        return f"<Filling {self.keys} keys>"


class SeededEntropy:
    """A stream of bytes that a seed fixes, as a :class:`bellweave.rng.Entropy`.

    Args:
        seed: 32 bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._stream = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()

    def bytes(self, length: int, /) -> bytes:
        """Return ``length`` bytes."""
        return self._stream.update(bytes(length))


def fill_store(config: KmeConfig, store: Store, filling: Filling) -> None:
    """Put test key into a fresh store: for each SAE and each other, and for each SKIP system and each other.

    Raises:
        StoreFailed: The store can't be written.
        DeliveryError: It is not fresh.
    """
    pairs = pairs_of(config)
    operations = fill(config.directory, config.kms, pairs, filling.keys, SeededEntropy(filling.seed), filling.now_s)
    for batch in _batches(operations):
        for result in store.apply(batch):
            if isinstance(result, DeliveryError):
                raise result


def pairs_of(config: KmeConfig) -> Sequence[tuple[str, str]]:
    """Return the pairs that get key, in an order that is the same at all KMEs: SKIP systems are named like KMEs."""
    directory = config.directory
    kmes = {directory.kme, *directory.peers}
    saes = sorted(set(directory.saes) - kmes)
    systems = sorted(set(directory.saes) & kmes)
    return (*permutations(saes, 2), *permutations(systems, 2))


def _batches(operations: Iterable[Operation[object]]) -> Iterator[list[Operation[object]]]:
    iterator = iter(operations)
    while batch := list(islice(iterator, _OPERATIONS_A_BATCH)):
        yield batch
