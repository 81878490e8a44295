"""Relayed key: for two KMEs that no link joins, over trusted KMEs between them.

The lead makes up a block of random bytes as the XOR of shares, one for each of its disjoint paths, and sends each share
along its path (:mod:`~bellweave.kms.forwarding`). A KME on the way takes the pad, and draws its own for the next hop.
The far end adds the block to the relayed pool when it holds all shares; then the lead does, too. From there on it is
like any other block: confirmed between the two, cut and delivered.

No KME on the way knows more than the shares of one path. Each link pays the block's length for each path that crosses
it, booked as ``relay_pads`` at both of its ends.

Where an end crashes in the middle its shares are lost: the pads are spent, the block is made anew. Where a share has
not arrived after :data:`STUCK_S` and there is another path that shares no KME with any in use, the block is given up,
and the next one goes that way.
"""

from dataclasses import dataclass
from functools import reduce

from bellweave.errors import PeerRefused, ScenarioError
from bellweave.kms.effects import Work, apply_all
from bellweave.kms.forwarding import Parcel, Parcels, joined
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Forward, Forwarded
from bellweave.kms.pads import lacks, take_one, xor
from bellweave.kms.params import Relay
from bellweave.kms.parts import additions, is_held
from bellweave.kms.records import Statement, pool_name
from bellweave.kms.relay_paths import Path, paths, spares

BLOCK_ID_BYTES = 16

BLOCKS_A_TICK = 8
"""Of one pool: other work waits meanwhile."""

STUCK_S = 120.0
"""After so long it is not a matter of a KME that is started again, and seldom one of key that comes slowly."""

MOST_SHARES = 16
MOST_BYTES = 1 << 17


@dataclass(slots=True)
class Led:
    """A pool that is led here; ``routes``: a path for each share, ``spares``: others, the next one first."""

    relay: Relay
    routes: list[Path]
    spares: list[Path]


@dataclass(slots=True)
class Making:
    """A block on its way; ``known``: of each share, what is known of its pads once the far end holds it."""

    parcels: tuple[Parcel, ...]
    known: list[Statement | None]
    began_s: float
    missing: tuple[int, ...] = ()


