"""What a KME remembers of keys that wait elsewhere."""

from bellweave.kms import given
from bellweave.kms.given import Given
from bellweave.kms.records import Material, Statement
from bellweave.kms.wanted import Wanted

STATEMENT = Statement(
    block_ids=("b",), origin="direct", hops=1, epsilon=0.0, provable=True, provenance="test", made_s=0.0
)
WANTED = Wanted("alice", ("bob",), 1, 256)


def key(number: int) -> Material:
    return Material(key_id=number.to_bytes(16), master="alice", bits=b"", statement=STATEMENT)


def test_only_the_last_keys_are_remembered() -> None:
    kept = Given()
    for number in range(given.MOST + 5):
        kept.note(WANTED, (key(number),), expires_s=100.0)

    assert not kept.to_others("carol", "alice", (key(4).key_id,), 0.0)
    assert kept.to_others("carol", "alice", (key(5).key_id, key(given.MOST + 4).key_id), 0.0)
    assert not kept.to_others("carol", "alice", (key(5).key_id, key(4).key_id), 0.0)
    assert not kept.to_others("carol", "alice", (key(5).key_id,), 100.0)
    assert not kept.to_others("bob", "alice", (key(5).key_id,), 0.0)
    assert not kept.to_others("carol", "dave", (key(5).key_id,), 0.0)
