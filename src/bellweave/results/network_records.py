"""What a network run leaves behind: events in the order of virtual time, one a line of ``events.jsonl``.

Counts and moments only; rates, fairness and waiting times are computed when read. Equal runs have byte-identical
files.
"""

from typing import Literal

import msgspec

from bellweave.results.records import BlockRecord


class Happening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Base: ``at_s``, seconds of virtual time since the start of the run."""

    at_s: float


class SlotBegan(Happening, frozen=True):
    """A slot begins.

    Attributes:
        slot: Its number.
        links: The links that it serves; empty: idle.
        lost_s: What reconfiguration and synchronisation take of it from links that the slot before did not serve,
            photon time (``schedule.speed``).
    """

    slot: int
    links: tuple[str, ...]
    lost_s: float


class BlockDistilled(Happening, frozen=True):
    """A block, or several distilled as one, was distilled at both ends; ``at_s``: its key reached the KMEs.

    Attributes:
        slot: Whose photons completed it.
        block: Its counts.
        ingested_bits: What both KMEs took: whole bytes of ``block.ledger.final``, or 0 if a node failed meanwhile.
    """

    slot: int
    block: BlockRecord
    ingested_bits: int = 0


class Delivered(Happening, frozen=True):
    """A KME answered a gateway.

    Attributes:
        tunnel: Whose gateway.
        side: Which end asked: ``client`` by ``enc_keys``, ``server`` by ``dec_keys``.
        status: HTTP status of the ETSI 014 answer.
        outcome: One word, such as ``delivered`` or ``not_enough_key``.
        key_id: UUID; empty where none was delivered.
        bits, provable_bits: Of the key.
        waited_s: How long the answer took.
    """

    tunnel: str
    side: Literal["client", "server"]
    status: int
    outcome: str
    key_id: str
    bits: int
    provable_bits: int
    waited_s: float


class SessionBegan(Happening, frozen=True):
    """Both ends use this key from now on. ``renewed``: with the key that it had before (``session_s`` was over)."""

    tunnel: str
    key_id: str
    renewed: bool = False


class SessionEnded(Happening, frozen=True):
    """Attributes: ``reason``: ``replaced``, ``renewed``, ``expired``, ``failed`` or ``end of run``."""

    tunnel: str
    key_id: str
    reason: str


class Starved(Happening, frozen=True):
    """A fresh key was due and could not be had; ``held`` says whether the old session stays."""

    tunnel: str
    reason: str
    held: bool


class LevelSampled(Happening, frozen=True):
    """Key in stock on a link, bits, both ends' pools alike; ``waiting_bits`` are delivered but not fetched."""

    link: str
    level_bits: int
    waiting_bits: int


class Alarmed(Happening, frozen=True):
    """The monitor raised an alarm (or, with ``over``, it ended)."""

    link: str
    reason: str
    qber: float | None
    over: bool = False


class FaultChanged(Happening, frozen=True):
    """A fault of the scenario begins (``active``) or ends."""

    fault: str
    active: bool


class LedgerClosed(Happening, frozen=True):
    """At the end of the run: every bit of a link, as each end's KME booked it; and from photon to key.

    Attributes:
        kme: Whose books.
        accounts: Account to bits, see :mod:`bellweave.kms.records`.
    """

    link: str
    kme: str
    accounts: dict[str, int]


# ------------------------------------------------------------------------------------------------- only when emulated


class ProcessChanged(Happening, frozen=True):
    """A process of an emulated network started, serves, ended, or was told to do something.

    Attributes:
        process: ``source``, a node's name, ``world``, or ``charon NAME``; or ``channel``: its detail is what protects
            the run's tunnels.
        state: ``started``, ``ready``, ``ended``, ``killed`` (by a fault).
        detail: For people.
    """

    process: str
    state: Literal["started", "ready", "ended", "killed"]
    detail: str = ""


class Refreshed(Happening, frozen=True):
    """A tunnel's client end has brought a fresh key into use; how long each step took.

    Attributes:
        enc_s: ``enc_keys``, from request to answer.
        peer_s: From telling the peer to its acknowledgement: ``dec_keys`` and loading.
        switch_s: The new session, verified, and the old one retired.
        total_s: All of it.
    """

    tunnel: str
    key_id: str
    enc_s: float
    peer_s: float
    switch_s: float
    total_s: float


class Probed(Happening, frozen=True):
    """What a tunnel's probe stream met in the interval that ends now.

    Attributes:
        sent, received: Probes and their echoes; a probe that is still on its way counts in the interval it was sent in.
        lost: Probes whose echo did not come in time.
        longest_gap_s: Longest time between two echoes.
        rtt_s: Median round trip; None without any echo.
        bits_per_s: Payload that came back, in bits/s.
    """

    tunnel: str
    sent: int
    received: int
    lost: int
    longest_gap_s: float
    rtt_s: float | None
    bits_per_s: float


class BlockLost(Happening, frozen=True):
    """A node gave up photons that it held: the link's other end lacks them, the two could not distil, or too few came.

    Attributes:
        node: Whose, or the node that failed; where the run ended too early, the link's Alice.
        blocks: Numbers of the link's blocks.
        reason: For people.
    """

    link: str
    node: str
    blocks: tuple[int, ...]
    reason: str


Event = (
    SlotBegan
    | BlockDistilled
    | Delivered
    | SessionBegan
    | SessionEnded
    | Starved
    | LevelSampled
    | Alarmed
    | FaultChanged
    | LedgerClosed
    | ProcessChanged
    | Refreshed
    | Probed
    | BlockLost
)