class Relays:
    """The relayed pools of one KME: those that it leads, and what it passes on or receives for others.

    Raises:
        ScenarioError: A pool that it leads has no such paths, or they begin or end at a stranger.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._led: dict[str, Led] = {}
        for relay in memory.directory.relays:
            pool = pool_name(*relay.kmes, "relayed")
            if memory.kme == min(relay.kmes):
                routes = paths(memory.directory, relay)
                further = [path for path in spares(memory.directory, relay, routes) if path[1] in memory.peers]
                self._led[pool] = Led(relay, list(routes), further)
        for led in self._led.values():
            for stranger in {name for route in led.routes for name in (route[1], route[-1])} - set(memory.peers):
                raise ScenarioError(f"{stranger} is not among the peers of {memory.kme}", path="directory.relays")
        self._making: dict[str, Making] = {}
        self._parcels = Parcels()

    # ------------------------------------------------------------------------------------------------------- the lead

    def refill(self, now_s: float) -> Work[None]:
        """Go on with what is on its way, and bring each pool above its low watermark, a few blocks at a time.

        Raises:
            StoreFailed: The rest is for the next tick.
        """
        self._parcels.forget(now_s)
        for pool, led in self._led.items():
            if not self._memory.in_step(self._memory.roster.pools[pool]):
                continue
            for _ in range(BLOCKS_A_TICK):
                if pool not in self._making:
                    if not (yield from lacks(pool, led.relay.low_bits)):
                        break
                    self._making[pool] = self._begin(pool, led, now_s)
                if not (yield from self._go_on(pool, now_s)):
                    break

    def _begin(self, pool: str, led: Led, now_s: float) -> Making:
        memory = self._memory
        block_id = memory.entropy.bytes(BLOCK_ID_BYTES).hex()
        expires_s = now_s + memory.params.block_lifetime_s
        parcels = tuple(
            Parcel(
                pool=pool,
                block_id=block_id,
                share=share,
                shares=len(led.routes),
                path=route[1:],
                bits=memory.entropy.bytes(led.relay.block_bits // 8),
                before=None,
                expires_s=expires_s,
                forget_s=expires_s,
            )
            for share, route in enumerate(led.routes)
        )
        return Making(parcels, [None] * len(parcels), now_s)

    def _go_on(self, pool: str, now_s: float) -> Work[bool]:
        """Send what has not arrived; return whether the block is complete at both ends."""
        making = self._making[pool]
        if making.parcels[0].forget_s <= now_s:
            del self._making[pool]
            return False
        for index, parcel in enumerate(making.parcels):
            if making.known[index] is None:
                reply = yield from parcel.send(self._memory, now_s)
                if reply.statement is None:
                    self._reroute(pool, index, now_s)
                    return False
                making.known[index], making.missing = reply.statement, reply.missing
        for index in making.missing:  # the far end has lost them
            making.known[index] = making.parcels[index].message = None
        known = tuple(each for each in making.known if each is not None)
        if len(known) < len(making.known):
            return False
        yield from _add(making.parcels, joined(known))
        del self._making[pool]
        return True

    def _reroute(self, pool: str, share: int, now_s: float) -> None:
        """Give up a block that is stuck for too long, and send the next one's share another way, if there is one."""
        led, making = self._led[pool], self._making.get(pool)
        if making is None or not led.spares or now_s < making.began_s + STUCK_S:
            return
        led.spares.append(led.routes[share])
        led.routes[share] = led.spares.pop(0)
        del self._making[pool]

    # -------------------------------------------------------------------------------------- on the way, at the far end

    def answer(self, sender: str, message: Forward, now_s: float) -> Work[Forwarded]:
        """Take in a share: pass it on, or keep it until all are there.

        Raises:
            PeerRefused, UnknownKeys: It is not held; its pad is spent, or was never there.
            StoreFailed: Likewise.
        """
        self._check(sender, message)
        parcel = self._parcels.get(message.pool, message.block_id, message.share)
        if parcel is None or parcel.pad_id != message.pad_id:
            parcel = yield from self._receive(sender, message, now_s)
        if parcel.path:
            reply = yield from parcel.send(self._memory, now_s)
            if reply.statement is not None:
                parcel.bits = None
            return reply
        return (yield from self._collect(parcel, message))

    def _check(self, sender: str, message: Forward) -> None:
        memory, path = self._memory, message.path
        if path[:1] != (memory.kme,) or sender in path or len(set(path)) < len(path):
            raise PeerRefused(f"{memory.kme} is not next on a path of {' - '.join(path)}")
        if not 0 <= message.share < message.shares <= MOST_SHARES or not 0 < len(message.data) <= MOST_BYTES:
            raise PeerRefused(f"no share {message.share} of {message.shares} with {len(message.data)} bytes")
        if len(path) > 1 and path[1] not in memory.peers:
            raise PeerRefused(f"{path[1]} is not among the peers of {memory.kme}")
        if len(path) == 1 and (message.pool not in memory.roster.fed or memory.roster.leads(message.pool)):
            raise PeerRefused(f"{memory.kme} receives nothing for {message.pool}")

    def _receive(self, sender: str, message: Forward, now_s: float) -> Work[Parcel]:
        pad = yield from take_one(self._memory, sender, message.pad_id, now_s)
        if len(pad.bits) != len(message.data):
            raise PeerRefused(f"a pad of {len(pad.bits)} bytes came with {len(message.data)}")
        parcel = Parcel(
            pool=message.pool,
            block_id=message.block_id,
            share=message.share,
            shares=message.shares,
            path=message.path[1:],
            bits=xor(message.data, pad.bits),
            before=message.statement,
            expires_s=message.expires_s,
            forget_s=min(message.expires_s, now_s + self._memory.params.key_lifetime_s),
            pad_id=message.pad_id,
        )
        self._parcels.put(parcel)
        return parcel

    def _collect(self, parcel: Parcel, message: Forward) -> Work[Forwarded]:
        if (yield from is_held(parcel.pool, parcel.block_id, len(message.data))):
            parcel.bits = None
            return Forwarded(statement=message.statement)
        found = [self._parcels.get(parcel.pool, parcel.block_id, share) for share in range(parcel.shares)]
        here = tuple(each for each in found if each is not None and each.bits is not None)
        if len(here) < parcel.shares:
            missing = tuple(share for share, each in enumerate(found) if each is None or each.bits is None)
            return Forwarded(statement=message.statement, missing=missing)
        yield from _add(here, joined(tuple(each.before for each in here if each.before is not None)))
        for each in here:
            each.bits = None
        return Forwarded(statement=message.statement)


def _add(parcels: tuple[Parcel, ...], statement: Statement) -> Work[None]:
    """Add the block that these shares make, all of them, to the own store."""
    first = parcels[0]
    material = reduce(xor, [each.bits for each in parcels if each.bits is not None])
    yield from apply_all(*additions(first.pool, first.block_id, material, statement, first.expires_s))
