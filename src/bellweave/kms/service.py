"""A key management entity: what its applications, its peers and its devices ask it, as work without input and output.

The parts: :mod:`~bellweave.kms.memory` (state), :mod:`~bellweave.kms.shelf` (claimed key), ``supply`` and ``portions``
(where it comes from), ``drawing`` (reserve, replicate, commit), ``confirmation``, ``greeting`` and ``refilling``.

A driver calls :meth:`Kme.hello` when a link to a peer is up, :meth:`Kme.lost` when it broke, :meth:`Kme.tick` every
second and when blocks have come in, and :meth:`Kme.answer` for each message of a peer.
"""

from contextlib import suppress

from bellweave.blocks import Origin, SecretBlock
from bellweave.dialogue import Message
from bellweave.errors import DeliveryError, NotEntitled, PeerRefused, PeerUnreachable, UnknownKeys
from bellweave.kms import drawing, greeting, multicast, portions
from bellweave.kms.announcing import answer_announce
from bellweave.kms.confirmation import answer_confirm, confirm
from bellweave.kms.effects import Work, apply, apply_all, ask
from bellweave.kms.expansion import Expansions
from bellweave.kms.given import Given
from bellweave.kms.key_streams import KeyStreams
from bellweave.kms.memory import Memory
from bellweave.kms.messages import (
    Announce,
    AskMarks,
    Assign,
    CloseStream,
    Confirm,
    Done,
    DropChunk,
    Expand,
    Forward,
    Hello,
    OpenStream,
    Ping,
    Refused,
    Retract,
    Want,
    WantChunk,
)
from bellweave.kms.operations import Purge, Renew, Take, Withdraw, Witness
from bellweave.kms.params import Directory, Kms
from bellweave.kms.parts import additions
from bellweave.kms.records import Material, Statement, pool_name
from bellweave.kms.refilling import refill
from bellweave.kms.relay import Relays
from bellweave.kms.supply import LEASE_S
from bellweave.kms.wanted import Wanted
from bellweave.rng import Entropy

PURGES = 32
"""Bounded work a tick: so many times the rows of one :class:`~bellweave.kms.operations.Purge`."""


