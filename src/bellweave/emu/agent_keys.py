"""How an agent gets its keys: an ordinary SAE that asks its KME over ETSI 014, and holds them until they are loaded.

Rules:

1. A key is held from the KME's answer until it is loaded or destroyed, in a bytearray that is wiped then. (The HTTP
   client, for one, has it in places that nobody can wipe; they are let go at once.)
2. ``enc_keys`` is asked once: if the answer is lost, so is the key, and the next one is asked for in time. ``dec_keys``
   is asked again where the line fails: a key that was taken already is then refused, never given twice.
3. Every answer is noted. No answer is none.
"""

import asyncio
from collections.abc import Callable

from bellweave.api.errors import outcome_of
from bellweave.edge.kms_calls import Key
from bellweave.edge.kms_client import KmsClient
from bellweave.errors import KeyServerError, KeyServerRefused, KeyServerUnreachable
from bellweave.results.network_records import Delivered
from bellweave.results.network_records import Event as Noted
from bellweave.tunnel.aead import Ends, Side
from bellweave.tunnel.rotation import KeyArrived, KeyRefused

ATTEMPTS = 3
PAUSE_S = 0.3
"""How often ``dec_keys`` is asked where the line fails, and after which pause."""

UNREACHABLE = "the key server is unreachable"
UNUSABLE = "the key server gave another key than was asked for"
PLAIN_REFUSALS = {"not_enough_key", "not_met"}
"""Outcomes that are no fault: there is no key, and the tunnel's policy says what then."""


class AgentKeys:
    """The keys of one end of a tunnel that are not loaded yet.

    Args:
        ends: Whose tunnel it is.
        side: Which end.
        key_bits: Size of a key.
        kms: Its KME, called with this SAE's certificate.
        note: Gets what is to be noted.
        now: Returns the seconds since the run began.
    """

    def __init__(
        self,
        ends: Ends,
        side: Side,
        key_bits: int,
        kms: KmsClient,
        note: Callable[[Noted], None],
        now: Callable[[], float],
    ) -> None:
        self._ends, self._side, self._bits = ends, side, key_bits
        self._kms, self._note, self._now = kms, note, now
        self._held: dict[str, bytearray] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def draw(self) -> KeyArrived | KeyRefused:
        """Ask for a fresh key, as its master."""
        began_s = self._now()
        try:
            keys = await self._kms.enc_keys(self._ends.server, 1, self._bits)
        except KeyServerError as error:
            return self._refused(error, began_s)
        return self._taken(keys, "delivered", began_s)

    async def fetch(self, key_id: str) -> KeyArrived | KeyRefused:
        """Take the key that the client has drawn."""
        for last in (*(ATTEMPTS - 1) * (False,), True):
            began_s = self._now()
            try:
                keys = await self._kms.dec_keys(self._ends.client, [key_id])
            except KeyServerUnreachable as error:
                if last:
                    return self._refused(error, began_s)
                await asyncio.sleep(PAUSE_S)
            except KeyServerError as error:
                return self._refused(error, began_s)
            else:
                return self._taken(keys, "taken", began_s, key_id)
        raise AssertionError("the last attempt returns")

    def take_out(self, key_id: str) -> bytes | None:
        """Return a key to load it, and wipe what is held here; None: it is not here."""
        held = self._held.get(key_id)
        key = None if held is None else bytes(held)
        self.wipe(key_id)
        return key

    def wipe(self, key_id: str) -> None:
        """Let a key go; unknown: nothing."""
        held = self._held.pop(key_id, None)
        if held is not None:
            held[:] = bytes(len(held))

    def wipe_all(self) -> None:
        """Let all keys go."""
        for key_id in list(self._held):
            self.wipe(key_id)

    def _taken(
        self, keys: tuple[Key, ...], outcome: str, began_s: float, wanted: str | None = None
    ) -> KeyArrived | KeyRefused:
        if len(keys) != 1 or 8 * len(keys[0].bits) != self._bits:
            return KeyRefused(UNUSABLE)
        (key,) = keys
        key_id = wanted or key.key_id  # a server may write its letters in the other case
        provable = key.extension.get("bellweave_provable_bits", 0)
        self._answered(200, outcome, began_s, key_id, provable if isinstance(provable, int) else 0)
        self._held[key_id] = bytearray(key.bits)
        return KeyArrived(key_id)

    def _refused(self, error: KeyServerError, began_s: float) -> KeyRefused:
        if not isinstance(error, KeyServerRefused):
            return KeyRefused(UNREACHABLE)
        outcome = outcome_of(error.status, error.message)
        self._answered(error.status, outcome, began_s)
        return KeyRefused(outcome)

    def _answered(self, status: int, outcome: str, began_s: float, key_id: str = "", provable: int = 0) -> None:
        now_s = self._now()
        self._note(
            Delivered(
                at_s=now_s,
                tunnel=self._ends.tunnel,
                side=self._side,
                status=status,
                outcome=outcome,
                key_id=key_id,
                bits=self._bits if key_id else 0,
                provable_bits=provable,
                waited_s=now_s - began_s,
            )
        )
