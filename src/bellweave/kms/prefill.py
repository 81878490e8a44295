"""Test key for a sandbox or a benchmark: both KMEs of each pair make up the same bytes and fill their buffers.

Rules:

1. The stores are fresh: blocks and portions are numbered from 0 in each pool.
2. Both KMEs pass the same wishes in the same order, and streams of the same bytes. Every KME draws for all pairs, also
   for those that it keeps nothing of: so the streams stay together in networks of any size.
3. A block is one portion. Blocks come one after the other, so that any number of keys takes the memory of one.

Its provenance is ``test``: it is as secret as the seed of the stream, and nothing of it is proven.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from bellweave.errors import ScenarioError
from bellweave.kms.operations import AddBlock, Cut, Operation, Settle
from bellweave.kms.params import Directory, Kms
from bellweave.kms.records import MAX_BLOCK_BYTES, Block, Buffer, Portion, Statement, pool_name
from bellweave.kms.roster import Roster
from bellweave.rng import Entropy


def fill(
    directory: Directory, params: Kms, wanted: Sequence[tuple[str, str, int]], entropy: Entropy, now_s: float
) -> Iterator[Operation[Any]]:
    """Yield the store operations that fill buffers: for each (master, slave, keys) exactly so many default-size keys.

    The buffer is that of the first pool that may serve the pair. Apply them in order, in batches of any size.

    Raises:
        ScenarioError: A pair names an SAE that the directory does not know.
    """
    roster = Roster(directory, params)
    numbers: Counter[str] = Counter()
    for master, slave, keys in wanted:
        ends = roster.kme_of(master), roster.kme_of(slave)
        if None in ends:
            unknown = slave if ends[0] else master
            raise ScenarioError(f"{unknown} is not among the SAEs", path="saes")
        pool = pool_name(str(ends[0]), str(ends[1]), roster.origins(master, slave)[0])
        buffer = Buffer(master=master, slave=slave, pool=pool)
        for size_bytes in _sizes(keys * params.key_size_bits // 8):
            material = entropy.bytes(size_bytes)
            if directory.kme in ends:
                yield from _block(buffer, numbers[pool], material, now_s, params)
            numbers[pool] += 1


def _sizes(total_bytes: int) -> list[int]:
    return [end - start for start, end in pairwise([*range(0, total_bytes, MAX_BLOCK_BYTES), total_bytes])]


def _block(
    buffer: Buffer, number: int, material: bytes, now_s: float, params: Kms
) -> tuple[Operation[Any], Operation[Any], Operation[Any]]:
    pool, block_id = buffer.pool, f"test-{number}"
    direct = pool.endswith("/direct")
    statement = Statement(
        block_ids=(block_id,),
        origin="direct" if direct else "relayed" if pool.endswith("/relayed") else "expanded",
        hops=1 if direct else 2,
        epsilon=1.0,
        provable=False,
        provenance="test",
        made_s=now_s,
    )
    expires_s = now_s + params.block_lifetime_s
    return (
        AddBlock(
            block=Block(pool=pool, block_id=block_id, material=material, statement=statement, expires_s=expires_s)
        ),
        Settle(pool=pool, block_id=block_id, verdict="confirmed", tag_bytes=0),
        Cut(
            portions=(
                Portion(buffer=buffer, number=number, block_id=block_id, start_bytes=0, length_bytes=len(material)),
            )
        ),
    )
