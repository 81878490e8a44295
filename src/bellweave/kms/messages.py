"""What KMEs say to each other. Every message is a question; its answer is the kind that its docstring names.

Sender and receiver are bound by the mutual TLS connection that carries them (:mod:`bellweave.edge.kme_link`) and named
in :class:`Hello`. All are idempotent: after a cut the sender may say the same again. An answer can also be
:class:`Refused`.
"""

from typing import Literal

from bellweave.dialogue import Codec, Message
from bellweave.kms.records import Buffer, KeyNote, Portion, Statement
from bellweave.kms.stream_terms import Terms

PROTOCOL = 1


class Refused(Message, frozen=True):
    """The answer to anything that can't be done; words for the log, never key bytes."""

    problem: str


class Done(Message, frozen=True):
    """The answer where there is nothing to say."""


class Hello(Message, frozen=True):
    """First on every connection, each way. Answer: :class:`Welcome`.

    Attributes:
        sender, receiver: Names of the KMEs; they must match certificate and configuration.
        store: Random name that the sender's store got when it was made.
        changes: How many changes of its own the sender's store has counted.
    """

    sender: str
    receiver: str
    store: str
    changes: int
    protocol: int = PROTOCOL


class Welcome(Message, frozen=True):
    """Attributes: ``changes``: the most that this KME has ever been told of the other's store.

    One that has counted fewer comes from a backup.
    """

    changes: int


class Confirm(Message, frozen=True):
    """The lead's proof that it holds these blocks. Answer: :class:`Confirmed`.

    A tag is Poly1305 over pool, block id and the block's bytes but the last, with the public random ``key`` (drawn
    after both ends hold the block) and the block's last ``confirmation_bits`` as the pad that masks it: it tells
    nothing of the bytes.

    Attributes:
        key: 16 random bytes; empty: it is only asked which of the blocks are there, and the tags are empty, too.
        tags: (block id, tag); a block that is too short to pay for its tag has an empty one.
    """

    pool: str
    key: bytes
    tags: tuple[tuple[str, bytes], ...]


class Confirmed(Message, frozen=True):
    """Attributes: ``verdicts``: for each block; ``absent``: not here yet, ask again later; ``held``: here, no proof."""

    verdicts: tuple[Literal["confirmed", "quarantined", "absent", "held"], ...]


class Assign(Message, frozen=True):
    """The lead has cut these portions. Answer: :class:`Next`, the number that the other end's next portion gets."""

    portions: tuple[Portion, ...]


class Next(Message, frozen=True):
    """Attributes: ``number``: if it is lower than the sender of :class:`Assign` thinks, portions are missing here."""

    number: int


class Want(Message, frozen=True):
    """To the lead: cut portions of this many bytes for a buffer, and those I may have missed. Answer: :class:`Assign`.

    Attributes:
        number: The first portion that the sender lacks.
        least_bytes: Fewer are of no use: cut none then. A key is whole or not at all.
    """

    buffer: Buffer
    number: int
    least_bytes: int
    most_bytes: int


class AskMarks(Message, frozen=True):
    """How far are these portions used, as far as you were told? Answer: :class:`MarksAre`."""

    pool: str
    numbers: tuple[int, ...]


class MarksAre(Message, frozen=True):
    """Attributes: ``marks``: bytes of each; -1 where the portion is not there."""

    marks: tuple[int, ...]


class Announce(Message, frozen=True):
    """These keys are about to be delivered. Answer: :class:`Announced`.

    Links join the announcements of many requests into one.
    """

    notes: tuple[KeyNote, ...]


class Announced(Message, frozen=True):
    """Attributes: ``problems``: None for each key that is stored durably, else why not."""

    problems: tuple[str | None, ...]


class Retract(Message, frozen=True):
    """These announced keys were not delivered: forget them. Answer: :class:`Done`."""

    key_ids: tuple[bytes, ...]


