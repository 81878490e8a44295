"""The tables of a key store, and how a store that an older version made is brought up to date.

Rules:

1. Blocks and portions stay as short rows when their material is gone: a block that comes again is known, and a KME that
   comes back from a backup can ask for the numbers that it lacks. What is secret lies in tables of its own.
2. A portion's id is its pool's, shifted, plus its number, so a key's slices lead straight to their rows.
3. What every server of a store changes all the time (ledger, levels) has one row a server; they are added up when read.
   So servers never wait for each other there.
"""

from collections.abc import Callable
from enum import IntEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from bellweave.edge.sql_store.database import Database
from bellweave.errors import StoreFailed

POOL_SHIFT = 40
"""Portion id = pool id << 40 | number."""


class BlockState(IntEnum):
    """A block's verdict; it outlives the material."""

    WAITING = 0
    CONFIRMED = 1
    QUARANTINED = 2


class PortionState(IntEnum):
    """``OPEN``: it has unused bytes. ``USED``: keys of it wait. ``DONE``: none do. ``SETTLED``: its block knows."""

    OPEN = 0
    USED = 1
    DONE = 2
    SETTLED = 3


METADATA = MetaData()

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row number is called INTEGER PRIMARY KEY only

META = Table("meta", METADATA, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

WITNESSES = Table(
    "witnesses", METADATA, Column("peer", Text, primary_key=True), Column("changes", BigInteger, nullable=False)
)

SERVERS = Table(
    "servers", METADATA, Column("server", Text, primary_key=True), Column("until_s", Double, nullable=False)
)

POOLS = Table(
    "pools",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("next_number", BigInteger, nullable=False),
)

BUFFERS = Table(
    "buffers",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("pool", BigInteger, nullable=False),
    Column("master", Text, nullable=False),
    Column("slave", Text, nullable=False),
    UniqueConstraint("pool", "master", "slave"),
)

LEDGER_COLUMNS = (
    "ingested",
    "available",
    "reserved",
    "delivered",
    "relay_pads",
    "expansion",
    "authentication",
    "purged",
    "quarantined",
    "free",
    "waiting",
)
"""The accounts, and the levels of a pool that are in no buffer; all in bytes."""

LEDGER = Table(
    "ledger",
    METADATA,
    Column("pool", BigInteger, primary_key=True, autoincrement=False),
    Column("server", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in LEDGER_COLUMNS),
)

LEVELS = Table(
    "levels",
    METADATA,
    Column("buffer", BigInteger, primary_key=True, autoincrement=False),
    Column("server", Text, primary_key=True),
    Column("unused", BigInteger, nullable=False),
)

BLOCKS = Table(
    "blocks",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("pool", BigInteger, nullable=False),
    Column("block_id", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # HMAC of the material
    Column("statement", LargeBinary, nullable=False),
    Column("expires_s", Double, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("free_start", Integer, nullable=False),
    Column("free", Integer, nullable=False),  # confirmed, and in no portion
    Column("unsettled", Integer, nullable=False),  # free, waiting, or in a portion that is not settled
    Column("held", SmallInteger, nullable=False),  # whether its material is there
    Column("ended", SmallInteger, nullable=False),  # whether its expiry was dealt with
    UniqueConstraint("pool", "block_id"),
)
_b = BLOCKS.c
for _name, _columns, _where in (
    ("blocks_waiting", (_b.pool, _b.id), (_b.state == BlockState.WAITING) & (_b.ended == 0)),
    ("blocks_free", (_b.pool, _b.id), _b.free > 0),
    ("blocks_expiring", (_b.expires_s,), _b.ended == 0),
    ("blocks_finished", (_b.id,), (_b.unsettled == 0) & (_b.held == 1)),
):
    Index(_name, *_columns, sqlite_where=_where, postgresql_where=_where)

DATA_KEYS = Table(
    "data_keys",
    METADATA,
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
)

MATERIALS = Table(
    "materials",
    METADATA,
    Column("block", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

PORTIONS = Table(
    "portions",
    METADATA,
    Column("id", _ROW_ID, primary_key=True, autoincrement=False),
    Column("buffer", BigInteger, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("start", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("used", Integer, nullable=False),  # cursor or mark
    Column("reserved", Integer, nullable=False),  # bytes of it in keys that wait
    Column("state", SmallInteger, nullable=False),
    Column("server", Text),  # that consumes it
)
_p = PORTIONS.c
Index(
    "portions_open",
    _p.buffer,
    _p.id,
    sqlite_where=_p.state == PortionState.OPEN,
    postgresql_where=_p.state == PortionState.OPEN,
)
Index(
    "portions_done", _p.id, sqlite_where=_p.state == PortionState.DONE, postgresql_where=_p.state == PortionState.DONE
)
Index("portions_block", _p.block)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("key_id", LargeBinary, nullable=False, unique=True),
    Column("expires_s", Double, nullable=False, index=True),
    Column("booked", SmallInteger, nullable=False),  # whether its bits are on the account of its purpose already
    Column("note", LargeBinary, nullable=False),
    Column("taken", LargeBinary),  # the slaves that have had it, if some have and some have not
    Column("copy", LargeBinary),  # sealed
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("server", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("events", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

UPGRADES: tuple[Callable[[Database], None], ...] = ()
"""The step from version n to n + 1 is the one at n - 1; a new store is made at the newest version at once."""


def version() -> int:
    """Return the schema version that this code works with."""
    return 1 + len(UPGRADES)


def create(database: Database) -> None:
    """Make all tables, in the transaction under way."""
    database.create(METADATA)


def upgrade(database: Database, found: int) -> None:
    """Bring a store of an older version up to date, in the transaction under way.

    Raises:
        StoreFailed: It was made by a newer Bellweave.
    """
    if not 1 <= found <= version():
        raise StoreFailed(
            f"{database.where} has schema version {found}; this version of Bellweave works with {version()} at most"
        )
    for step in UPGRADES[found - 1 :]:
        step(database)
