"""One connection to SQLite or PostgreSQL, whose errors are :class:`~bellweave.errors.StoreFailed`.

Rules:

1. SQLAlchemy describes tables and statements and makes connections; statements are compiled to text once
   (:meth:`Database.compiled`), and the driver's cursor runs the text. SQLAlchemy's own way costs 30 us a statement.
2. A connection on which anything failed is thrown away; the next transaction makes a new one. So a store works again as
   soon as the cause has gone.
3. What COMMIT has returned for is on disk: SQLite writes ahead with ``synchronous=FULL``, PostgreSQL with
   ``synchronous_commit=on``. If the connection breaks in COMMIT itself the transaction may have been carried out all
   the same: then keys are lost, but none is used twice.
4. Files of an SQLite store are readable by their owner only. A file that was deleted, moved or replaced while it was
   open is written no more: what went there would not be found again.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Column, MetaData, any_, bindparam, create_engine, event, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable, Table
from sqlalchemy.sql.elements import ClauseElement

from bellweave.errors import StoreFailed

MANY = 64
FEW = 16
"""SQLite: so many ids in one statement; below the lesser number a statement for each is quicker than a padded one."""

BUSY_S = 10.0
"""How long a transaction waits for others: backups of SQLite, servers on the same PostgreSQL store."""

_RETRYABLE = frozenset({"40001", "40P01"})  # PostgreSQL: serialization failure, deadlock
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "wal_autocheckpoint=4000",  # pages: 16 MiB; most are the same few pages, again and again
    "secure_delete=FAST",  # overwrites rows that are deleted, such as data keys, where their page is written anyway
    "temp_store=MEMORY",
    "trusted_schema=OFF",
)


class Conflict(Exception):
    """Another server was quicker; nothing was changed, and the transaction may be run again."""


@dataclass(frozen=True)
class ForIds:
    """A statement about rows with some ids.

    Attributes:
        one: SQLite: for one id.
        many: SQLite: for :data:`MANY` ids; PostgreSQL: for an array of them.
    """

    one: str
    many: str


class Database:
    """A connection that is made when it is needed.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql+psycopg://...``.

    Attributes:
        where: The URL as messages may show it.
        is_sqlite: Which of the two it is.
        path: The file, if it is one.
        connections: How many were made.

    Raises:
        StoreFailed: It is no such URL.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.where = self._url.render_as_string(hide_password=True)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.path = Path(self._url.database or "") if self.is_sqlite else None
        try:
            self._engine = _engine(self._url)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreFailed(f"{self.where}: {error}") from None
        driver: Any = self._engine.dialect.loaded_dbapi
        self._failures: tuple[type[Exception], ...] = (driver.Error, SQLAlchemyError, OSError)
        self._integrity: type[Exception] = driver.IntegrityError  # another server made the same row
        self._connection: Any = None
        self._file: tuple[int, int] | None = None
        self.cursor: Any = None
        self.connections = 0

    def require(self) -> None:
        """Raise :class:`StoreFailed` if the file is not there; without this it is made."""
        if self.path is not None and not self.path.exists():
            raise StoreFailed(f"{self.where} holds no key store")

    def compiled(self, statement: ClauseElement, *names: str) -> str:
        """Return a statement as text for the driver, after checking that its parameters come in this order."""
        compiled = statement.compile(dialect=self._engine.dialect)
        found = tuple(getattr(compiled, "positiontup", None) or ())
        if found != names:
            raise TypeError(f"the parameters of {compiled} come as {found}, not as {names}")
        return str(compiled)

    def insert(self, table: Table) -> Any:
        """Return an INSERT of the dialect, which knows ``ON CONFLICT``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def for_ids(self, statement: Any, column: Column[Any], *, lock: bool = False) -> ForIds:
        """Return a SELECT or DELETE for rows by their ids; PostgreSQL locks them, if asked to, in the ids' order."""
        if self.is_sqlite:
            names = [f"id_{index}" for index in range(MANY)]
            many = statement.where(column.in_([bindparam(name) for name in names]))
            return ForIds(self.compiled(statement.where(column == bindparam("id")), "id"), self.compiled(many, *names))
        statement = statement.where(column == any_(bindparam("ids", type_=ARRAY(column.type))))
        text = self.compiled(statement.order_by(column).with_for_update() if lock else statement, "ids")
        return ForIds(text, text)

    @contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """Commit what is done in it, or undo it if anything is raised.

        Raises:
            StoreFailed: The database failed; nothing was changed.
            Conflict: Another transaction was in the way; nothing was changed.
        """
        try:
            self._begin(write=write)
            yield
            self._connection.commit()
        except self._failures as error:
            retry = getattr(error, "sqlstate", None) in _RETRYABLE or isinstance(error, self._integrity)
            self._throw_away()
            if retry:
                raise Conflict(_first_line(error)) from None
            raise StoreFailed(f"the store {self.where} failed: {_first_line(error)}") from None
        except BaseException:
            self._roll_back()
            raise

    def execute(self, text: str, values: Sequence[Any] = ()) -> Any:
        """Run a compiled statement; return the driver's cursor."""
        return self.cursor.execute(text, values)

    def execute_all(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a compiled statement that changes one row for each of these rows of values.

        Raises:
            Conflict: Some rows were not there as the statement wants them.
        """
        self.cursor.executemany(text, rows)
        if self.cursor.rowcount != len(rows):
            raise Conflict(f"{len(rows)} rows to be changed, {self.cursor.rowcount} found")

    def fetch(self, texts: ForIds, ids: Sequence[Any]) -> list[Any]:
        """Return the rows with these ids."""
        if not self.is_sqlite:
            return self.cursor.execute(texts.many, (ids,)).fetchall()  # type: ignore[no-any-return]
        rows: list[Any] = []
        for text, values in _split(texts, ids):
            rows += self.cursor.execute(text, values).fetchall()
        return rows

    def delete(self, texts: ForIds, ids: Sequence[Any]) -> None:
        """Delete the rows with these ids.

        Raises:
            Conflict: Some were not there.
        """
        count = 0
        for text, values in _split(texts, ids) if self.is_sqlite else ((texts.many, (ids,)),):
            count += self.cursor.execute(text, values).rowcount
        if count != len(ids):
            raise Conflict(f"{len(ids)} rows to be deleted, {count} found")

    def has_table(self, name: str) -> bool:
        """Return whether there is a table of this name, in the transaction under way."""
        text = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if not self.is_sqlite:
            text = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = %s"
        return self.execute(text, (name,)).fetchone() is not None

    def create(self, metadata: MetaData) -> None:
        """Make tables, in the transaction under way."""
        for table in metadata.sorted_tables:
            self.execute(str(CreateTable(table).compile(dialect=self._engine.dialect)))
            for index in sorted(table.indexes, key=lambda each: str(each.name)):
                self.execute(str(CreateIndex(index).compile(dialect=self._engine.dialect)))

    @contextmanager
    def reader(self) -> Iterator[Any]:
        """Give a PostgreSQL cursor that fetches a large table piece by piece, in the transaction under way."""
        with self._connection.driver_connection.cursor("reader") as cursor:
            yield cursor

    def count_on(self, table: Table) -> None:
        """Let PostgreSQL number a table's rows on from the last, after rows were put in with their numbers."""
        key = next(iter(table.primary_key.columns))
        if key.autoincrement is not False and isinstance(key.type, BigInteger) and len(table.primary_key) == 1:
            sequence = func.pg_get_serial_sequence(literal(str(table.name)), literal(str(key.name)))
            following = func.setval(sequence, select(func.coalesce(func.max(key), 0) + 1).scalar_subquery())
            self.execute(
                str(select(following).compile(dialect=self._engine.dialect, compile_kwargs={"literal_binds": True}))
            )

    def checkpoint(self) -> None:
        """Empty SQLite's write-ahead log, in which erased data keys are still to be found, if nobody reads it now."""
        if self.is_sqlite and self._connection is not None:
            with suppress(*self._failures):
                self.cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Let go of the connection."""
        self._throw_away()
        self._engine.dispose()

    def _begin(self, *, write: bool) -> None:
        if self.path is not None and self._connection is not None and _identity(self.path) != self._file:
            self._throw_away()
        if self._connection is None:
            self._connect()
        if self.is_sqlite:
            self.cursor.execute("BEGIN IMMEDIATE" if write else "BEGIN")

    def _connect(self) -> None:
        if self.path is not None:
            if self.connections:
                self.require()
            else:
                _private(self.path)
            self._file = _identity(self.path)
        self._connection = self._engine.raw_connection()
        self.cursor = self._connection.cursor()
        self.connections += 1

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except self._failures:
            self._throw_away()

    def _throw_away(self) -> None:
        connection, self._connection, self.cursor = self._connection, None, None
        if connection is not None:
            with suppress(*self._failures):
                connection.close()  # rolls back first


def _split(texts: ForIds, ids: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield statements for SQLite that deal with all ids: many at a time, a short rest one by one."""
    for start in range(0, len(ids), MANY):
        some = ids[start : start + MANY]
        if len(some) < FEW:
            for each in some:
                yield texts.one, (each,)
        else:
            yield texts.many, [*some, *[some[-1]] * (MANY - len(some))]


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreFailed("the store's URL is neither sqlite:///PATH nor postgresql+psycopg://...") from None
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise StoreFailed(f"a store is sqlite:///PATH or postgresql+psycopg://..., not {parsed.drivername}")
    if parsed.get_backend_name() == "sqlite" and (parsed.database or ":memory:") == ":memory:":
        raise StoreFailed("an SQLite store is a file: sqlite:///PATH")
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "sqlite":
        arguments = {"check_same_thread": False, "isolation_level": None, "timeout": BUSY_S, "cached_statements": 256}
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
        event.listen(engine, "connect", _set_pragmas)
        return engine
    milliseconds = round(BUSY_S * 1000)
    return create_engine(
        url,
        poolclass=NullPool,
        paramstyle="format",
        connect_args={
            "connect_timeout": round(BUSY_S),
            "tcp_user_timeout": milliseconds,
            "options": f"-c synchronous_commit=on -c lock_timeout={milliseconds} "
            f"-c statement_timeout={6 * milliseconds} -c default_transaction_isolation=read\\ committed",
        },
    )


def _set_pragmas(connection: Any, _record: object) -> None:
    for each in _PRAGMAS:
        connection.execute(f"PRAGMA {each}").fetchall()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _private(path: Path) -> None:
    """Make the file, or take it from others' sight; SQLite gives its companions the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(FileNotFoundError):
            if each.stat().st_mode & 0o077:
                each.chmod(0o600)


def _first_line(error: BaseException) -> str:
    """Return what the driver says, without the values of rows that it may add."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
