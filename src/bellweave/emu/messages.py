"""What the source and the nodes say to each other over TLS: msgpack frames of :mod:`bellweave.edge.frames`.

A node dials the source and says :class:`Joined`; the source sends :class:`Begun` when all nodes have. What the source
sends of a slot goes to the two nodes of each link that it serves, and to each only what its own detectors saw.
"""

from typing import Annotated, Literal

import msgspec

from bellweave.blocks import SecretBlock
from bellweave.dialogue import Message

Count = Annotated[int, msgspec.Meta(ge=0)]


class Joined(Message, frozen=True):
    """Node to source: it is up. ``node`` must be the name in its certificate. Also after a restart."""

    node: str


class Begun(Message, frozen=True):
    """Source to node: the run has begun so long ago, wall clock; ``slot`` is the next one."""

    elapsed_s: float
    slot: int


class Stock(Message, frozen=True):
    """Node to source: key in stock on a link, for schedulers that look at it."""

    link: str
    level_bits: int


class Quantum(Message, frozen=True):
    """Source to node, at the end of a slot: what its detectors saw, and what is public about it.

    Exactly one of the two ways of saying what was seen is there, by the scenario's ``run.level``.

    Attributes:
        link: Which.
        number: Counts the link's blocks; names the random streams.
        slot: Number of the slot.
        start_s, block_s: When the block began and how long it was, photon time.
        time_ps, channel, setting: A :class:`~bellweave.blocks.Detections`, as bytes of int64, uint8, uint8 (empty: no
            settings), little endian.
        round_id, basis, bit: A :class:`~bellweave.blocks.Rounds`, as bytes of int64, uint8, uint8.
        duration_ps, channels: Of the detections.
    """

    link: str
    number: int
    slot: int
    start_s: float
    block_s: float
    time_ps: bytes = b""
    channel: bytes = b""
    setting: bytes = b""
    duration_ps: int = 0
    channels: int = 0
    round_id: bytes = b""
    basis: bytes = b""
    bit: bytes = b""

    def __repr__(self) -> str:
        return f"<Quantum {self.link} {self.number}>"


class Measurement(Message, frozen=True):
    """Source to slave, in ``physical`` mode: what this slave has of a block, and nothing of what the other one has.

    Attributes:
        demand, method: Whose block, and by which method.
        number: Counts the blocks of both.
        start_s, end_s: When it was measured.
        setting, bit: This slave's own setting (or basis) and outcome of each round, as bytes of uint8; rounds are
            numbered from 0.
        intensity: What this slave sent, with coherent pulses.
        announcement: What the master announced, in MDI-QKD.
    """

    demand: str
    method: Literal["backbone", "ekert91", "mdi"]
    number: int
    start_s: float
    end_s: float
    setting: bytes
    bit: bytes
    intensity: bytes | None = None
    announcement: bytes | None = None

    def __repr__(self) -> str:
        return f"<Measurement {self.demand} {self.method} {self.number}>"


class Reported(Message, frozen=True):
    """A demand's first slave to the source: what both made of a block; counts that both know, no bit of it.

    Attributes:
        demand, method, number: Which block.
        sifted_bits, final_bits, provable_bits, ingested_bits, qber, chsh, rejection: As in
            :class:`~bellweave.results.wide_records.KeyMade`.
    """

    demand: str
    method: Literal["backbone", "ekert91", "mdi"]
    number: int
    sifted_bits: Count = 0
    final_bits: Count = 0
    provable_bits: Count = 0
    ingested_bits: Count = 0
    qber: float | None = None
    chsh: float | None = None
    rejection: str | None = None


class Handed(Message, frozen=True):
    """Source to slave, in ``paper`` mode, where every pair that it measured is a bit of key: its half of a block."""

    demand: str
    block: SecretBlock


class Taken(Message, frozen=True):
    """The answer: so many bits of the block are with the node's KME; 0: it did not take it."""

    block_id: str
    bits: int


class Ended(Message, frozen=True):
    """Source to node: that was the last slot."""


# ------------------------------------------------------------------------------------- between the nodes of a link


class Proposed(Message, frozen=True):
    """One node to the other: let us distil these blocks as one.

    Attributes:
        link: Whose.
        blocks: Their numbers.
        singles: How many detections the sender has of them; None where there are only rounds.
    """

    link: str
    blocks: tuple[int, ...]
    singles: int | None


class Agreed(Message, frozen=True):
    """The answer: the sender has them all; the conversation follows on the same line."""

    singles: int | None


class Lacking(Message, frozen=True):
    """The answer: the sender does not have these, and never will. The other end gives them up."""

    blocks: tuple[int, ...]


class Concluded(Message, frozen=True):
    """Bob to Alice, when a conversation has ended: what she can't know.

    Attributes:
        sacrificed: How many of his detections calibration disclosed.
        ingested_bits: How much key his KME took.
    """

    sacrificed: int
    ingested_bits: int


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault on command, or its end: supervisor to source or node.

    Attributes:
        kind: ``eavesdropper`` and ``cut`` (of ``target``, a link; to the source), ``down`` (a node; the supervisor
            kills and later starts it), ``partition`` (``target``: the other KME), ``store`` (the KMS store can't be
            written), ``charon`` (``target``: a gateway; killed), ``clock`` (step by ``value`` seconds).
        on: Begins or ends.
        value: Share of intercepted photons, or seconds.
    """

    kind: str
    target: str
    on: bool = True
    value: float = 1.0
