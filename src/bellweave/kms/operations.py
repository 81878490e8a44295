"""What can be asked of a key store: operations, each all or nothing; a batch of them is durable when it returns.

A store runs the operations of a batch in order, in one transaction. An operation that can't be done changes nothing and
its result is the error; the others of the batch go on. A batch whose transaction fails raises
:class:`~bellweave.errors.StoreFailed` and changes nothing.

Two stores do this: :class:`bellweave.kms.store.MemoryStore` here and ``bellweave.edge.sql_store.SqlStore`` on SQLite
and PostgreSQL. One set of tests holds for both. Each books every change in the ledger of the pool concerned (the
accounts of :data:`~bellweave.kms.records.Account`). The SQL store also writes an audit trail of blocks that came in and
were settled, and of keys delivered, stored, taken and withdrawn: who, when, which, and an HMAC of the bits.
"""

from collections.abc import Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from bellweave.errors import DeliveryError
from bellweave.kms.records import Account, Block, Buffer, KeyNote, Material, Portion, Purpose, Statement, Stock

R = TypeVar("R")


class Operation(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """Base; ``R`` is the type of its result."""


# -------------------------------------------------------------------------------------------------------- blocks, pools


class AddBlock(Operation[bool], frozen=True):
    """Hold a block, unconfirmed. ``ingested`` -> ``available``.

    Result: True; False if the same block (id and bits) is or was there. Errors: :class:`PeerRefused` if another block
    is or was there under that id.
    """

    block: Block


class Waiting(Operation[tuple[Block, ...]], frozen=True):
    """Return unconfirmed blocks of a pool, in the order in which they came: those named, or the first ``limit``."""

    pool: str
    limit: int = 64
    block_ids: tuple[str, ...] | None = None


class Settle(Operation[bool], frozen=True):
    """Confirm a block, or put it into quarantine (no bit of which is ever used).

    ``tag_bytes`` at the block's end are spent (``available`` -> ``authentication``); all else -> ``quarantined`` where
    the verdict is that. Result: False if that had been done before; the other verdict then is :class:`PeerRefused`.
    """

    pool: str
    block_id: str
    verdict: Literal["confirmed", "quarantined"]
    tag_bytes: int


Verdict = Literal["waiting", "confirmed", "quarantined"]


class Verdicts(Operation[tuple[Verdict | None, ...]], frozen=True):
    """Return what became of these blocks, also of those that are used up or purged by now; None: never here."""

    pool: str
    block_ids: tuple[str, ...]


class Free(msgspec.Struct, frozen=True, kw_only=True):
    """What of a confirmed block is in no portion yet: ``length_bytes`` from ``start_bytes`` on."""

    block_id: str
    start_bytes: int
    length_bytes: int
    statement: Statement
    expires_s: float


class FreeBlocks(Operation[tuple[Free, ...]], frozen=True):
    """Return what is free in a pool, oldest block first, until it adds up to ``least_bytes`` or all are listed."""

    pool: str
    least_bytes: int


class Cut(Operation[int], frozen=True):
    """Make portions, each at the front of what is free in its block. At both ends.

    Numbers must go on where the pool's stop; portions that are there already, the same, are passed over. Result: the
    pool's next number. Errors: :class:`PeerRefused` if a block is unknown or unconfirmed, its bytes are not the next
    free ones, or a number is missing or names another portion: then none of them is made.
    """

    portions: tuple[Portion, ...]


class Portions(Operation[tuple[Portion, ...]], frozen=True):
    """Return a pool's portions from ``number`` on, in order, at most ``limit``."""

    pool: str
    number: int
    limit: int = 256


class NextNumber(Operation[int], frozen=True):
    """Return the number that a pool's next portion gets."""

    pool: str


# ----------------------------------------------------------------------------------------------- the master's KME


class Claim(Operation[tuple[Stock, ...]], frozen=True):
    """Give a server portions of a buffer to consume, oldest first, until they hold ``least_bytes`` unused, or all.

    Portions that another server holds are passed over, unless it has not been heard of for its lease. A server gets its
    own again after a restart if it asks with ``again``. Used-up and expired portions are left out.
    """

    buffer: Buffer
    server: str
    least_bytes: int
    now_s: float
    again: bool = False


class Deliver(Operation[None], frozen=True):
    """Record keys as delivered to their master, durably, before the answer leaves.

    The slices' portions' cursors move to the slices' ends; what a cursor jumps over is ``purged``. Ledger:
    ``available`` -> ``delivered``, ``relay_pads`` or ``expansion`` by the notes' purpose. Errors: :class:`PeerRefused`
    if a slice starts before its portion's cursor, or a kept key's id is in use for a key that waits.

    Attributes:
        notes: The keys; none has a copy.
        keep: Notes that wait here, too, for SAEs of this KME (multicast, ETSI 004); their slices are of ``notes``.
    """

    notes: tuple[KeyNote, ...]
    now_s: float
    keep: tuple[KeyNote, ...] = ()


class Skip(Operation[None], frozen=True):
    """Move the cursors of portions forward to the peer's marks; what is jumped over is ``purged``. Never backward.

    Or the marks of portions that the peer consumes to its cursors, after a backup.
    """

    pool: str
    cursors: tuple[tuple[int, int], ...]  # (number, bytes)


class Drop(Operation[None], frozen=True):
    """Give up portions, whatever is left of them (the peer lacks their block): ``available`` -> ``purged``."""

    pool: str
    numbers: tuple[int, ...]


# ------------------------------------------------------------------------------------------------ the slave's KME


class Record(Operation[tuple[str | None, ...]], frozen=True):
    """Store announced keys and raise the marks of their portions. ``available`` -> ``reserved``; jumped over: purged.

    Result: for each note None, or why it was refused: its portion is unknown (the text starts with ``unknown
    portion``), a slice lies below the mark or past the portion's end, or the key id is in use for another key. A note
    that is there already, the same, counts as stored.
    """

    notes: tuple[KeyNote, ...]
    now_s: float


class Marks(Operation[tuple[int, ...]], frozen=True):
    """Return the marks of a pool's portions, bytes; -1 for one that is not there.

    Of a portion that is consumed at this KME it is the cursor: a peer whose store comes from a backup asks for that.
    """

    pool: str
    numbers: tuple[int, ...]


class Take(Operation[tuple[Material, ...]], frozen=True):
    """Take keys that wait: all or none, in the order asked for. ``reserved`` -> what their purpose says.

    Errors: :class:`UnknownKeys` if one of them is not there, has expired, is of another master, or the caller has had
    it; else :class:`NotEntitled` if one of them does not wait for the caller. A note goes when its last slave has taken
    it; a pool's bits are booked as delivered once, when its first slave does.

    Attributes:
        master: Whose keys; None: whoever's.
    """

    caller: str
    master: str | None
    key_ids: tuple[bytes, ...]
    now_s: float


class Withdraw(Operation[int], frozen=True):
    """Forget keys that wait (their master did not get them). ``reserved`` -> ``purged``.

    Result: how many there were.
    """

    key_ids: tuple[bytes, ...]
    now_s: float


class WithdrawAll(Operation[int], frozen=True):
    """Forget all keys that wait with slices of these pools: this store came from a backup. Result: how many."""

    pools: tuple[str, ...]
    now_s: float


# ------------------------------------------------------------------------------------------------- looking, keeping


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is, in bytes; kept up to date, not counted.

    Attributes:
        buffer_bytes: Unused in the buffer's portions.
        free_bytes: Confirmed in the pool and in no portion.
        waiting_bytes: Not confirmed yet.
    """

    buffer_bytes: int
    free_bytes: int
    waiting_bytes: int


class Levels(Operation[tuple[Level, ...]], frozen=True):
    """Return the level of each of these buffers."""

    buffers: tuple[Buffer, ...]


class Accounts(Operation[dict[str, dict[Account, int]]], frozen=True):
    """Return the ledger: pool -> account -> bits."""


class Purge(Operation[int], frozen=True):
    """Erase what has expired or is used up: blocks, portions, keys that wait; and finished blocks' data keys.

    A portion keeps its number and place: a peer whose store comes from a backup asks for them. Bounded work: at most
    ``limit`` rows of each kind. Result: bits booked as ``purged``.
    """

    now_s: float
    limit: int = 256


class Renew(Operation[None], frozen=True):
    """Keep a server's claims alive: it is heard of until ``until_s``."""

    server: str
    until_s: float


class Witness(Operation[int], frozen=True):
    """Remember how many changes a peer's store has seen (never lowered); result: the highest number ever told.

    A KME keeps the count of its own store's changes under its own name.
    """

    peer: str
    changes: int = 0


class Store(Protocol):
    """A key store of one KME."""

    def apply(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run a batch, make it durable, and return each operation's result or its :class:`DeliveryError`.

        Raises:
            StoreFailed: Nothing was changed.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


Result = DeliveryError | Any

SPENT_ON: dict[Purpose, Account] = {"application": "delivered", "relay": "relay_pads", "expansion": "expansion"}
"""The account that a key's purpose books its bits on."""
