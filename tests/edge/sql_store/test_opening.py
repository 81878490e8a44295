"""How a store is made, opened again, brought up to date, or refused."""

import stat
from pathlib import Path

import pytest

from bellweave.edge.sql_store import SqlStore, meta, schema
from bellweave.edge.sql_store.database import Database
from bellweave.errors import StoreFailed
from bellweave.testing.postgres import Postgres
from bellweave.testing.stores import deliver, fill, ledger, note, take

MASTER_KEY = bytes(range(32))
OTHER_KEY = bytes(32)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/kme.db"


def test_what_was_there_is_there_again(url: str) -> None:
    store = SqlStore(url, MASTER_KEY)
    whole = fill(store, 64)
    deliver(store, note(1), keep=(note(1),))
    name = store.store_name
    store.close()

    again = SqlStore(url, MASTER_KEY)

    assert again.store_name == name
    assert take(again, 1)[0].bits == whole.material[:32]
    assert ledger(again) == {"ingested": 512, "available": 256, "delivered": 256}
    again.close()


def test_each_store_has_a_name_of_its_own(tmp_path: Path) -> None:
    stores = [SqlStore(f"sqlite:///{tmp_path}/{name}.db", MASTER_KEY) for name in "abc"]

    assert len({store.store_name for store in stores}) == 3
    for store in stores:
        store.close()


def test_another_master_key_is_refused_at_the_start(url: str) -> None:
    SqlStore(url, MASTER_KEY).close()

    with pytest.raises(
        StoreFailed, match=r"the master key is not the one that the store sqlite:.*kme.db was made with"
    ):
        SqlStore(url, OTHER_KEY)


@pytest.mark.parametrize("key", [None, b"", bytes(16), bytes(33)])
def test_no_store_is_made_without_a_whole_master_key(url: str, key: bytes | None, tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="needs a master key of 32 bytes"):
        SqlStore(url, key)

    assert not list(tmp_path.iterdir())


def test_the_store_of_another_kme_is_refused(url: str) -> None:
    SqlStore(url, MASTER_KEY).close()
    SqlStore(url, MASTER_KEY, kme="kme-a").close()

    with pytest.raises(StoreFailed, match="belongs to kme-a, not to kme-b"):
        SqlStore(url, MASTER_KEY, kme="kme-b")


@pytest.mark.parametrize(
    "wrong", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "postgresql://x/y", "nonsense", "memory:"]
)
def test_other_databases_are_refused(wrong: str) -> None:
    with pytest.raises(StoreFailed, match="sqlite:///PATH"):
        SqlStore(wrong, MASTER_KEY)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(StoreFailed) as failed:
        SqlStore("postgresql+psycopg://bell:secret@127.0.0.1:1/none", MASTER_KEY)

    assert "secret" not in str(failed.value)
    assert "bell:***@127.0.0.1:1/none" in str(failed.value)


def test_a_newer_store_is_refused(url: str) -> None:
    SqlStore(url, MASTER_KEY).close()
    _write(url, meta.VERSION, str(schema.version() + 1))

    with pytest.raises(
        StoreFailed, match=r"kme.db has schema version 2; this version of Bellweave works with 1 at most"
    ):
        SqlStore(url, MASTER_KEY)


def test_an_older_store_is_brought_up_to_date_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlStore(url, MASTER_KEY)
    fill(store, 8)
    store.close()
    ran = []

    def second(database: Database) -> None:
        database.execute("ALTER TABLE servers ADD COLUMN seen INTEGER")
        ran.append(2)

    monkeypatch.setattr(schema, "UPGRADES", (second, lambda _: ran.append(3)))
    for _ in range(2):
        store = SqlStore(url, MASTER_KEY)
        assert ledger(store) == {"ingested": 64, "available": 64}
        store.close()

    assert ran == [2, 3]


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SqlStore(url, MASTER_KEY).close()

    def broken(database: Database) -> None:
        database.execute("DROP TABLE keys")
        database.execute("this is no SQL")

    monkeypatch.setattr(schema, "UPGRADES", (broken,))
    with pytest.raises(StoreFailed, match="syntax error"):
        SqlStore(url, MASTER_KEY)

    monkeypatch.undo()
    store = SqlStore(url, MASTER_KEY)
    fill(store, 8)
    store.close()


def test_only_the_owner_can_read_the_files(url: str, tmp_path: Path) -> None:
    store = SqlStore(url, MASTER_KEY)
    fill(store, 8)

    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert files == {"kme.db": 0o600, "kme.db-wal": 0o600, "kme.db-shm": 0o600}
    store.close()


def test_files_that_others_can_read_are_taken_from_their_sight(url: str, tmp_path: Path) -> None:
    SqlStore(url, MASTER_KEY).close()
    (tmp_path / "kme.db").chmod(0o664)

    store = SqlStore(url, MASTER_KEY)

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    store.close()


def test_a_file_that_is_no_database_is_refused_and_stays(url: str, tmp_path: Path) -> None:
    (tmp_path / "kme.db").write_text("my diary\n" * 100)

    with pytest.raises(StoreFailed, match="not a database"):
        SqlStore(url, MASTER_KEY)

    assert (tmp_path / "kme.db").read_text() == "my diary\n" * 100


def test_sqlite_flushes_each_commit_to_disk(url: str) -> None:
    store = SqlStore(url, MASTER_KEY)

    with store._database.transaction(write=False):
        found = {
            name: store._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        }

    assert found == {"journal_mode": "wal", "synchronous": 2}
    store.close()


def test_postgresql_flushes_each_commit_to_disk_whatever_the_server_is_set_to(postgres: Postgres) -> None:
    url = postgres.new_database()
    user = url.split("//")[1].split("@")[0]
    postgres.execute("postgres", f"ALTER ROLE {user} SET synchronous_commit = off")
    store = SqlStore(url, MASTER_KEY)

    with store._database.transaction(write=False):
        assert store._database.execute("SHOW synchronous_commit").fetchone() == ("on",)

    store.close()


def _write(url: str, name: str, value: str) -> None:
    database = Database(url)
    with database.transaction():
        meta.write(database, name, value)
    database.close()
