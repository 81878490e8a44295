"""What a store knows of itself: schema version, whose it is, its name, its salt, and which master key it wants."""

import secrets

from sqlalchemy import bindparam, select

from bellweave.edge.sql_store import schema
from bellweave.edge.sql_store.database import Database
from bellweave.edge.sql_store.sealing import Sealer
from bellweave.errors import StoreFailed

VERSION, NAME, KME, SALT, CHECK, RESTORED = "schema version", "name", "kme", "salt", "master key check", "restored"

_PREPARING = 0x62656C6C  # of PostgreSQL's advisory lock: several servers may make a store at once


def prepare(database: Database, master_key: bytes, kme: str | None) -> tuple[Sealer, str]:
    """Make a store, or bring it up to date; return what seals it, and its random name. In a transaction under way.

    Raises:
        StoreFailed: It is another KME's, has another master key, or was made by a newer Bellweave.
    """
    if not database.is_sqlite:
        database.execute(f"SELECT pg_advisory_xact_lock({_PREPARING})")
    if not _exists(database):
        _create(database, master_key, kme)
    values = read(database)
    schema.upgrade(database, int(values[VERSION]))
    if int(values[VERSION]) != schema.version():
        write(database, VERSION, str(schema.version()))
    sealer = _sealer(database, values, master_key)
    known = values.get(KME, "")
    if kme and known and kme != known:
        raise StoreFailed(f"the store {database.where} belongs to {known}, not to {kme}")
    if kme and not known:
        write(database, KME, kme)
    return sealer, values[NAME]


def opened_sealer(database: Database, master_key: bytes) -> Sealer:
    """Return what seals a store that is there, in a transaction under way.

    Raises:
        StoreFailed: There is none, or it has another master key.
    """
    if not _exists(database):
        raise StoreFailed(f"{database.where} holds no key store")
    values = read(database)
    if int(values[VERSION]) != schema.version():
        raise StoreFailed(
            f"{database.where} has schema version {values[VERSION]}, this version of Bellweave {schema.version()}"
        )
    return _sealer(database, values, master_key)


def read(database: Database) -> dict[str, str]:
    """Return all values, in a transaction under way."""
    rows = database.execute(database.compiled(select(schema.META.c.name, schema.META.c.value))).fetchall()
    return {name: value for name, value in rows}  # noqa: C416 rows of some drivers are no tuples


def write(database: Database, name: str, value: str) -> None:
    """Set a value, in a transaction under way."""
    statement = database.insert(schema.META).values(name=bindparam("name"), value=bindparam("value"))
    statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    database.execute(database.compiled(statement, "name", "value"), (name, value))


def new_name() -> str:
    """Return a random name for a store."""
    return secrets.token_hex(8)


def _create(database: Database, master_key: bytes, kme: str | None) -> None:
    schema.create(database)
    salt = secrets.token_bytes(16)
    for name, value in (
        (VERSION, str(schema.version())),
        (NAME, new_name()),
        (KME, kme or ""),
        (SALT, salt.hex()),
        (CHECK, Sealer(master_key, salt).check),
    ):
        write(database, name, value)


def _sealer(database: Database, values: dict[str, str], master_key: bytes) -> Sealer:
    sealer = Sealer(master_key, bytes.fromhex(values[SALT]))
    if not sealer.accepts(values[CHECK]):
        raise StoreFailed(f"the master key is not the one that the store {database.where} was made with")
    return sealer


def _exists(database: Database) -> bool:
    return database.has_table(schema.META.name)
