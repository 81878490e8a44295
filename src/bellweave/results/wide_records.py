"""What a wide-area run leaves behind: events in the order of virtual time, one a line of ``events.jsonl``.

Counts and moments only, as in :mod:`bellweave.results.network_records`, whose events of key servers, tunnels and faults
are used here too; there, ``link`` is the name of a demand. Equal runs have byte-identical files.
"""

from bellweave.results.network_records import (
    Alarmed,
    BlockLost,
    Delivered,
    FaultChanged,
    Happening,
    LedgerClosed,
    LevelSampled,
    Probed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
    SessionEnded,
    Starved,
)


class Asked(Happening, frozen=True):
    """A slave asks another one for key: step 1. ``request`` numbers the requests of a run."""

    request: int
    demand: str


class LanesSet(Happening, frozen=True):
    """Both ends measure what comes along these lanes from now on.

    Attributes:
        request, demand: Whose.
        same_cluster: Bob's judgement.
        nodes: Of each lane, the first slave's first.
        units: Memory units on each edge of each lane.
        run: 1 for the first lanes of a request; more: a path was lost, and this is the one after it.
    """

    request: int
    demand: str
    same_cluster: bool
    nodes: tuple[tuple[str, ...], ...]
    units: tuple[tuple[int, ...], ...]
    run: int


class LanesEnded(Happening, frozen=True):
    """The lanes of a request make no more pairs. ``lost``: a node or an edge of them failed."""

    request: int
    demand: str
    lost: str = ""


class RequestEnded(Happening, frozen=True):
    """A request is over.

    Attributes:
        reason: One of :data:`bellweave.network.wide.agreement.messages.Reason`, or ``node failed``.
        runs: How often lanes were set up.
        losses: How often they were lost: each time another path was looked for.
    """

    request: int
    demand: str
    reason: str
    runs: int
    losses: int
    detail: str = ""


class KeyMade(Happening, frozen=True):
    """A block of a demand's key is at both ends.

    Attributes:
        demand: Whose.
        method: ``backbone``, ``ekert91`` or ``mdi``.
        pairs: End-to-end pairs measured for it, or rounds of MDI-QKD that were announced.
        sifted_bits: Of equal settings; in ``paper`` mode all pairs.
        final_bits: Key.
        provable_bits: What is proven of it.
        ingested_bits: What both KMEs took: whole bytes, or 0 if a node failed meanwhile.
        qber, chsh: As estimated at the ends; null where nothing was.
        rejection: Why there is no key; null if there is.
    """

    demand: str
    method: str
    pairs: int
    sifted_bits: int
    final_bits: int
    provable_bits: int
    ingested_bits: int
    qber: float | None = None
    chsh: float | None = None
    rejection: str | None = None


class Fetched(Happening, frozen=True):
    """Two hosts got keys by ETSI GS QKD 014 from their slaves' KMEs.

    Attributes:
        demand: Between whose slaves.
        master, slave: The hosts; the master asked first.
        keys: How many, each with the same bits at both.
        bits: Of all of them.
        origin: ``direct`` or ``expanded``.
        hand_over: ``none`` (the host is in the slave's room) or ``semi-quantum``.
    """

    demand: str
    master: str
    slave: str
    keys: int
    bits: int
    origin: str
    hand_over: str = "none"


class PairsClosed(Happening, frozen=True):
    """At the end of the run: every pair of a demand's lanes.

    created = swapped + measured + expired + purified + held.

    Attributes:
        created: By attempts, and by swaps and purifications that succeeded: each makes a pair with a label of its own.
        swapped: Used up by swaps, two each.
        measured: End-to-end pairs that both slaves measured.
        expired: Dropped: too old, or their path was lost.
        purified: Used up by purifications, two each.
        held: Still stored.
        attempts: That made them.
    """

    demand: str
    created: int
    swapped: int
    measured: int
    expired: int
    held: int
    attempts: int
    purified: int = 0


WideEvent = (
    Asked
    | LanesSet
    | LanesEnded
    | RequestEnded
    | KeyMade
    | Fetched
    | PairsClosed
    | Delivered
    | SessionBegan
    | SessionEnded
    | Starved
    | LevelSampled
    | FaultChanged
    | LedgerClosed
    | ProcessChanged  # from here on only when emulated
    | Refreshed
    | Probed
    | Alarmed
    | BlockLost
)
