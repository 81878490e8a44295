"""The audit trail: who got what, when, and a fingerprint of it, in the transaction that did it.

Rules:

1. One row holds the events of one batch. It is MACed together with the row before it, so a row that is altered, missing
   or out of order shows. Servers that share a store have one chain each.
2. Rows at the end can be cut off unseen by whoever can write to the database: note a chain's head (:class:`Head`)
   where they can't, and compare.
3. The oldest rows can be removed (:func:`cut`). Where the chain begins then is noted under a MAC, so that it shows
   if other rows are removed.
4. No secrets: bits appear as HMAC-SHA256 under a key that is derived from the master key, and the same bits always
   alike, in one store; other stores have other fingerprints of them.
"""

import hmac
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Literal

import msgspec
from sqlalchemy import bindparam, delete, literal_column, select

from bellweave.edge.sql_store import meta, schema
from bellweave.edge.sql_store.database import Database
from bellweave.edge.sql_store.meta import opened_sealer
from bellweave.edge.sql_store.sealing import Fingerprint
from bellweave.errors import StoreFailed

What = Literal["ingested", "confirmed", "quarantined", "delivered", "stored", "taken", "withdrawn", "expired"]
"""``stored``: announced by another KME, or kept here for SAEs of this one. ``expired``: withdrawn for its age."""

START = bytes(32)
"""The MAC before a chain's first row."""

_PAGE = 256
_BASE = "audit begins after: "


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened to a block or a key.

    Attributes:
        what: See :data:`What`.
        at_s: When, by the clock of the operations; for blocks the last time that the store was told before.
        who: The SAE that took a key, its master, or a block's pool.
        whom: The SAEs that may take the key, or its master where it was taken.
        subject: Key id (16 bytes, hex) or block id.
        size_bytes: How much.
        fingerprint: HMAC-SHA256 of the bits, hex; empty where none left or came in.
    """

    what: What
    at_s: float
    who: str
    whom: tuple[str, ...]
    subject: str
    size_bytes: int
    fingerprint: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what a server did in one transaction."""

    server: str
    seq: int
    events: tuple[Event, ...]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How far a server's chain goes; ``mac`` in hex."""

    server: str
    seq: int
    mac: str


RawEvent = tuple[What, float, str, tuple[str, ...], bytes | str, int, bytes]
"""An event as it is stored: ids and fingerprints as bytes."""


def encoded(events: list[RawEvent]) -> bytes:
    """Return events as a row holds them."""
    return msgspec.msgpack.encode(events)


def link(chain: Fingerprint, server: str, seq: int, previous: bytes, events: bytes) -> bytes:
    """Return the MAC of a row."""
    name = server.encode()
    return chain(b"".join((len(name).to_bytes(4, "big"), name, seq.to_bytes(8, "big"), previous, events)))


def read_audit(url: str, server: str | None = None, *, after: int = 0) -> Iterator[Entry]:
    """Yield a store's entries after number ``after``, server by server, without checking them; needs no master key.

    Raises:
        StoreFailed: The store can't be read.
    """
    database = Database(url)
    database.require()
    try:
        for name, seq, events, _ in _rows(database, server, after):
            yield Entry(server=name, seq=seq, events=tuple(map(_event, msgspec.msgpack.decode(events))))
    finally:
        database.close()


def verify(url: str, master_key: bytes, heads: tuple[Head, ...] = ()) -> tuple[Head, ...]:
    """Check every chain from its beginning and return their heads.

    Args:
        url: Of the store.
        master_key: 32 bytes.
        heads: Some that were noted earlier: the chains must go that far, and be the same there.

    Raises:
        StoreFailed: A row was altered, is missing, or the store can't be read.
    """
    database = Database(url)
    database.require()
    try:
        with database.transaction(write=False):
            chain = opened_sealer(database, master_key).chain
            bases = _bases(database, chain)
        noted = {(head.server, head.seq): head.mac for head in heads}
        found: dict[str, Head] = {}
        for server, seq, events, mac in _rows(database, None, 0):
            head = found.get(server) or bases.get(server) or Head(server=server, seq=0, mac=START.hex())
            if seq != head.seq + 1:
                raise StoreFailed(f"the audit trail of server {server!r} lacks row {head.seq + 1}")
            if not hmac.compare_digest(link(chain, server, seq, bytes.fromhex(head.mac), events), bytes(mac)):
                raise StoreFailed(f"row {seq} of the audit trail of server {server!r} was altered")
            found[server] = Head(server=server, seq=seq, mac=bytes(mac).hex())
            _compare(found[server], noted)
        for base in bases.values():
            if base.server not in found:
                raise StoreFailed(f"the audit trail of server {base.server!r} lacks row {base.seq + 1}")
            _compare(base, noted)
        for server, seq in noted:
            if server not in bases or seq > bases[server].seq:
                raise StoreFailed(f"the audit trail of server {server!r} ends before row {seq}, which was noted")
        return tuple(found.values())
    finally:
        database.close()


