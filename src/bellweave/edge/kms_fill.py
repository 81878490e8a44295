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
MOST_PADS = 10_000
"""Most keys that one KME gets for another one."""

_OPERATIONS_A_BATCH = 192


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """What a KME of a sandbox is filling.

    Attributes:
        keys: How many keys of the default size each pair of SAEs gets, each way.
        seed: Of all of them, 32 bytes.
        now_s: When they were made, Unix time.
        server: URL of the PostgreSQL server that the KME's database is dropped from if the sandbox is gone; else empty.
    """

    keys: int
    seed: bytes
    now_s: float
    server: str = ""

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
    """Put test key into a fresh store: see :func:`wishes_of`.

    Raises:
        StoreFailed: The store can't be written.
        DeliveryError: It is not fresh.
    """
    wishes = wishes_of(config, filling.keys)
    operations = fill(config.directory, config.kms, wishes, SeededEntropy(filling.seed), filling.now_s)
    for batch in _batches(operations):
        for result in store.apply(batch):
            if isinstance(result, DeliveryError):
                raise result


def wishes_of(config: KmeConfig, keys: int) -> Sequence[tuple[str, str, int]]:
    """Return who gets how many keys, (master, slave, keys), in an order that is the same at all KMEs.

    Each SAE gets ``keys`` for each other, and so does each SKIP system (they are named like KMEs). KMEs get some for
    each other: pads for keys that go to slaves at several of them.
    """
    directory = config.directory
    kmes = sorted({directory.kme, *directory.peers})
    saes = sorted(set(directory.saes) - set(kmes))
    systems = [kme for kme in kmes if kme in directory.saes]
    pads = [(f"@{one}", f"@{other}") for one, other in permutations(kmes, 2)]
    return (
        *((*pair, keys) for pair in permutations(saes, 2)),
        *((*pair, keys) for pair in permutations(systems, 2)),
        *((*pair, min(keys, MOST_PADS)) for pair in pads),
    )


def _batches(operations: Iterable[Operation[object]]) -> Iterator[list[Operation[object]]]:
    iterator = iter(operations)
    while batch := list(islice(iterator, _OPERATIONS_A_BATCH)):
        yield batch
