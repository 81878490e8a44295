"""Material at rest is sealed, can't be moved, and is erased with its data key."""

import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.sql_store import SqlStore
from bellweave.edge.sql_store.sealing import Fingerprint, Sealer
from bellweave.errors import StoreFailed
from bellweave.kms.operations import Cut, Purge
from bellweave.testing.stores import NOW_S, block, claim, confirm, deliver, fill, note, portion, record, run, take

MASTER_KEY = bytes(range(32))
SALT = b"salt"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kme.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    yield store
    store.close()


def on_disk(path: Path) -> bytes:
    """Return all bytes of a store's files."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.iterdir()) if not each.name.endswith("-shm"))


@given(st.binary(max_size=100), st.binary(max_size=30))
def test_what_was_sealed_can_be_opened(material: bytes, name: bytes) -> None:
    sealer = Sealer(MASTER_KEY, SALT)

    assert sealer.open(*sealer.seal(material, name), name) == material
    assert sealer.open_in_one(sealer.seal_in_one(material, name), name) == material


@given(st.integers(min_value=0), st.integers(1, 255))
def test_what_was_altered_can_not_be_opened(place: int, change: int) -> None:
    sealer = Sealer(MASTER_KEY, SALT)
    sealed = bytearray(sealer.seal_in_one(b"a key", b"name"))
    sealed[place % len(sealed)] ^= change

    with pytest.raises(StoreFailed, match=r"name.*altered"):
        sealer.open_in_one(bytes(sealed), b"name")


def test_only_the_same_name_master_key_and_salt_open() -> None:
    sealed = Sealer(MASTER_KEY, SALT).seal_in_one(b"a key", b"name")

    for sealer, name in (
        (Sealer(MASTER_KEY, SALT), b"other"),
        (Sealer(bytes(32), SALT), b"name"),
        (Sealer(MASTER_KEY, b"pepper"), b"name"),
    ):
        with pytest.raises(StoreFailed):
            sealer.open_in_one(sealed, name)
    with pytest.raises(StoreFailed):
        Sealer(MASTER_KEY, SALT).open_in_one(sealed[:20], b"name")


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=200))
def test_a_fingerprint_is_hmac_sha256(key: bytes, data: bytes) -> None:
    assert Fingerprint(key)(data) == hmac.digest(key, data, "sha256")


def test_no_material_is_on_disk_in_the_clear(store: SqlStore, path: Path) -> None:
    whole = fill(store, 4096)
    run_copy = note(2, (), size_bytes=24, copy=bytes(range(24)), statement=whole.statement)
    record(store, note(1), run_copy)

    data = on_disk(path)

    assert b"alice" in data, "names are in the clear, so this would see keys too"
    assert run_copy.copy is not None
    assert run_copy.copy not in data
    assert not any(whole.material[at : at + 8] in data for at in range(0, 4096, 8))


def test_material_can_not_be_put_in_anothers_place(store: SqlStore, path: Path) -> None:
    confirm(store, block("one"), block("two"))
    run(store, Cut(portions=(portion(0, 0, 64, "one"), portion(1, 0, 64, "two"))))
    store.close()
    with closing(sqlite3.connect(path)) as plain, plain:
        for table, column in (("materials", "sealed"), ("data_keys", "wrapped")):
            rows = plain.execute(f"SELECT block, {column} FROM {table} ORDER BY block").fetchall()
            for (identity, _), (_, value) in zip(rows, reversed(rows), strict=True):
                plain.execute(f"UPDATE {table} SET {column} = ? WHERE block = ?", (value, identity))
    again = SqlStore(f"sqlite:///{path}", MASTER_KEY)

    with pytest.raises(StoreFailed, match=r"one.*altered"):
        claim(again, 1)
    again.close()


def test_a_block_that_is_used_up_is_erased_with_its_data_key(store: SqlStore, path: Path) -> None:
    fill(store, 64)
    with closing(sqlite3.connect(path)) as plain:
        ((wrapped,),) = plain.execute("SELECT wrapped FROM data_keys").fetchall()
    deliver(store, note(1), note(2, ((0, 32, 32),)), keep=(note(1),))
    run(store, Purge(now_s=NOW_S))
    assert wrapped in on_disk(path), "a key of it waits"
    take(store, 1)

    run(store, Purge(now_s=NOW_S + 11))

    assert wrapped not in on_disk(path)
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM data_keys").fetchone() == (0,)
        assert plain.execute("SELECT count(*) FROM materials").fetchone() == (0,)
    assert not store._memory.blocks, "nor is it in memory"


def test_a_copy_goes_with_the_key(store: SqlStore, path: Path) -> None:
    record(store, note(1, (), size_bytes=4, copy=b"copy", statement=block().statement))
    with closing(sqlite3.connect(path)) as plain:
        ((sealed,),) = plain.execute("SELECT copy FROM keys").fetchall()
    take(store, 1)
    store._database.checkpoint()

    assert sealed[:60] not in on_disk(path)
