"""A backup is taken from a store at work, holds no key in the clear, and brings back none that may have been taken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bellweave.edge.sql_store import SqlStore
from bellweave.edge.sql_store.audit import verify
from bellweave.edge.sql_store.backup import backup, restore
from bellweave.errors import PeerRefused, StoreFailed, UnknownKeys
from bellweave.kms.operations import AddBlock, Marks, Take
from bellweave.testing.postgres import Postgres
from bellweave.testing.stores import POOL, block, claim, deliver, fill, key_id, ledger, note, record, run, take

MASTER_KEY = bytes(range(32))


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        return server.new_database
    names = iter(range(100))
    return lambda: f"sqlite:///{tmp_path}/{next(names)}.db"


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url, MASTER_KEY, kme="kme-a")
    yield store
    store.close()


def test_a_restored_store_goes_on_where_the_backup_was_taken(
    store: SqlStore, url: str, new_url: Callable[[], str], tmp_path: Path
) -> None:
    whole = fill(store, 64, 64)
    deliver(store, note(1))
    backup(url, tmp_path / "copy")
    deliver(store, note(2, ((0, 32, 32),)))
    target = new_url()

    restore(tmp_path / "copy", target)
    again = SqlStore(target, MASTER_KEY)

    assert run(again, Marks(pool=POOL, numbers=(0, 1))) == (32, 0)
    assert [stock.material for stock in claim(again, 1000)] == [whole.material[:64], whole.material[64:]]
    with pytest.raises(PeerRefused):
        deliver(again, note(3))
    assert run(again, AddBlock(block=block("two", 8)))
    assert [head.seq for head in verify(target, MASTER_KEY)] == [4]
    assert run(store, Marks(pool=POOL, numbers=(0,))) == (64,)
    again.close()


def test_keys_that_waited_in_the_backup_are_withdrawn_once(
    store: SqlStore, url: str, new_url: Callable[[], str], tmp_path: Path
) -> None:
    fill(store, 96)
    record(store, note(1, expires_s=1e12), note(2, ((0, 32, 32),), expires_s=1e12))
    backup(url, tmp_path / "copy")
    target = new_url()
    restore(tmp_path / "copy", target)

    again = SqlStore(target, MASTER_KEY)

    with pytest.raises(UnknownKeys):
        take(again, 1)
    assert ledger(again) == {"ingested": 768, "available": 256, "purged": 512}
    record(again, note(3, ((0, 64, 32),), expires_s=1e12))
    again.close()
    once_more = SqlStore(target, MASTER_KEY)
    assert len(run(once_more, Take(caller="bob", master=None, key_ids=(key_id(3),), now_s=0.0))) == 1
    assert once_more.store_name == again.store_name != store.store_name
    once_more.close()


def test_a_backup_holds_no_key_in_the_clear_and_is_the_owners_only(store: SqlStore, url: str, tmp_path: Path) -> None:
    whole = fill(store, 4096)
    backup(url, tmp_path / "copy")

    data = (tmp_path / "copy").read_bytes()

    assert b"kme-a|kme-b/direct" in data, "names are in the clear, so this would see keys too"
    assert not any(whole.material[start : start + 8] in data for start in range(0, 4096, 8))
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


def test_a_backup_replaces_nothing(store: SqlStore, url: str, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("precious")

    with pytest.raises(StoreFailed, match="copy can't be made: File exists"):
        backup(url, tmp_path / "copy")

    assert (tmp_path / "copy").read_text() == "precious"


def test_a_store_is_never_restored_over_another(store: SqlStore, url: str, tmp_path: Path) -> None:
    backup(url, tmp_path / "copy")
    fill(store, 8)

    with pytest.raises(StoreFailed, match="already"):
        restore(tmp_path / "copy", url)

    assert ledger(store) == {"ingested": 64, "available": 64}


def test_what_is_no_backup_leaves_no_store(
    store: SqlStore, new_url: Callable[[], str], url: str, tmp_path: Path
) -> None:
    backup(url, tmp_path / "copy")
    whole = (tmp_path / "copy").read_bytes()
    (tmp_path / "short").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other").write_text("nonsense")
    target = new_url()

    for name in ("short", "other", "none"):
        with pytest.raises(StoreFailed, match=name):
            restore(tmp_path / name, target)

    restore(tmp_path / "copy", target)
    SqlStore(target, MASTER_KEY).close()


def test_what_is_no_store_gives_no_backup(new_url: Callable[[], str], tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="no key store"):
        backup(new_url(), tmp_path / "copy")

    assert not (tmp_path / "copy").exists()
