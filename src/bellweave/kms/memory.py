"""What a key server holds in memory: whom it is in step with, and the shelves of the buffers that it consumes.

All of it can be lost at any time: the stores, and the peers' marks, are the truth.
"""

from bellweave.errors import NotMet, PeerUnreachable
from bellweave.kms.messages import Confirm
from bellweave.kms.params import Directory, Kms
from bellweave.kms.records import Buffer, pool_name
from bellweave.kms.roster import Roster
from bellweave.kms.shelf import Shelf
from bellweave.kms.wanted import Route
from bellweave.rng import Entropy


class Peer:
    """Another KME.

    Attributes:
        linked: Whether the link to it is up and greetings were exchanged on it.
        era: Counts greetings and losses: what was asked for in an earlier one may be out of date.
        aligned: The pools whose portions we have caught up with on this link.
        restored: The pools in which our store comes from a backup and does not know yet what has been used since.
        orphans: Ids of keys that it may have stored and nobody gets; it is told when it can be reached.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.linked = False
        self.era = 0
        self.aligned: set[str] = set()
        self.restored: set[str] = set()
        self.orphans: list[bytes] = []


class Memory:
    """The state of one server of a KME.

    Attributes:
        strangers: Peers that have not told, since this server started, how many changes of its store they know of:
            keys of theirs are not handed out.
        lost_blocks: (pool, block id) of blocks of which the peer turned out to have nothing; cut no more.
        confirming: Pool to the tags that were sent to the peer, or are about to be, and got no answer yet.
        changes: The last number counted of our store's changes.
        turns: Buffers that key was cut for at this server, to the number of the last time, counted over all of them.
    """

    def __init__(
        self, directory: Directory, params: Kms, entropy: Entropy, server: str, *, lowers_cursors: bool
    ) -> None:
        self.directory = directory
        self.params = params
        self.entropy = entropy
        self.server = server
        self.roster = Roster(directory, params)
        self.kme = directory.kme
        self.peers = {name: Peer(name) for name in self.roster.peers}
        self.strangers = set(self.peers)
        self.lost_blocks: set[tuple[str, str]] = set()
        self.confirming: dict[str, Confirm] = {}
        self.changes = 0
        self.turns: dict[Buffer, int] = {}
        self._cuts = 0
        self._lowers_cursors = lowers_cursors
        self._shelves: dict[Buffer, Shelf] = {}
        self._lanes: dict[tuple[str, str, Route | None], tuple[Shelf, ...]] = {}

    def lanes(self, master: str, slave: str, route: Route | None) -> tuple[Shelf, ...]:
        """Return the shelves that may serve a pair, in the order in which they are tried.

        Raises:
            NotMet: There are none: strangers, or no pool that goes that way.
        """
        lanes = self._lanes.get((master, slave, route))
        if lanes is None:
            lanes = self._find_lanes(master, slave, route)
            if not lanes:
                raise NotMet(f"no pool serves {master} for {slave}{f' on a {route} route' if route else ''}")
            self._lanes[master, slave, route] = lanes
        return lanes

    def _find_lanes(self, master: str, slave: str, route: Route | None) -> tuple[Shelf, ...]:
        peer = self.roster.kme_of(slave)
        if peer is None or not self.roster.allowed(master, slave):
            return ()
        only = {"direct": "direct", "indirect": "relayed", None: None}[route]
        return tuple(
            self.shelf(Buffer(master=master, slave=slave, pool=pool_name(self.kme, peer, origin)), peer)
            for origin in self.roster.origins(master, slave)
            if only in {None, origin}
        )

    def shelf(self, buffer: Buffer, peer: str) -> Shelf:
        """Return the shelf of a buffer."""
        shelf = self._shelves.get(buffer)
        if shelf is None:
            shelf = self._shelves[buffer] = Shelf(buffer, peer, lowers_cursors=self._lowers_cursors)
        return shelf

    def active_buffers(self) -> tuple[Buffer, ...]:
        """Return the buffers that were asked for since the start."""
        return tuple(buffer for buffer, shelf in self._shelves.items() if shelf.active)

    def took_turn(self, *buffers: Buffer) -> None:
        """Note that key was cut for these buffers, in this order: others come before them."""
        for buffer in buffers:
            self._cuts += 1
            self.turns[buffer] = self._cuts

    def in_step(self, peer: str) -> bool:
        """Return whether this KME may draw on what it shares with the peer; with itself it always may."""
        if peer == self.kme:
            return True
        state = self.peers.get(peer)
        return state is not None and state.linked

    def require_in_step(self, peer: str) -> None:
        """Raise :class:`PeerUnreachable` unless the peer is in step."""
        if not self.in_step(peer):
            raise PeerUnreachable(f"{peer} is not in step yet")

    def leave(self, peer: Peer) -> None:
        """Note that what is known of the peer may be out of date."""
        peer.era += 1
        peer.linked = False
        peer.aligned.clear()
        for shelf in self._shelves.values():
            if shelf.peer == peer.name:
                shelf.clear()