class Kme:
    """One server of a KME; most KMEs have one.

    Args:
        directory: Who is who.
        params: Sizes, lifetimes, watermarks.
        entropy: Of key ids and confirmations.
        store_name: The store's random name.
        server: Name of this server among those that share the store.
        lowers_cursors: Whether bytes of which an announcement was in doubt may be used when the peer says that it does
            not have it. Not with several servers on one store.

    Attributes:
        streams: ETSI 004 streams of its SAEs.
    """

    def __init__(
        self,
        directory: Directory,
        params: Kms,
        entropy: Entropy,
        *,
        store_name: str = "memory",
        server: str = "0",
        lowers_cursors: bool = True,
    ) -> None:
        self._memory = Memory(directory, params, entropy, server, lowers_cursors=lowers_cursors)
        self._store_name = store_name
        self._relays = Relays(self._memory)
        self._expansions = Expansions(self._memory)
        self._given = Given()
        self.streams = KeyStreams(self, entropy)

    @property
    def directory(self) -> Directory:
        """Who is who."""
        return self._memory.directory

    @property
    def params(self) -> Kms:
        """Sizes and limits."""
        return self._memory.params

    @property
    def entropy(self) -> Entropy:
        """Where random bytes come from."""
        return self._memory.entropy

    @property
    def name(self) -> str:
        """The KME's name."""
        return self._memory.kme

    @property
    def changes(self) -> int:
        """The last number counted of the store's changes: what a :class:`Ping` tells."""
        return self._memory.changes

    def in_step(self, peer: str) -> bool:
        """Return whether the link to the peer is up and both have greeted."""
        return self._memory.in_step(peer)

    def kme_of(self, name: str) -> str | None:
        """Return the KME of an SAE (or of ``@kme``); None for a stranger."""
        return self._memory.roster.kme_of(name)

    # -------------------------------------------------------------------------------------------------- applications

    def allowed(self, master: str, slave: str) -> bool:
        """Return whether this master, an SAE of this KME, may ask for keys for this slave."""
        return self._memory.roster.allowed(master, slave)

    def count(self, master: str, slave: str, size_bits: int, now_s: float) -> Work[tuple[int, int]]:  # noqa: ARG002
        """Return how many keys of that size the pair can have now, and the upper bound of that number.

        Raises:
            NotMet: No pool serves the pair.
        """
        lanes = self._memory.lanes(master, slave, None)
        quota_bits = self._memory.roster.quota_keys(master, slave) * self.params.key_size_bits
        most = len(lanes) * (quota_bits // size_bits)
        keys = yield from drawing.available(lanes, size_bits)
        return min(keys, most), most

    def draw(self, wanted: Wanted, now_s: float) -> Work[tuple[Material, ...]]:
        """Reserve keys, store them at every slave's KME, record them as delivered, return them; all or none.

        Raises:
            NotEnoughKey, NotMet: Nothing was used up.
            PeerUnreachable, PeerRefused, StoreFailed: Nothing is delivered; what was under way is not used again.
        """
        way = multicast.draw if multicast.is_needed(self._memory, wanted.slaves) else drawing.draw
        materials = yield from way(self._memory, wanted, now_s)
        if any(self.kme_of(slave) != self.name for slave in wanted.slaves):
            self._given.note(wanted, materials, now_s + self.params.key_lifetime_s)
        return materials

    def take(
        self, caller: str, master: str | None, key_ids: tuple[bytes, ...], now_s: float
    ) -> Work[tuple[Material, ...]]:
        """Take keys that wait for the caller; all or none, in the order of the ids.

        Raises:
            UnknownKeys, NotEntitled, StoreFailed: Nothing was taken.
            PeerUnreachable: The master's KME has not greeted since this one started, so that the keys here may come
                from a backup. For a master of this KME: none of the peers has.
        """
        if self._memory.strangers:
            self._require_met(master)
        try:
            return (yield from apply(Take(caller=caller, master=master, key_ids=key_ids, now_s=now_s)))
        except UnknownKeys as error:
            if self._given.to_others(caller, master, error.key_ids, now_s):
                raise NotEntitled(f"{len(error.key_ids)} of the keys wait at another KME, not for {caller}") from None
            raise

    def _require_met(self, master: str | None) -> None:
        strangers = self._memory.strangers
        kme = None if master is None else self.kme_of(master)
        if kme is None or kme in strangers or (kme == self.name and len(strangers) == len(self._memory.peers)):
            raise PeerUnreachable(
                f"{self.name} has not been in step with {', '.join(sorted(strangers))} since it started"
            )

    # ------------------------------------------------------------------------------------------------------- devices

    def ingest(self, block: SecretBlock, peer: str, now_s: float, origin: Origin = "direct") -> Work[bool]:
        """Hold a block that is shared with a peer; return False if it was there already.

        Raises:
            PeerRefused: Another block is or was there under that id, or the peer is unknown.
            StoreFailed: Nothing was changed.
        """
        if peer not in self._memory.peers:
            raise PeerRefused(f"{peer} is not among the peers of {self.name}")
        statement = Statement(
            block_ids=(block.block_id,),
            origin=origin,
            hops=1,
            epsilon=block.epsilon,
            provable=block.provable_bits >= block.bit_count > 0,
            provenance=block.provenance,
            made_s=now_s,
        )
        pool = pool_name(self.name, peer, origin)
        material, expires_s = block.bits[: block.bit_count // 8], now_s + self.params.block_lifetime_s
        added = yield from apply_all(*additions(pool, block.block_id, material, statement, expires_s))
        return any(added)

    # --------------------------------------------------------------------------------------------------------- peers

    def hello(self, peer: str, now_s: float) -> Work[None]:
        """Greet a peer on a new link, and catch up with it as far as it is ready; afterwards it is in step.

        Raises:
            PeerUnreachable, PeerRefused, StoreFailed: It is not.
        """
        yield from greeting.greet(self._memory, self._store_name, peer, now_s)
        with suppress(PeerRefused, PeerUnreachable):  # it may not be ready; the next tick or request tries again
            yield from greeting.catch_up(self._memory, peer)

    def lost(self, peer: str) -> None:
        """Note that the link to a peer broke: its marks are asked for before more of what is shared with it is used."""
        self._memory.leave(self._memory.peers[peer])

    def answer(self, sender: str, message: Message, now_s: float) -> Work[Message]:
        """Answer a message of a peer whose name the link has verified; what can't be done is :class:`Refused`."""
        if sender not in self._memory.peers:
            return Refused(problem=f"{sender} is not among the peers of {self.name}")
        try:
            if isinstance(message, OpenStream | CloseStream | WantChunk | DropChunk):
                return (yield from self.streams.answer(sender, message, now_s))
            if isinstance(message, Forward):
                return (yield from self._relays.answer(sender, message, now_s))
            if isinstance(message, Expand):
                return (yield from self._expansions.answer(sender, message, now_s))
            return (yield from self._answer(sender, message, now_s))
        except DeliveryError as error:
            return Refused(problem=str(error))

    def _answer(self, sender: str, message: Message, now_s: float) -> Work[Message]:
        memory = self._memory
        match message:
            case Announce():
                return (yield from answer_announce(memory, sender, message, now_s))
            case AskMarks():
                return (yield from portions.answer_marks(memory, sender, message))
            case Assign():
                return (yield from portions.answer_assign(memory, sender, message))
            case Want():
                return (yield from portions.answer_want(memory, sender, message, now_s))
            case Confirm():
                return (yield from answer_confirm(memory, sender, message))
            case Hello():
                return (yield from greeting.answer_hello(memory, sender, message))
            case Ping():
                yield from apply(Witness(peer=sender, changes=message.changes))
                return Done()
            case Retract():
                yield from apply(Withdraw(key_ids=message.key_ids, now_s=now_s))
                return Done()
        raise PeerRefused(f"{self.name} can't answer {type(message).__name__}")

    # ---------------------------------------------------------------------------------------------------------- time

    def tick(self, now_s: float) -> Work[None]:
        """Confirm, refill, purge, and tell the peers: once a second, and when blocks have come in.

        Raises:
            StoreFailed: The rest is for the next tick.
        """
        memory = self._memory
        yield from apply(Renew(server=memory.server, until_s=now_s + LEASE_S))
        yield from greeting.count_change(memory)
        for peer in memory.roster.peers:
            if memory.in_step(peer):
                try:
                    yield from self.tend(peer, now_s)
                except (PeerUnreachable, PeerRefused):
                    continue  # what is left is for the next tick
        yield from self._relays.refill(now_s)
        yield from self._expansions.refill(now_s)
        for _ in range(PURGES):
            if not (yield from apply(Purge(now_s=now_s))):
                break

    def tend(self, peer: str, now_s: float) -> Work[None]:
        """Do what a tick does for one peer, which is in step: for drivers that know with whom something has happened.

        Raises:
            PeerUnreachable, PeerRefused, StoreFailed: The rest is for the next time.
        """
        memory = self._memory
        yield from ask(peer, Ping(changes=memory.changes), Done)
        yield from drawing.retract_orphans(memory, peer)
        yield from greeting.catch_up(memory, peer)
        for pool, other in memory.roster.fed.items():
            if other == peer and memory.roster.leads(pool):
                yield from confirm(memory, peer, pool)
                yield from refill(memory, peer, pool, now_s)