def _compare(head: Head, noted: dict[tuple[str, int], str]) -> None:
    """Check a row that was noted, and take it off the list."""
    if not hmac.compare_digest(noted.pop((head.server, head.seq), head.mac), head.mac):
        raise StoreFailed(f"row {head.seq} of the audit trail of server {head.server!r} is not the one that was noted")


def cut(url: str, master_key: bytes, before_s: float) -> int:
    """Remove the oldest rows, those that tell of nothing later; return how many. The KME may run meanwhile.

    A chain's last row stays, for the next one hangs on it.

    Args:
        url: Of the store.
        master_key: 32 bytes.
        before_s: Unix time.

    Raises:
        StoreFailed: A chain does not hold, and nothing was removed; or the store can't be read or written.
    """
    heads = verify(url, master_key)
    database = Database(url)
    try:
        with database.transaction(write=False):
            chain = opened_sealer(database, master_key).chain
        return sum(_cut(database, chain, head, before_s) for head in heads)
    finally:
        database.close()


def _cut(database: Database, chain: Fingerprint, head: Head, before_s: float) -> int:
    """Remove old rows of one chain, some in each transaction."""
    c = schema.AUDIT.c
    page = (
        select(c.seq, c.events, c.mac)
        .where(c.server == bindparam("server"), c.seq < bindparam("last"))
        .order_by(c.seq)
        .limit(bindparam("most"))
        .offset(literal_column("0"))
    )
    first = database.compiled(page, "server", "last", "most")
    remove = delete(schema.AUDIT).where(c.server == bindparam("server"), c.seq <= bindparam("seq"))
    removing = database.compiled(remove, "server", "seq")
    removed = 0
    while True:
        with database.transaction():
            rows = database.execute(first, (head.server, head.seq, _PAGE)).fetchall()
            old = list(takewhile(lambda row: _latest_s(bytes(row[1])) < before_s, rows))
            if old:
                seq, mac = old[-1][0], bytes(old[-1][2])
                tag = _base_tag(chain, head.server, seq, mac)
                meta.write(database, f"{_BASE}{head.server}", f"{seq} {mac.hex()} {tag.hex()}")
                database.execute(removing, (head.server, seq))
        removed += len(old)
        if len(old) < _PAGE:
            return removed


def _latest_s(events: bytes) -> float:
    return max((float(raw[1]) for raw in msgspec.msgpack.decode(events)), default=float("-inf"))


def _bases(database: Database, chain: Fingerprint) -> dict[str, Head]:
    """Return the last row that was removed from each chain, in a transaction under way."""
    found = {}
    for name, value in meta.read(database).items():
        if not name.startswith(_BASE):
            continue
        server, (seq, mac, tag) = name.removeprefix(_BASE), value.split()
        if not hmac.compare_digest(_base_tag(chain, server, int(seq), bytes.fromhex(mac)), bytes.fromhex(tag)):
            raise StoreFailed(f"where the audit trail of server {server!r} begins was altered")
        found[server] = Head(server=server, seq=int(seq), mac=mac)
    return found


def _base_tag(chain: Fingerprint, server: str, seq: int, mac: bytes) -> bytes:
    """Return the MAC of a chain's beginning; no row's is made of such bytes, for no server's name is that long."""
    return chain(b"".join((b"base", seq.to_bytes(8, "big"), mac, server.encode())))


def _event(raw: list[Any]) -> Event:
    what, at_s, who, whom, subject, size_bytes, fingerprint = raw
    name = subject.hex() if isinstance(subject, bytes) else subject
    return Event(what, at_s, who, tuple(whom), name, size_bytes, fingerprint.hex())


def _rows(database: Database, server: str | None, after: int) -> Iterator[tuple[str, int, bytes, bytes]]:
    c = schema.AUDIT.c
    names = database.compiled(select(c.server).distinct().order_by(c.server))
    page = (
        select(c.seq, c.events, c.mac)
        .where(c.server == bindparam("server"), c.seq > bindparam("after"))
        .order_by(c.seq)
    )
    text = database.compiled(page.limit(bindparam("most")).offset(literal_column("0")), "server", "after", "most")
    with database.transaction(write=False):
        servers = [server] if server is not None else [row[0] for row in database.execute(names).fetchall()]
    for name in servers:
        last = after
        while True:
            with database.transaction(write=False):
                rows = database.execute(text, (name, last, _PAGE)).fetchall()
            for seq, events, mac in rows:
                yield name, seq, bytes(events), bytes(mac)
                last = seq
            if len(rows) < _PAGE:
                break
