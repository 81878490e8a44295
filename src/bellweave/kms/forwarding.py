"""One hop of a relay: a share goes to the next KME, one-time-padded with a key of the link that it crosses.

Rules:

1. A share is sent with one pad. After a cut the same message is said again, and nobody does its work twice: who holds a
   share knows it by the pad's id.
2. A KME that was started anew has forgotten the shares it held, and refuses the message: its pad is spent. Then the
   share goes with a fresh pad, after a wait that grows, so that a KME that never accepts it does not cost all key.
3. A KME on the way is trusted: it knows the shares that it passes on. It forgets them when the far end holds them.
4. What is said of a share counts every pad that it was ever sent with: each of them, broken, would tell it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from bellweave.errors import NotEnoughKey, NotMet, PeerRefused, PeerUnreachable
from bellweave.kms.effects import Work, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Forward, Forwarded
from bellweave.kms.pads import draw_one, xor
from bellweave.kms.records import Statement, merged

LONGEST_WAIT_S = 300.0

MOST_PARCELS = 256
"""Shares that a KME holds for others; the oldest go first."""

ON_THE_WAY = Forwarded(statement=None)


@dataclass(slots=True)
class Parcel:
    """A share at one KME. Its bits are never shown.

    Attributes:
        pool, block_id, share, shares: As in :class:`~bellweave.kms.messages.Forward`.
        path: KMEs still to go, the next one first; empty at the far end.
        bits: The share, until it is not needed any more.
        before: What is known of the pads up to here; None at the lead.
        expires_s: Of the block.
        forget_s: When it is given up here.
        pad_id: The pad it came with; empty at the lead.
        message: How it is said to the next KME; None: a pad is to be drawn.
    """

    pool: str
    block_id: str
    share: int
    shares: int
    path: tuple[str, ...]
    bits: bytes | None = field(repr=False)
    before: Statement | None
    expires_s: float
    forget_s: float
    pad_id: bytes = b""
    message: Forward | None = field(default=None, repr=False)
    _spent: Statement | None = None
    _refusals: int = 0
    _again_s: float = 0.0
    _busy: bool = False

    def send(self, memory: Memory, now_s: float) -> Work[Forwarded]:
        """Pass the share on, or say again that it was; return what became of it.

        Raises:
            PeerRefused: The next KME has lost it, and so has this one.
            StoreFailed: Nothing was passed on.
        """
        if self._busy or now_s < self._again_s:
            return ON_THE_WAY
        self._busy = True
        try:
            return (yield from self._send(memory, now_s))
        except PeerRefused:
            self.message = None
            if self.bits is None:
                raise
            self._refusals += 1
            self._again_s = now_s + min(2.0**self._refusals, LONGEST_WAIT_S)
        except (PeerUnreachable, NotEnoughKey, NotMet):
            pass  # the next call says the same again
        finally:
            self._busy = False
        return ON_THE_WAY

    def _send(self, memory: Memory, now_s: float) -> Work[Forwarded]:
        receiver = self.path[0]
        if self.message is None:
            if self.bits is None:
                raise PeerRefused(f"{memory.kme} does not hold share {self.share} of {self.block_id} any more")
            pad = yield from draw_one(memory, receiver, len(self.bits), "relay", now_s)
            self._spent = pad.statement if self._spent is None else merged((self._spent, pad.statement))
            self.message = Forward(
                pool=self.pool,
                block_id=self.block_id,
                share=self.share,
                shares=self.shares,
                path=self.path,
                pad_id=pad.key_id,
                data=xor(self.bits, pad.bits),
                statement=self._spent if self.before is None else chained(self.before, self._spent),
                expires_s=self.expires_s,
            )
        return (yield from ask(receiver, self.message, Forwarded))


def chained(before: Statement, pads: Statement) -> Statement:
    """Return what is known of a share after one more hop."""
    return msgspec.structs.replace(merged((before, pads)), hops=before.hops + 1)


def joined(shares: tuple[Statement, ...]) -> Statement:
    """Return what is known of a relayed block whose shares went over these paths.

    The proofs' failure probabilities are summed, though an attacker would need all paths: that holds in any case.
    """
    return msgspec.structs.replace(merged(shares), origin="relayed")


class Parcels:
    """The shares that a KME holds for others, by pool, block and share."""

    def __init__(self) -> None:
        self._held: OrderedDict[tuple[str, str, int], Parcel] = OrderedDict()

    def get(self, pool: str, block_id: str, share: int) -> Parcel | None:
        """Return the share; None if it is not held."""
        return self._held.get((pool, block_id, share))

    def put(self, parcel: Parcel) -> None:
        """Hold a share, in place of what was held of it."""
        self._held[parcel.pool, parcel.block_id, parcel.share] = parcel
        while len(self._held) > MOST_PARCELS:
            self._held.popitem(last=False)

    def forget(self, now_s: float) -> None:
        """Give up what nobody completed in time."""
        for key in [key for key, parcel in self._held.items() if parcel.forget_s <= now_s]:
            del self._held[key]
