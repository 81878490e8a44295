"""What a KME remembers of an ETSI 004 stream: in memory, as long as it runs.

A stream joins two SAEs. One of them is its *master*: that SAE's KME draws the chunks, each under an id that both ends
can tell (:func:`chunk_id`), so chunks outlive these records as ordinary keys that wait.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from bellweave.kms.records import KEY_ID_BYTES
from bellweave.kms.stream_terms import Terms

MOST_OUT_OF_ORDER = 65_536
"""Indexes that are remembered one by one. Who asks for more of them out of order loses the lowest gaps."""

State = Literal["absent", "open", "closed"]


def chunk_id(ksid: bytes, index: int, attempt: int = 0) -> bytes:
    """Return the key id of a chunk: the first 16 bytes of SHA-256 over KSID and index (uint32).

    Where its drawing came to nothing, the number of the attempt (uint32) follows: an id stands for one key, ever.

    >>> len({chunk_id(bytes(16), 1), chunk_id(bytes(16), 2), chunk_id(bytes(16), 2, 1)})
    3
    """
    more = attempt.to_bytes(4, "big") if attempt else b""
    return hashlib.sha256(ksid + index.to_bytes(4, "big") + more).digest()[:KEY_ID_BYTES]


class Seen:
    """A growing set of indexes, small where they come nearly in order: all below a floor, and some above."""

    def __init__(self) -> None:
        self.floor = 0
        self.end = 0
        self._above: set[int] = set()

    def __contains__(self, index: int) -> bool:
        return index < self.floor or index in self._above

    def add(self, index: int) -> None:
        """Add an index; ``end`` is one above the highest."""
        if index < self.floor:
            return
        self.end = max(self.end, index + 1)
        self._above.add(index)
        if len(self._above) > MOST_OUT_OF_ORDER:
            self.floor = min(self._above)
        while self.floor in self._above:
            self._above.discard(self.floor)
            self.floor += 1


@dataclass(slots=True)
class End:
    """An application of this KME that has opened a stream.

    Attributes:
        opened_s: When.
        taken: Chunks it has had.
        asking: Chunks it is being served.
        taking: Those of them that the store is handing out.
    """

    opened_s: float
    taken: Seen = field(default_factory=Seen)
    asking: set[int] = field(default_factory=set)
    taking: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Stream:
    """One stream, at one KME.

    Attributes:
        ksid: 16 bytes.
        opener: The SAE that it is counted for: who opened it first, as this KME saw it.
        master, slave: Its SAEs; chunks are drawn at the master's KME.
        terms: Agreed on.
        agreed: Whether the other end's KME knows of terms and master, so that they don't change any more.
        state: Of each SAE that has opened it, as far as it is known here.
        ends: The SAEs of this KME that have opened it.
        drawn: Chunks that were drawn here; those that can't be, too.
        drawing: Chunks that are being drawn here.
        doubtful: Chunks whose drawing failed so that the other end may hold them.
        attempts: Of chunks whose drawing came to nothing: how often.
        other_born: Which start of the other end's KME knows of the stream; empty: none is known to.
        telling: Calls that are telling the other KME of it right now.
        used_s: When it was last heard of.
    """

    ksid: bytes
    opener: str
    master: str
    slave: str
    terms: Terms
    used_s: float
    agreed: bool = False
    state: dict[str, State] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)
    drawn: Seen = field(default_factory=Seen)
    drawing: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    attempts: dict[int, int] = field(default_factory=dict)
    other_born: bytes = b""
    telling: int = 0

    def joins(self, sae: str, other: str) -> bool:
        """Return whether these are its SAEs."""
        return {sae, other} == {self.master, self.slave}

    def other(self, sae: str) -> str:
        """Return the SAE at the other end."""
        return self.slave if sae == self.master else self.master

    def of(self, sae: str) -> State:
        """Return what is known of an SAE's end."""
        return self.state.get(sae, "absent")

    def key_id(self, index: int) -> bytes:
        """Return the key id of a chunk, as far as attempts are known here."""
        return chunk_id(self.ksid, index, self.attempts.get(index, 0))

    def failed(self, index: int, attempt: int) -> None:
        """Note that this attempt came to nothing; the next one counts."""
        self.attempts[index] = max(self.attempts.get(index, 0), attempt + 1)

    def had(self, index: int) -> bool:
        """Return whether an application of this KME has, or may be getting, a chunk."""
        return any(index in end.taken or index in end.taking for end in self.ends.values())

    def forgotten_by(self, remote: str, born: bytes) -> bool:
        """Return whether the other end's KME draws the chunks and has started anew since it knew of the stream."""
        return remote == self.master and self.other_born not in {b"", born}

    def settle(self, terms: Terms, master: str) -> None:
        """Take over what the other end's KME knows."""
        if master != self.master:
            self.master, self.slave = self.slave, self.master
        self.terms = terms
        self.agreed = True

    @property
    def closed(self) -> bool:
        """Whether either application has closed it: nothing new is drawn."""
        return "closed" in self.state.values()
