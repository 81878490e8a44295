"""The pool of secret bits that both ends of a link spend on authentication: a state machine without clock or socket.

Both ends start from the same pre-shared secret and keep the same pool, first in, first out. Rules:

1. A *slot* is the key of one pair of tags, the sender Alice's pad first. Slots are numbered; the pool's first bytes are
   those of the next slot.
2. A slot is spent *before* a tag leaves, and saved as spent, so that no pad is ever used twice, not even after a crash.
   A session that ends before tags costs nothing.
3. Alice speaks first and names her slot; Bob, who sends a tag only after hers was right, can be behind her, by sessions
   that failed in between, but never ahead. He catches up when her tag is right, and not before.
4. A released block pays the pool *before* applications get the rest: what was spent since the release before, and up to
   ``reserve_bits``. Applications have no way to take anything back.
5. Bob cannot know whether his tag, the last message, arrived: all he has is his driver's word that Alice ended in
   order. So his payment stays *pending*, presumed made or not, until her next right tag says how many blocks she has
   released. Whoever cuts or fakes the end of a session can make one end release a key that the other has not, but can't
   bring the pools apart.
6. Sessions in a row that spend key and fail are bounded, and further and further apart, so that nobody can drain the
   pool from outside: whoever plays Bob costs Alice at most ``failures`` slots, whoever plays Alice costs Bob none.
"""

import hmac
from collections.abc import Callable

import msgspec

from bellweave.blocks import Bytes, Role, pack_bits
from bellweave.distill import gf128
from bellweave.distill.authentication import PAD_BYTES, Direction, Statement, Transcript
from bellweave.distill.params import Authentication
from bellweave.errors import KeysUnavailable

NEVER_S = float("inf")

BACKOFF_DOUBLINGS = 12
"""The pause after a failure doubles so often: from one second to about an hour."""


