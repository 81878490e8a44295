"""Blocks are held in parts, so that one data key never covers more than a part."""

from itertools import pairwise

from bellweave.kms.effects import Work, apply
from bellweave.kms.operations import AddBlock, Verdicts
from bellweave.kms.records import MAX_BLOCK_BYTES, Block, Statement


def additions(
    pool: str, block_id: str, material: bytes, statement: Statement, expires_s: float
) -> tuple[AddBlock, ...]:
    """Return the operations that hold a block of whole bytes."""
    parts = split(material)
    names = part_names(block_id, len(material))
    return tuple(
        AddBlock(block=Block(pool=pool, block_id=name, material=part, statement=statement, expires_s=expires_s))
        for name, part in zip(names, parts, strict=True)
    )


def part_names(block_id: str, size_bytes: int) -> tuple[str, ...]:
    """Return the ids of the parts that a block is held in.

    >>> part_names("b", 32768), part_names("b", 32769)
    (('b',), ('b#0', 'b#1'))
    """
    count = _count(size_bytes)
    return (block_id,) if count == 1 else tuple(f"{block_id}#{index}" for index in range(count))


def is_held(pool: str, block_id: str, size_bytes: int) -> Work[bool]:
    """Return whether all of a block is or was in the store."""
    verdicts = yield from apply(Verdicts(pool=pool, block_ids=part_names(block_id, size_bytes)))
    return None not in verdicts


def split(data: bytes) -> tuple[bytes, ...]:
    """Return data in as few parts as :data:`~bellweave.kms.records.MAX_BLOCK_BYTES` allows, of nearly equal length.

    >>> [len(part) for part in split(bytes(32769))]
    [16385, 16384]
    """
    count = _count(len(data))
    short, longer = divmod(len(data), count)
    ends = [index * short + min(index, longer) for index in range(count + 1)]
    return tuple(data[start:end] for start, end in pairwise(ends))


def _count(size_bytes: int) -> int:
    return max(1, -(-size_bytes // MAX_BLOCK_BYTES))
