"""What store operations book: which account of a pool the bits leave, and which they come to.

Rules:

1. All of a block is ``available`` when it comes in, and ``ingested`` for good.
2. Bytes move one way: available -> reserved -> what their purpose says; whatever nobody will get -> ``purged``.
3. Bytes are booked as delivered once, at the master's KME with :class:`~bellweave.kms.operations.Deliver`, at the
   slave's when its first slave takes the key. A note that is *kept* at the master's KME waits, but is booked already.
4. A copy has no bits of a pool that its KME shares: it books nothing.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from bellweave.kms.operations import SPENT_ON
from bellweave.kms.records import Account, KeyNote

ACCOUNTS: tuple[Account, ...] = get_args(Account)

Move = tuple[Account, Account, int]
"""(from, to, bits)"""


class Book:
    """The ledger of one pool, in bits."""

    def __init__(self) -> None:
        self.bits: dict[Account, int] = dict.fromkeys(ACCOUNTS, 0)

    def ingest(self, bits: int) -> None:
        """Book a block that came in."""
        self.bits["ingested"] += bits
        self.bits["available"] += bits

    def move(self, source: Account, target: Account, bits: int) -> None:
        """Book bits from one account to another."""
        self.bits[source] -= bits
        self.bits[target] += bits


def imbalance_bits(accounts: dict[Account, int]) -> int:
    """Return by how much a pool's ledger does not close: ingested less all others, 0 in a sound one.

    >>> imbalance_bits({"ingested": 8, "available": 8})
    0
    """
    return accounts.get("ingested", 0) - sum(bits for name, bits in accounts.items() if name != "ingested")


def settled(verdict: Literal["confirmed", "quarantined"], size_bytes: int, tag_bytes: int) -> tuple[Move, ...]:
    """Return what settling a block of this size books.

    >>> settled("confirmed", 100, 16)
    (('available', 'authentication', 128),)
    """
    tag: Move = ("available", "authentication", 8 * tag_bytes)
    if verdict == "confirmed":
        return (tag,)
    return (tag, ("available", "quarantined", 8 * (size_bytes - tag_bytes)))


def consumed(used_bytes: int, start_bytes: int, length_bytes: int, target: Account) -> tuple[Move, ...]:
    """Return what using a slice books, given how much of the portion's front was used before.

    >>> consumed(0, 32, 32, "delivered")
    (('available', 'purged', 256), ('available', 'delivered', 256))
    """
    spent: Move = ("available", target, 8 * length_bytes)
    jumped_bytes = start_bytes - used_bytes
    return (("available", "purged", 8 * jumped_bytes), spent) if jumped_bytes else (spent,)


def taken(note: KeyNote, *, booked: bool) -> tuple[Move, ...]:
    """Return what the taking of a key books; ``booked``: a slave took it before, or it is kept."""
    if booked or note.copy is not None:
        return ()
    return (("reserved", SPENT_ON[note.purpose], 8 * note.size_bytes),)


def given_up(note: KeyNote, *, booked: bool) -> tuple[Move, ...]:
    """Return what the end of a key books that was withdrawn or has expired; ``booked``: as in :func:`taken`."""
    if booked or note.copy is not None:
        return ()
    return (("reserved", "purged", 8 * note.size_bytes),)


def total_bits(moves: Iterable[Move], target: Account) -> int:
    """Return how many bits these moves bring to an account.

    >>> total_bits([("available", "purged", 8), ("available", "delivered", 16)], "purged")
    8
    """
    return sum(bits for _, to, bits in moves if to == target)