class Forward(Message, frozen=True):
    """A share of a relayed block, one-time-padded for the receiver. Answer: :class:`Forwarded`.

    Attributes:
        pool: The relayed pool.
        block_id: Of the block at the far end.
        share, shares: Which of how many XOR-shares.
        path: KMEs still to go, the receiver first, the far end last.
        pad_id: The key, drawn from the link that the message crosses, that pads ``data``.
        data: The padded share.
        statement: Of the pads so far; ``hops`` counts them.
        expires_s: Of the block.
    """

    pool: str
    block_id: str
    share: int
    shares: int
    path: tuple[str, ...]
    pad_id: bytes
    data: bytes
    statement: Statement
    expires_s: float


class Forwarded(Message, frozen=True):
    """What became of a share.

    Attributes:
        statement: Of all pads on the path, once the far end holds the share; None: it is held on the way, say it again.
        missing: The shares that the far end still lacks; empty: it holds the block, durably.
    """

    statement: Statement | None
    missing: tuple[int, ...] = ()


class Expand(Message, frozen=True):
    """Make a block of expanded key from a seed. Answer: :class:`Done`.

    Attributes:
        pool: The expanded pool.
        block_id: Of the block; it goes into the generator's context.
        seed_id: The key, drawn from the direct pool, that seeds it.
        size_bytes: Of the block.
        expires_s: Of the block.
    """

    pool: str
    block_id: str
    seed_id: bytes
    size_bytes: int
    expires_s: float


class OpenStream(Message, frozen=True):
    """An application opens, or joins, an ETSI 004 stream. Answer: :class:`StreamState`.

    Attributes:
        ksid: 16 bytes.
        source, destination: SAEs; the source is the sender's.
        terms: What the sender agreed on with it, unless the receiver knows of terms that were there before.
        master: Which of the two draws the chunks, as far as the sender knows.
        born: Random name of the sender's start: what it knew of streams before is lost.
    """

    ksid: bytes
    source: str
    destination: str
    terms: Terms
    master: str
    born: bytes


class StreamState(Message, frozen=True):
    """What the answering end knows of a stream.

    Attributes:
        state: Whether its application has opened it; ``closed``: it can't be opened (any more) under this KSID.
        terms, master: What counts from now on, at both ends.
        born: As in :class:`OpenStream`.
    """

    state: Literal["open", "unknown", "closed"]
    terms: Terms
    master: str
    born: bytes


class CloseStream(Message, frozen=True):
    """The application at the sender's end closed it: no new chunk is drawn. Answer: :class:`Next`.

    Its number is the first index above all chunks that the answering end has drawn, 0 if it draws none.
    """

    ksid: bytes


class WantChunk(Message, frozen=True):
    """To the KME whose SAE is the stream's master: draw this chunk, so that both ends hold it.

    Answer: :class:`ChunkState`, ``waits``, ``later`` (too little key now) or ``gone``.
    """

    ksid: bytes
    index: int


class DropChunk(Message, frozen=True):
    """From that KME: this attempt to draw a chunk came to nothing, as far as I know; forget it, so that I try again.

    Answer: :class:`ChunkState`, ``later`` if it was forgotten or never there, ``gone`` if the application has had it.
    """

    ksid: bytes
    index: int
    attempt: int


class ChunkState(Message, frozen=True):
    """What became of a chunk. ``attempt``: the one that its id was made with."""

    state: Literal["waits", "later", "gone"]
    attempt: int = 0


class Pulled(Message, frozen=True):
    """From the lead: I have fetched these keys from a vendor's device; fetch their copies at yours.

    Answer: :class:`Done`, before they are fetched.

    Attributes:
        vendor: The device's name in the configuration of both.
        key_ids: As the device spells them; together, in this order, they are one block, named after the first.
    """

    vendor: str
    key_ids: tuple[str, ...]


class Ping(Message, frozen=True):
    """Attributes: ``changes``: as in :class:`Hello`. Answer: :class:`Done`."""

    changes: int


CODEC = Codec(
    Refused, Done, Hello, Welcome, Confirm, Confirmed, Assign, Next, Want, AskMarks, MarksAre, Announce, Announced,
    Retract, Forward, Forwarded, Expand, OpenStream, StreamState, CloseStream, WantChunk, DropChunk,
    ChunkState, Pulled, Ping,
)  # fmt: skip
