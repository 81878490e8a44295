"""What a key management entity keeps: blocks in pools, portions of them in buffers, and keys that wait.

The way of a bit::

    SecretBlock --ingest--> held block, in a pool --confirm--> --cut--> portion, in a buffer
                                                                           |
      the master's KME:   cursor moves over the portion  ---> key, delivered with enc_keys
      the slave's KME:    mark follows, as announced     ---> key waits ---> taken with dec_keys

A **pool** is what two KMEs hold alike, of one origin; both use the same name for it (:func:`pool_name`). Its *lead*,
the first of the two in the alphabet, decides which bytes of which block go into which **buffer**: (master SAE, slave
SAE, pool). So bits are set aside once, by one party, and a buffer is consumed by one party, its master's KME, from the
front: no two requests can get the same bits, wherever they are made.

A key's material is a list of slices of portions, so any multiple of 8 bits can be merged and split. The master's KME
announces the slices of a key *before* it delivers it; the slave's KME stores the announcement durably and raises its
mark. The mark is the truth after a crash: a KME that starts, or whose store comes from a backup, first asks for it.

Material is bytes here; what less than a byte is left of a block is purged.
"""

from typing import Literal

import msgspec

from bellweave.blocks import Origin, Provenance

Purpose = Literal["application", "relay", "expansion"]
"""Who gets a key: an SAE, the next KME of a relay or multicast (as a pad), or a generator (as a seed)."""

Account = Literal[
    "ingested",
    "available",
    "reserved",
    "delivered",
    "relay_pads",
    "expansion",
    "authentication",
    "purged",
    "quarantined",
]
"""Accounts of a pool's ledger, in bits: ingested = the sum of all others, at any time, at either end.

``reserved`` is what waits for an SAE, ``authentication`` what confirmation cost, ``purged`` what nobody will get.
"""

MAX_BLOCK_BYTES = 32 * 1024
"""Longest held block; a longer SecretBlock is held in parts. The unit of erasure: one data key each."""

KEY_ID_BYTES = 16


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the records."""


def pool_name(kme: str, other: str, origin: Origin) -> str:
    """Return the name that both KMEs use for what they share of this origin.

    >>> pool_name("kme-b", "kme-a", "direct")
    'kme-a|kme-b/direct'
    """
    first, second = sorted((kme, other))
    return f"{first}|{second}/{origin}"


class Buffer(Frozen, frozen=True):
    """Whose key it will be.

    A KME is a master or slave too, under the name ``@`` + its own, when it needs pads or seeds.
    """

    master: str
    slave: str
    pool: str


class Statement(Frozen, frozen=True):
    """What is known of some key material; a key's statement is :func:`merged` from those of its slices.

    Attributes:
        block_ids: SecretBlocks whose bits it is made of.
        origin: Of the pool.
        hops: Links crossed; 1 if direct.
        epsilon: Failure probability of the proofs, summed.
        provable: Whether all of it is proven secret (a block that is longer than its proof allows is not).
        provenance: Where the bits come from.
        made_s: When the oldest of it was distilled, by the clock of the caller.
    """

    block_ids: tuple[str, ...]
    origin: Origin
    hops: int
    epsilon: float
    provable: bool
    provenance: Provenance
    made_s: float


class Block(Frozen, frozen=True):
    """A SecretBlock, or part of one, as a pool holds it.

    Attributes:
        pool: Whose it is.
        block_id: Unique in the pool; parts of a SecretBlock end in ``#0``, ``#1``...
        material: The bytes. Never shown.
        statement: What is known of them.
        expires_s: When it is purged.
    """

    pool: str
    block_id: str
    material: bytes
    statement: Statement
    expires_s: float

    def __repr__(self) -> str:
        return f"<Block {self.block_id} of {self.pool}: {len(self.material)} bytes>"


class Portion(Frozen, frozen=True):
    """Bytes of a confirmed block, set aside for one buffer.

    Attributes:
        buffer: Whose it is; ``buffer.pool`` is the block's pool.
        number: Counts up in the pool from 0, without gaps: a KME that misses one asks for it.
        block_id: Of which block.
        start_bytes, length_bytes: Where in it. Portions of a block follow each other without gaps.
    """

    buffer: Buffer
    number: int
    block_id: str
    start_bytes: int
    length_bytes: int


class Stock(Frozen, frozen=True):
    """A portion in the hands of the server that consumes it.

    Attributes:
        portion: Which one.
        cursor_bytes: How much of its front is used up, as far as the store knows.
        material: All of its bytes. Never shown.
        statement: Of its block.
        expires_s: When its block ends.
    """

    portion: Portion
    cursor_bytes: int
    material: bytes
    statement: Statement
    expires_s: float

    def __repr__(self) -> str:
        return f"<Stock {self.portion.buffer.pool} {self.portion.number}: {self.cursor_bytes} bytes used>"


class Slice(Frozen, frozen=True, array_like=True):
    """Bytes ``start_bytes`` to ``start_bytes + length_bytes`` of a portion (counted from the portion's start)."""

    number: int
    start_bytes: int
    length_bytes: int


class KeyNote(Frozen, frozen=True, array_like=True):
    """A key that waits at a KME for those who may take it. It holds no material but a sealed copy, if any.

    Attributes:
        key_id: 16 random bytes; for a chunk of an ETSI 004 stream a hash of stream and index.
        pool: The pool of its slices.
        master: Who drew it.
        slaves: Who may take it at the KME that holds the note, each once.
        size_bytes: Length of the key.
        slices: Its material, in order; empty if there is a copy.
        copy: The material itself, for a KME that does not share the pool: one-time-padded on the wire, in the clear
            towards the store (which seals it). Never shown.
        pad_id: The key that pads ``copy`` on the wire.
        purpose: What it is for.
        expires_s: When it stops waiting.
        statement: What is known of it. On the wire only where there is a copy; a KME that has the slices knows.
    """

    key_id: bytes
    pool: str
    master: str
    slaves: tuple[str, ...]
    size_bytes: int
    slices: tuple[Slice, ...]
    expires_s: float
    purpose: Purpose = "application"
    copy: bytes | None = None
    pad_id: bytes | None = None
    statement: Statement | None = None

    def __repr__(self) -> str:
        return f"<KeyNote {self.key_id.hex()}: {self.size_bytes} bytes for {', '.join(self.slaves)}>"


class Material(Frozen, frozen=True):
    """A key that leaves the store.

    Attributes:
        key_id: 16 bytes.
        master: Who drew it.
        bits: The key. Never shown.
        statement: What is known of it.
    """

    key_id: bytes
    master: str
    bits: bytes
    statement: Statement

    def __repr__(self) -> str:
        return f"<Material {self.key_id.hex()}: {len(self.bits)} bytes>"


def merged(statements: tuple[Statement, ...]) -> Statement:
    """Return what is known of material that is made of these, at least one."""
    if len(statements) == 1:
        return statements[0]
    rank: dict[Origin, int] = {"direct": 0, "relayed": 1, "expanded": 2}
    oldest = min(statements, key=lambda each: each.made_s)
    return Statement(
        block_ids=tuple(dict.fromkeys(name for each in statements for name in each.block_ids)),
        origin=max((each.origin for each in statements), key=lambda origin: rank[origin]),
        hops=max(each.hops for each in statements),
        epsilon=min(1.0, sum(each.epsilon for each in statements)),
        provable=all(each.provable for each in statements),
        provenance=next((each.provenance for each in statements if each.provenance == "test"), oldest.provenance),
        made_s=oldest.made_s,
    )
