"""Backups: copies of a store that are as sealed as the store itself, taken while it is at work.

Rules:

1. SQLite is copied by its own online backup, into a file of the owner's only. PostgreSQL is dumped table by table, from
   one snapshot, in a format of our own (below); ``pg_dump`` does as well, but a store that comes back from it has to be
   marked with :func:`mark_restored`.
2. A store that is restored gets a new name and a mark: when it is opened next, the keys that wait in it are withdrawn,
   since they may have been taken after the backup. What was drawn after the backup is known to the peers' marks, which
   a KME asks for before it uses anything.
3. The master key is in no backup: keep it elsewhere. Who has both can read all keys that were there.

The dump: magic line, then MessagePack values one after the other, each with its length (4 bytes, big-endian) before it:
a list ``[table, columns]`` where a table begins, else a list of rows; ``null`` at the end, so that a dump that was cut
off shows.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import msgspec
from sqlalchemy import bindparam, select

from bellweave.edge.sql_store import meta, schema
from bellweave.edge.sql_store.database import Database
from bellweave.errors import StoreFailed

MAGIC = b"bellweave store 1\n"
_ROWS = 256
_MOST_BYTES = 1 << 30


def backup(url: str, path: Path) -> None:
    """Copy a store into a new file, while others use it.

    Raises:
        StoreFailed: There is no store, the file is there already, or one of them can't be read or written; then no file
            is left.
    """
    database = Database(url)
    try:
        database.require()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            raise StoreFailed(f"the backup {path} can't be made: {error.strerror}") from None
        try:
            if database.path is not None:
                _copy(database.path, path)
            else:
                _dump(database, path)
            _sync(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    finally:
        database.close()


def restore(path: Path, url: str) -> None:
    """Make a store from a backup where there is none yet; the keys that wait in it are withdrawn when it is opened.

    Raises:
        StoreFailed: There is a store, the backup is none or was cut off, or something can't be read or written.
    """
    database = Database(url)
    try:
        if database.path is not None:
            _restore_file(path, database)
        else:
            _restore_dump(path, database)
    finally:
        database.close()


def mark_restored(database: Database) -> None:
    """Give a store a new name and have the keys that wait withdrawn at its next start, in a transaction under way."""
    meta.write(database, meta.RESTORED, "yes")
    meta.write(database, meta.NAME, meta.new_name())


# --------------------------------------------------------------------------------------------------------------- SQLite
def _copy(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"file:{quote(str(source))}?mode=rw", uri=True)) as reads,
            closing(sqlite3.connect(target)) as to,
        ):
            reads.execute("SELECT value FROM meta LIMIT 1")  # it is a key store
            reads.backup(to)
            to.execute("PRAGMA journal_mode=DELETE")  # one file, which can be copied as it is
    except sqlite3.Error as error:
        raise StoreFailed(f"{source} can't be copied to {target}: {error}") from None


def _restore_file(path: Path, database: Database) -> None:
    target = database.path
    if target is None or target.exists():
        raise StoreFailed(f"{database.where} is there already; move it away first")
    if not path.exists():
        raise StoreFailed(f"there is no backup {path}")
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(path, target)
        with database.transaction():
            mark_restored(database)
    except (OSError, StoreFailed) as error:
        database.close()
        for each in ("", "-wal", "-shm"):
            target.with_name(target.name + each).unlink(missing_ok=True)
        raise StoreFailed(f"{path} can't be restored: {error}") from None
    _sync(target)


# ----------------------------------------------------------------------------------------------------------- PostgreSQL
def _dump(database: Database, path: Path) -> None:
    with database.transaction(write=False), path.open("wb") as file:
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if not database.has_table(schema.META.name):
            raise StoreFailed(f"{database.where} holds no key store")
        file.write(MAGIC)
        for table in schema.METADATA.sorted_tables:
            columns = [str(column.name) for column in table.columns]
            _put(file, [str(table.name), columns])
            with database.reader() as cursor:
                cursor.execute(database.compiled(select(table)))
                while rows := cursor.fetchmany(_ROWS):
                    _put(file, [list(row) for row in rows])
        _put(file, None)


def _restore_dump(path: Path, database: Database) -> None:
    with database.transaction():
        if database.has_table(schema.META.name):
            raise StoreFailed(f"{database.where} holds a key store already")
        schema.create(database)
        text = ""
        for value in _values(path):
            if isinstance(value[0], str):
                text = _insert(database, *value)
            else:
                database.execute_all(text, value)
        if meta.read(database).get(meta.VERSION) != str(schema.version()):
            raise StoreFailed(f"{path} was made by another version of Bellweave; restore it with that one")
        mark_restored(database)
        for table in schema.METADATA.sorted_tables:
            database.count_on(table)


def _insert(database: Database, name: str, columns: list[str]) -> str:
    table = schema.METADATA.tables.get(name)
    if table is None or sorted(columns) != sorted(column.name for column in table.columns):
        raise StoreFailed(f"the backup has a table {name!r} that this version of Bellweave does not know")
    statement = database.insert(table).values({column: bindparam(column) for column in columns}).inline()
    return database.compiled(statement, *columns)


def _values(path: Path) -> Iterator[Any]:
    """Yield what a dump holds, up to its end."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise StoreFailed(f"{path} is no dump of a key store")
            while (value := _get(file, path)) is not None:
                yield value
    except OSError as error:
        raise StoreFailed(f"{path} can't be read: {error.strerror}") from None


def _put(file: BinaryIO, value: Any) -> None:
    data = msgspec.msgpack.encode(value)
    file.write(len(data).to_bytes(4, "big") + data)


def _get(file: BinaryIO, path: Path) -> Any:
    length = int.from_bytes(file.read(4).ljust(4, b"\xff"), "big")
    data = file.read(length) if length <= _MOST_BYTES else b""
    if len(data) != length:
        raise StoreFailed(f"{path} was cut off")
    with suppress(msgspec.DecodeError):
        return msgspec.msgpack.decode(data)
    raise StoreFailed(f"{path} was altered: it can't be decoded")


def _sync(path: Path) -> None:
    """Have the file, and its name, on disk."""
    for each in (path, path.parent):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
