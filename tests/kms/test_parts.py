"""Blocks in parts."""

from hypothesis import given
from hypothesis import strategies as st

from bellweave.kms.operations import AddBlock, Verdicts
from bellweave.kms.parts import additions, is_held, part_names, split
from bellweave.kms.records import MAX_BLOCK_BYTES
from bellweave.kms.store import MemoryStore
from bellweave.rng import stream
from bellweave.testing.stores import POOL, run, statement


@given(st.integers(0, 5 * MAX_BLOCK_BYTES))
def test_parts_are_few_nearly_equal_and_add_up(size_bytes: int) -> None:
    data = bytes(size_bytes)
    parts = split(data)
    lengths = {len(part) for part in parts}
    assert b"".join(parts) == data
    assert max(lengths) - min(lengths) <= 1
    assert max(lengths) <= MAX_BLOCK_BYTES
    assert len(parts) == len(part_names("b", size_bytes)) == max(1, -(-size_bytes // MAX_BLOCK_BYTES))


def test_a_block_is_held_when_all_of_its_parts_are() -> None:
    store = MemoryStore()
    material = stream(1, "block").bytes(2 * MAX_BLOCK_BYTES + 1)
    adds = additions(POOL, "b", material, statement("b"), 1e9)
    assert [each.block.block_id for each in adds] == ["b#0", "b#1", "b#2"]
    assert b"".join(each.block.material for each in adds) == material
    for each in adds:
        assert not _held(store, len(material))
        assert run(store, AddBlock(block=each.block))
    assert _held(store, len(material))


def _held(store: MemoryStore, size_bytes: int) -> bool:
    work = is_held(POOL, "b", size_bytes)
    effect = next(work)
    assert isinstance(effect.operations[0], Verdicts)  # type: ignore[union-attr]
    try:
        work.send(store.apply(effect.operations))  # type: ignore[union-attr]
    except StopIteration as end:
        return bool(end.value)
    raise AssertionError("there was more to do")
