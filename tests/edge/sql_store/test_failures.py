"""When the disk is full or the database gone nothing is changed, and the store works again when the cause has gone."""

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bellweave.edge.sql_store import SqlStore, database
from bellweave.edge.sql_store.audit import verify
from bellweave.errors import StoreFailed, UnknownKeys
from bellweave.kms.operations import AddBlock, Marks
from bellweave.testing.postgres import Postgres
from bellweave.testing.stores import POOL, block, deliver, fill, ledger, note, record, run, take

MASTER_KEY = bytes(range(32))
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kme.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    yield store
    store.close()


@contextlib.contextmanager
def no_longer_files_than(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: the system's way to say that there is no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill_up(store: SqlStore) -> int:
    """Put blocks into a store until it fails; return how many there are."""
    for number in range(1000):
        try:
            run(store, AddBlock(block=block(f"b{number}", 8192)))
        except StoreFailed:
            return number
    raise AssertionError("the store never failed")


def test_a_file_that_can_not_grow_fails_the_batch_whole(store: SqlStore, path: Path) -> None:
    fill(store, 64, 64)
    record(store, note(1), note(2, ((0, 32, 32),)))
    with no_longer_files_than(200_000):
        count = fill_up(store)
        before = ledger(store)
        with pytest.raises(
            StoreFailed, match=r"the store sqlite:.*kme.db failed: (disk I/O error|database or disk is full)"
        ):
            store.apply([AddBlock(block=block(f"more {number}", 8192)) for number in range(20)])

    assert (
        ledger(store) == before == {"ingested": 1024 + count * 65536, "available": 512 + count * 65536, "reserved": 512}
    )
    assert len(take(store, 1, 2)) == 2
    assert run(store, AddBlock(block=block("more 0", 8192)))
    verify(f"sqlite:///{path}", MASTER_KEY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_fails_the_batch_whole(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        store = SqlStore(f"sqlite:///{disk}/kme.db", MASTER_KEY)
        fill(store, 64)
        (disk / "ballast").write_bytes(bytes(200_000))
        count = fill_up(store)
        before = ledger(store)
        for _ in range(3):
            with pytest.raises(StoreFailed, match=r"disk is full|disk I/O error"):
                store.apply([AddBlock(block=block(f"more {number}", 32768)) for number in range(20)])

        (disk / "ballast").unlink()

        assert ledger(store) == before
        assert run(store, AddBlock(block=block("more 0", 8192)))
        assert ledger(store)["ingested"] == 512 + (count + 1) * 65536
        store.close()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user that is not root, who we are for the time of a test."""
    folder = Path(tempfile.mkdtemp(prefix="bellweave-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield folder
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_read_only_file_is_said_to_be_that(unprivileged: Path) -> None:
    path = unprivileged / "kme.db"
    store = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    fill(store, 64)
    store.close()
    path.chmod(0o400)
    unprivileged.chmod(0o500)

    with pytest.raises(StoreFailed, match="readonly database"):
        SqlStore(f"sqlite:///{path}", MASTER_KEY)

    unprivileged.chmod(0o700)
    path.chmod(0o600)
    again = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    deliver(again, note(1))
    again.close()


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r"none/kme.db failed: .*No such file"):
        SqlStore(f"sqlite:///{tmp_path}/none/kme.db", MASTER_KEY)


def test_a_file_that_is_gone_fails_until_it_is_back(store: SqlStore, path: Path) -> None:
    fill(store, 64)
    path.rename(path.with_name("away.db"))
    for suffix in ("-wal", "-shm"):
        path.with_name(f"kme.db{suffix}").rename(path.with_name(f"away.db{suffix}"))

    for _ in range(2):
        with pytest.raises(StoreFailed, match="holds no key store"):
            record(store, note(1))
    assert not path.exists()

    for suffix in ("", "-wal", "-shm"):
        if path.with_name(f"away.db{suffix}").exists():
            path.with_name(f"away.db{suffix}").rename(path.with_name(f"kme.db{suffix}"))
    assert record(store, note(1)) == (None,)
    assert ledger(store) == {"ingested": 512, "available": 256, "reserved": 256}


def test_another_store_in_its_place_is_not_written(store: SqlStore, path: Path) -> None:
    fill(store, 64)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"kme.db{suffix}").unlink()
    other = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    fill(other, 64)

    with pytest.raises(StoreFailed, match="another store than the one that was opened"):
        record(store, note(1))

    assert run(other, Marks(pool=POOL, numbers=(0,))) == (0,)
    other.close()


def test_a_store_that_others_lock_for_long_fails_and_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    store = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    fill(store, 64)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailed, match="locked"):
            record(store, note(1))
        other.execute("ROLLBACK")

    assert record(store, note(1)) == (None,)
    store.close()


def test_a_fault_in_an_operation_undoes_the_batch(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store, 64)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bellweave.edge.sql_store.transaction.Transaction.bits", broken)
    with pytest.raises(ZeroDivisionError):
        record(store, note(1))
    monkeypatch.undo()

    assert ledger(store) == {"ingested": 512, "available": 512}
    with pytest.raises(UnknownKeys):
        take(store, 1)
    assert record(store, note(1)) == (None,)


def test_a_server_that_crashes_takes_nothing_along_and_is_found_again(postgres: Postgres) -> None:
    store = SqlStore(postgres.new_database(), MASTER_KEY)
    fill(store, 64)
    assert record(store, note(1)) == (None,)

    postgres.crash()
    try:
        for _ in range(2):
            with pytest.raises(StoreFailed, match=r"the store postgresql.* failed"):
                record(store, note(2, ((0, 32, 32),)))
    finally:
        postgres.start()

    assert record(store, note(2, ((0, 32, 32),))) == (None,)
    assert len(take(store, 1, 2)) == 2
    assert ledger(store) == {"ingested": 512, "delivered": 512}
    store.close()


def test_a_connection_that_is_cut_in_a_batch_changes_nothing(postgres: Postgres) -> None:
    url = postgres.new_database()
    store = SqlStore(url, MASTER_KEY)
    fill(store, 64)

    postgres.execute("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'test_%'")

    with pytest.raises(StoreFailed, match=r"terminating connection|closed the connection"):
        record(store, note(1))
    assert ledger(store) == {"ingested": 512, "available": 512}
    store.close()
