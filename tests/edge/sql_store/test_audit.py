"""The audit trail tells who got what, shows no key, and shows when it was changed."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from bellweave.edge.sql_store import SqlStore
from bellweave.edge.sql_store.audit import Entry, Event, Head, cut, read_audit, verify
from bellweave.errors import PeerRefused, StoreFailed
from bellweave.kms.operations import Purge, Withdraw
from bellweave.testing.stores import NOW_S, POOL, deliver, fill, key_id, note, record, run, take

MASTER_KEY = bytes(range(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kme.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url, MASTER_KEY)
    yield store
    store.close()


def events(url: str) -> list[Event]:
    return [event for entry in read_audit(url) for event in entry.events]


def test_it_tells_what_became_of_every_key(store: SqlStore, url: str) -> None:
    fill(store, 256)
    deliver(store, note(1, slaves=("bob", "bert")))
    record(store, note(2, ((0, 32, 32),)), note(3, ((0, 64, 32),)), note(4, ((0, 96, 32),)))
    take(store, 2)
    run(store, Withdraw(key_ids=(key_id(3),), now_s=NOW_S + 1))
    run(store, Purge(now_s=NOW_S + 100))

    told = [(event.what, event.who, event.whom, event.subject[-1:], event.size_bytes) for event in events(url)]

    assert told == [
        ("ingested", POOL, (), "e", 256),
        ("confirmed", POOL, (), "e", 256),
        ("delivered", "alice", ("bob", "bert"), "1", 32),
        ("stored", "alice", ("bob",), "2", 32),
        ("stored", "alice", ("bob",), "3", 32),
        ("stored", "alice", ("bob",), "4", 32),
        ("taken", "bob", ("alice",), "2", 32),
        ("withdrawn", "alice", ("bob",), "3", 32),
        ("expired", "alice", ("bob",), "4", 32),
    ]
    assert events(url)[-2].at_s == NOW_S + 1


def test_the_same_bits_have_the_same_fingerprint_and_nobody_else_can_make_it(store: SqlStore, url: str) -> None:
    whole = fill(store, 64)
    record(store, note(1), note(2, ((0, 32, 32),)))
    take(store, 1, 2)

    stored_1, stored_2, taken_1, taken_2 = (event.fingerprint for event in events(url)[2:])

    assert (stored_1, stored_2) == (taken_1, taken_2)
    assert stored_1 != stored_2
    assert stored_1 != hashlib.sha256(whole.material[:32]).hexdigest()


def test_what_failed_is_not_told(store: SqlStore, url: str) -> None:
    fill(store, 64)
    before = events(url)
    with pytest.raises(PeerRefused):
        deliver(store, note(1), note(1))
    assert record(store, note(1, ((9, 0, 8),)))[0]

    assert events(url) == before


def test_it_holds_no_key(store: SqlStore, path: Path, url: str) -> None:
    whole = fill(store, 64)
    record(store, note(1, size_bytes=4, slices=(), copy=b"copy", statement=whole.statement), note(2))
    take(store, 1, 2)

    with closing(sqlite3.connect(path)) as plain:
        rows = b"".join(row[0] for row in plain.execute("SELECT events FROM audit"))

    assert b"alice" in rows
    assert b"copy" not in rows
    assert not any(whole.material[at : at + 6] in rows for at in range(32))


def test_a_sound_trail_is_verified_up_to_its_head_also_after_a_restart(store: SqlStore, url: str) -> None:
    fill(store, 64)
    (head,) = verify(url, MASTER_KEY)
    store.close()
    again = SqlStore(url, MASTER_KEY)
    deliver(again, note(1))
    again.close()

    (longer,) = verify(url, MASTER_KEY, (head,))

    assert (head.server, head.seq, longer.seq) == ("0", 2, 3)


ALTERED = {
    "another event": "UPDATE audit SET events = (SELECT events FROM audit WHERE seq = 1) WHERE seq = 2",
    "another number": "UPDATE audit SET seq = 9 WHERE seq = 4",
    "another order": "UPDATE audit SET events = (SELECT b.events FROM audit b WHERE b.seq = 5 - audit.seq) "
    "WHERE seq IN (2, 3)",
    "another server": "UPDATE audit SET server = '1'",
    "a missing row": "DELETE FROM audit WHERE seq = 2",
    "a missing beginning": "DELETE FROM audit WHERE seq = 1",
}


@pytest.mark.parametrize("command", ALTERED.values(), ids=ALTERED)
def test_a_trail_that_was_changed_shows(store: SqlStore, path: Path, url: str, command: str) -> None:
    fill(store, 64)
    deliver(store, note(1))
    deliver(store, note(2, ((0, 32, 32),)))
    assert verify(url, MASTER_KEY)[0].seq == 4
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute(command)

    with pytest.raises(StoreFailed, match=r"the audit trail of server '[01]' (lacks row|was altered)|was altered"):
        verify(url, MASTER_KEY)


def test_a_trail_that_was_cut_off_shows_if_its_head_was_noted(store: SqlStore, path: Path, url: str) -> None:
    fill(store, 64)
    deliver(store, note(1))
    heads = verify(url, MASTER_KEY)
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("DELETE FROM audit WHERE seq = 3")

    assert verify(url, MASTER_KEY)[0].seq == 2
    with pytest.raises(StoreFailed, match="ends before row 3, which was noted"):
        verify(url, MASTER_KEY, heads)


def test_a_trail_that_was_written_anew_shows_if_its_head_was_noted(store: SqlStore, url: str) -> None:
    fill(store, 64)
    other = Head(server="0", seq=1, mac="00" * 32)

    with pytest.raises(StoreFailed, match="row 1 of the audit trail of server '0' is not the one that was noted"):
        verify(url, MASTER_KEY, (other,))


def test_another_master_key_verifies_nothing(store: SqlStore, url: str) -> None:
    with pytest.raises(StoreFailed, match="the master key is not the one"):
        verify(url, bytes(32))


def test_it_is_read_from_any_row_on_and_page_by_page(store: SqlStore, url: str) -> None:
    fill(store, *([8] * 600))
    for number in range(600):
        deliver(store, note(number + 1, ((number, 0, 8),)))

    entries = list(read_audit(url, after=300))

    assert [entry.seq for entry in entries] == list(range(301, 603))
    assert {entry.server for entry in entries} == {"0"}
    assert msgspec.json.decode(msgspec.json.encode(entries[-1]), type=Entry) == entries[-1]
    assert list(read_audit(url, server="none")) == []


def test_what_is_no_store_has_no_trail_and_none_is_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/no.db"

    with pytest.raises(StoreFailed, match="holds no key store"):
        next(read_audit(url))
    with pytest.raises(StoreFailed, match="holds no key store"):
        verify(url, MASTER_KEY)

    assert not list(tmp_path.iterdir())


def test_old_rows_can_be_removed_and_the_rest_is_verified_as_before(store: SqlStore, url: str) -> None:
    fill(store, 256)
    deliver(store, note(1))
    (early,) = verify(url, MASTER_KEY)
    run(store, Withdraw(key_ids=(key_id(9),), now_s=NOW_S + 50))
    record(store, note(2, ((0, 32, 32),)))
    run(store, Withdraw(key_ids=(key_id(2),), now_s=NOW_S + 60))
    (noted,) = verify(url, MASTER_KEY)
    whole = events(url)

    assert cut(url, MASTER_KEY, NOW_S - 1) == 0
    assert cut(url, MASTER_KEY, NOW_S + 30) == noted.seq - 1

    assert events(url) == whole[-1:]
    assert verify(url, MASTER_KEY, (early, noted)) == (noted,)
    assert cut(url, MASTER_KEY, NOW_S + 1000) == 0  # the last row stays: the next one hangs on it
    deliver(store, note(3, ((0, 64, 32),)))
    (longer,) = verify(url, MASTER_KEY, (noted,))
    assert longer.seq == noted.seq + 1
    assert cut(url, MASTER_KEY, NOW_S + 1000) == 1
    assert verify(url, MASTER_KEY, (early, noted, longer)) == (longer,)
    with pytest.raises(StoreFailed, match="is not the one that was noted"):
        verify(url, MASTER_KEY, (Head(server="0", seq=noted.seq, mac="00" * 32),))


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("DELETE FROM audit", "lacks row 4"),
        ("DELETE FROM meta WHERE name LIKE 'audit%'", "lacks row 1"),
        ("UPDATE meta SET value = '2' || substr(value, 2) WHERE name LIKE 'audit%'", "was altered"),
        ("UPDATE meta SET name = name || '1' WHERE name LIKE 'audit%'", "was altered"),
    ],
    ids=["the rest", "the note of the beginning", "another beginning", "another server's"],
)
def test_what_else_is_removed_shows(store: SqlStore, path: Path, url: str, command: str, problem: str) -> None:
    fill(store, 64)
    deliver(store, note(1))
    deliver(store, note(2, ((0, 32, 32),)))
    assert cut(url, MASTER_KEY, NOW_S + 30) == 3
    assert verify(url, MASTER_KEY)[0].seq == 4
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute(command)

    with pytest.raises(StoreFailed, match=problem):
        verify(url, MASTER_KEY)


def test_nothing_is_removed_from_a_trail_that_does_not_hold(store: SqlStore, path: Path, url: str) -> None:
    fill(store, 64)
    deliver(store, note(1))
    with closing(sqlite3.connect(path)) as plain, plain:
        plain.execute("UPDATE audit SET events = (SELECT events FROM audit WHERE seq = 1) WHERE seq = 2")
    before = events(url)

    with pytest.raises(StoreFailed, match="was altered"):
        cut(url, MASTER_KEY, NOW_S + 1000)
    assert events(url) == before