class Pool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both ends hold alike, once they are in step.

    Attributes:
        params: How to authenticate.
        hash_key: Of the recycled hash; unused, but there, with ``one-time``.
        bits: Packed key, the next slot first.
        slot: Number of the next slot.
        released: Blocks released so far.
        keyed_at: The slot from which on ``hash_key`` is used.
        ingested_bits: Key that ever came in.
        spent_bits: Key that was ever used or dropped.
        paid_bits: ``spent_bits`` at the last release.
    """

    params: Authentication
    hash_key: bytes
    bits: bytes
    slot: int
    released: int
    keyed_at: int
    ingested_bits: int
    spent_bits: int
    paid_bits: int

    def __repr__(self) -> str:
        return f"<Pool slot {self.slot}, {self.available_bits} bits available, {self.spent_bits} spent>"

    @property
    def available_bits(self) -> int:
        """Bits that are left."""
        return 8 * len(self.bits)

    @property
    def owed_bits(self) -> int:
        """Bits spent since the last release."""
        return self.spent_bits - self.paid_bits

    @property
    def slot_bytes(self) -> int:
        """Key of one pair of tags."""
        return 2 * PAD_BYTES[self.params.scheme]

    @property
    def uses(self) -> int:
        """Tags made with the present hash key, if every slot made two."""
        return 2 * (self.slot - self.keyed_at)

    def pad(self, sender: Role) -> bytes:
        """Return the pad of the next slot for that sender's tag."""
        half = self.slot_bytes // 2
        return self.bits[:half] if sender == "alice" else self.bits[half : 2 * half]

    def spent(self, slots: int = 1) -> "Pool":
        """Return the pool without its first slots.

        Raises:
            KeysUnavailable: There are not that many.
        """
        size = slots * self.slot_bytes
        if size > len(self.bits):
            raise KeysUnavailable(f"{slots} slots take {8 * size} bits, there are {self.available_bits}", NEVER_S)
        return msgspec.structs.replace(
            self, bits=self.bits[size:], slot=self.slot + slots, spent_bits=self.spent_bits + 8 * size
        )

    def due_bits(self, key_bits: int) -> int:
        """Return how many bits of a key of that length the pool takes: whole bytes."""
        due = max(self.owed_bits, self.params.reserve_bits - self.available_bits)
        return min(due, key_bits) // 8 * 8

    def paid(self, payment: bytes) -> "Pool":
        """Return the pool after a release that brought this; a worn hash key is replaced from the pool's front."""
        bits, hash_key, keyed_at, spent = self.bits + payment, self.hash_key, self.keyed_at, self.spent_bits
        if self.slot - keyed_at >= self.params.hash_key_slots and len(bits) >= gf128.KEY_BYTES + self.slot_bytes:
            hash_key, bits, keyed_at = bits[: gf128.KEY_BYTES], bits[gf128.KEY_BYTES :], self.slot
            spent += 8 * gf128.KEY_BYTES
        return msgspec.structs.replace(
            self,
            bits=bits,
            hash_key=hash_key,
            keyed_at=keyed_at,
            released=self.released + 1,
            ingested_bits=self.ingested_bits + 8 * len(payment),
            spent_bits=spent,
            paid_bits=self.spent_bits,  # a new hash key is paid for by the next block
        )


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that must survive a restart: the pool, and what only this end knows.

    Attributes:
        role: Whose end it is.
        pool: The pool, without ``pending``.
        pending: Bob's last payment, which Alice may or may not have made, see rule 5.
        presumed: Whether Bob takes it as made.
        failed: Sessions in a row that failed after key was spent, or a wrong tag came.
        due_s: When the next session may start.
        forgiven_bits: Key spent by failed sessions that an operator knows of.
    """

    role: Role
    pool: Pool
    pending: bytes | None = None
    presumed: bool = False
    failed: int = 0
    due_s: float = 0.0
    forgiven_bits: int = 0

    def paid(self) -> Pool:
        """Return the pool if the last payment was made."""
        return self.pool if self.pending is None else self.pool.paid(self.pending)

    def __repr__(self) -> str:
        return f"<State of {self.role}: {self.pool!r}, {self.failed} failed, pending: {self.pending is not None}>"


class AuthenticationKeys:
    """One end's pool. The methods in the order of a session: :meth:`admit`, :meth:`transcript`, then the tags.

    Args:
        state: As :meth:`started` or :meth:`loaded` make it.
        save: Called with :meth:`dumped` bytes whenever the state changes, before anything leaves that depends on it.
            It must not return before they are safe.
    """

    def __init__(self, state: State, save: Callable[[bytes], None] | None = None) -> None:
        self._state = state
        self._save = save
        self._admitted_s: float | None = None

    @classmethod
    def started(
        cls,
        role: Role,
        secret: bytes,
        params: Authentication | None = None,
        save: Callable[[bytes], None] | None = None,
    ) -> "AuthenticationKeys":
        """Return the pool that a pre-shared secret starts: the hash key, then pads.

        Raises:
            ValueError: The secret has less than a hash key and one slot: 384 bits, or 640 with ``one-time``.
        """
        params = params or Authentication()
        pool = Pool(
            params=params,
            hash_key=secret[: gf128.KEY_BYTES],
            bits=secret[gf128.KEY_BYTES :],
            slot=0,
            released=0,
            keyed_at=0,
            ingested_bits=8 * len(secret),
            spent_bits=8 * gf128.KEY_BYTES,
            paid_bits=8 * gf128.KEY_BYTES,
        )
        if len(pool.bits) < pool.slot_bytes:
            least = 8 * (gf128.KEY_BYTES + pool.slot_bytes)
            raise ValueError(f"a start key has at least {least} bits, not {8 * len(secret)}")
        return cls(State(role=role, pool=pool), save)

    @classmethod
    def loaded(cls, data: bytes, save: Callable[[bytes], None] | None = None) -> "AuthenticationKeys":
        """Return the pool that :meth:`dumped` wrote."""
        return cls(msgspec.msgpack.decode(data, type=State), save)

    def dumped(self) -> bytes:
        """Return the state with all its secrets, to be kept as safe as they are."""
        return msgspec.msgpack.encode(self._state)

    def __repr__(self) -> str:
        return f"<AuthenticationKeys {self._state!r}>"

    @property
    def role(self) -> Role:
        """Whose end this is."""
        return self._state.role

    @property
    def pool(self) -> Pool:
        """The pool as far as this end knows."""
        return self._state.paid() if self._state.presumed else self._state.pool

    @property
    def failed(self) -> int:
        """Sessions in a row that failed after key was spent, or a wrong tag came."""
        return self._state.failed

    def agrees_with(self, other: "AuthenticationKeys") -> bool:
        """Return whether both ends hold the same pool; compares in constant time."""
        return hmac.compare_digest(msgspec.msgpack.encode(self.pool), msgspec.msgpack.encode(other.pool))

    def admit(self, now_s: float) -> None:
        """Allow one session to spend a slot.

        Raises:
            KeysUnavailable: Too soon after a failure, too many failures, or no slot left.
        """
        state = self._state
        lost = self.pool.owed_bits - state.forgiven_bits
        if lost >= 8 * self.pool.slot_bytes * self.pool.params.failures:
            raise KeysUnavailable(f"failed sessions have spent {lost} bits since the last release", NEVER_S)
        if now_s < state.due_s:
            raise KeysUnavailable(f"backing off after {state.failed} failures", state.due_s)
        self.pool.spent()  # raises without a slot
        self._admitted_s = now_s

    def require_admission(self) -> None:
        """Raise :class:`KeysUnavailable` unless a session is admitted and has not spent its slot."""
        if self._admitted_s is None:
            raise KeysUnavailable("the session was not admitted, or has used its slot", self._state.due_s)

    def forgive(self) -> None:
        """Allow as many failures again: an operator has looked."""
        self._change(failed=0, due_s=0.0, forgiven_bits=self.pool.owed_bits)

    def transcript(self) -> Transcript:
        """Return an empty transcript for all that crosses until the next release.

        Messages are kept rather than hashed where the key may turn out to be another: one-time keys, and while Bob does
        not know for certain whether his last payment, and with it a new hash key, counts.
        """
        keep = self.pool.params.scheme == "one-time" or self._state.paid().hash_key != self._state.pool.hash_key
        return Transcript(None if keep else self.pool.hash_key)

    # ----------------------------------------------------------------------------------------------------------- tags

    def sign_first(self, sent: Direction, link: str, block_id: str) -> tuple[Pool, bytes]:
        """Spend Alice's slot and return (the pool with which Bob's answer is checked, her tag).

        Raises:
            KeysUnavailable: The session was not admitted.
        """
        now_s = self._take_admission()
        pool = self.pool
        tag = _tag(pool, "alice", sent, link, block_id)
        self._change(pool=pool.spent(), **self._failure(now_s))
        return pool, tag

    def check_answer(self, pool: Pool, tag: bytes, received: Direction, link: str, block_id: str) -> bool:
        """Return whether Bob's tag is right."""
        return hmac.compare_digest(tag, _tag(pool, "bob", received, link, block_id))

    def check_first(
        self, slot: int, released: int, tag: bytes, received: Direction, link: str, block_id: str
    ) -> Pool | None:
        """Return the pool, caught up with Alice's, if her tag is right with it, else None; Bob's pool does not change.

        Raises:
            KeysUnavailable: The session was not admitted.
        """
        now_s = self._take_admission()
        pool = self._caught_up(slot, released)
        if pool is not None and hmac.compare_digest(tag, _tag(pool, "alice", received, link, block_id)):
            self._admitted_s = now_s
            return pool
        self._change(**self._failure(now_s))
        return None

    def sign_answer(self, pool: Pool, sent: Direction, link: str, block_id: str, key: Bytes) -> bytes:
        """Adopt the caught-up pool, spend its slot, hold the payment pending, and return Bob's tag."""
        now_s = self._take_admission()
        tag = _tag(pool, "bob", sent, link, block_id)
        after = pool.spent()
        self._change(pool=after, pending=_payment(after, key), presumed=False, **self._failure(now_s))
        return tag

    def release(self, key: Bytes) -> int:
        """Take the pool's part from the front of a key that both ends release; return how many bits applications lose.

        Args:
            key: Shape (n,), the same at both ends.
        """
        if self._state.pending is not None:
            payment = self._state.pending
            self._change(presumed=True, failed=0, due_s=0.0, forgiven_bits=0)
        else:
            payment = _payment(self.pool, key)
            self._change(pool=self.pool.paid(payment), failed=0, due_s=0.0, forgiven_bits=0)
        return 8 * len(payment)

    # ------------------------------------------------------------------------------------------------------- internals

    def _caught_up(self, slot: int, released: int) -> Pool | None:
        """Return this end's pool as Alice says that hers is, or None where that can't be."""
        pool = next((each for each in (self._state.paid(), self._state.pool) if each.released == released), None)
        if pool is None:
            return None
        skipped = slot - pool.slot
        if skipped < 0 or len(pool.bits) < (skipped + 1) * pool.slot_bytes:
            return None
        return pool.spent(skipped)

    def _take_admission(self) -> float:
        self.require_admission()
        now_s, self._admitted_s = self._admitted_s, None
        return 0.0 if now_s is None else now_s

    def _failure(self, now_s: float) -> dict[str, float]:
        """Count a session as failed until it is released."""
        failed = self._state.failed
        pause_s = self.pool.params.backoff_s * 2.0 ** min(failed, BACKOFF_DOUBLINGS)
        return {"failed": failed + 1, "due_s": now_s + pause_s}

    def _change(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        if self._save is not None:
            self._save(self.dumped())


def _tag(pool: Pool, sender: Role, text: Direction, link: str, block_id: str) -> bytes:
    statement = Statement(sender, link, block_id, pool.slot, pool.released, pool.params)
    return text.tag(statement, pool.hash_key, pool.pad(sender))


def _payment(pool: Pool, key: Bytes) -> bytes:
    return pack_bits(key[: pool.due_bits(key.size)])
