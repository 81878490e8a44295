"""One end of an IPsec tunnel, driven through strongSwan's vici socket: keys of a QKD network in IKEv2 sessions.

With ``ppk`` (RFC 8784) a key enters the session keys and its ``key_id`` travels inside IKE as PPK_ID. With ``psk`` it
is IKE's pre-shared key: it authenticates only, and does not protect traffic that is recorded today.

Rules:

1. A session with a fresh key is a new IKE_SA beside the old one, and the old one ends only when the new one is
   verified. Any failure leaves the old one alone.
2. Never a downgrade: ``ppk_required`` always, at both ends, and the ``ppk`` flag is read back from the session.
3. Which key a session uses is certain. At the client it is the one that its connection named when it was started. At
   the server, from :meth:`IpsecChannel.load` on, the daemon takes new sessions with that key only, and sessions that
   were there before are known by their SPIs: one that has come since uses it.
4. Only the client ends sessions in order; both at once can lock up ESP in user space. The server cuts what is left.
5. The server's daemon always holds one more PPK, random and with an owner that nobody uses. Without any it would not
   announce PPKs at all, and attempts would end half-open instead of being refused.
6. No key gets into an error's words; the bytes that go through vici can't be wiped from this process, they are freed.
"""

import asyncio
import contextlib
from collections.abc import Callable

from bellweave.edge.channel import ChannelError
from bellweave.edge.gateway import Gateway
from bellweave.edge.ipsec_gateway import END_S, IpsecGateway, Session, Spis
from bellweave.results.network_records import Probed

LEFT_S = 3
"""Age of a session from which on older ones beside it are left over: its client could not end them."""

_POLL_S = 0.05


class IpsecChannel:
    """One end of an IPsec tunnel; implements :class:`~bellweave.edge.channel.Channel`.

    Args:
        gateway: The gateway at this end.
        traffic: What the tunnel's probe stream met since the last call; None: nobody probes.
    """

    def __init__(self, gateway: Gateway, traffic: Callable[[], Probed | None] | None = None) -> None:
        self._gateway = IpsecGateway(gateway)
        self._client = gateway.side == "client"
        self._psk = gateway.mode == "psk"
        self._traffic = traffic
        self._used: dict[Spis, str] = {}  # session to its key
        self._keys: dict[str, bytearray] = {}  # only with psk: to go back to the key in use
        # at the server: the key that new sessions must use, and the sessions that were there before it was demanded
        self._demanded: str | None = None
        self._before: frozenset[Spis] = frozenset()
        self._turn = asyncio.Lock()
        self._abandoned: set[str] = set()

    # ---------------------------------------------------------------------------------------------------------- Channel
    async def start(self) -> None:
        """Make the tunnel known to the gateway; sessions and keys of it that are there from before us are removed."""
        await self._gateway.purge()
        self._demanded = None
        for session in await self._gateway.sessions():
            if session.spis not in self._used:
                await self._gateway.end(session, force=not self._client)
        await self._gateway.authenticate()
        if not self._psk and not self._client:
            await self._gateway.announce()
        await self._gateway.connect()

    async def load(self, key_id: str, key: bytes) -> None:
        """Make a key known to the gateway; at the server, new sessions must use it from now on."""
        if self._psk:
            self._keys[key_id] = bytearray(key)
        else:
            await self._gateway.load(key_id, key)
        if not self._client:
            self._label(await self._gateway.sessions())
            await self._demand_from_now(key_id)

    async def switch(self, key_id: str) -> None:
        """Start a session with a key, verify it, end all others."""
        switching = asyncio.ensure_future(self._switch(key_id))
        try:
            await asyncio.shield(switching)
        except asyncio.CancelledError:  # it goes on to its end, but to no other one than failure
            self._abandoned.add(key_id)
            switching.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def verify(self, key_id: str) -> None:
        """Return if the newest session uses this key, as the gateway itself says."""
        if await self.in_use() != key_id:
            raise ChannelError(f"{self._gateway.name}: no session with key {key_id} is up{self._gateway.reason()}")

    async def destroy(self, key_id: str) -> None:
        """Unload a key; at the client also end a session that came up with it unnoticed."""
        async with self._turn:
            await self._destroy(key_id)

    async def take_down(self) -> None:
        """End all sessions."""
        if not self._client:  # the client does the same at about this moment; see rule 4
            for _ in range(int(END_S / _POLL_S)):
                if not await self._gateway.sessions():
                    break
                await asyncio.sleep(_POLL_S)
        await self._end_all(await self._gateway.sessions())
        self._used.clear()

    async def in_use(self) -> str | None:
        """Return the key of the newest session that is up."""
        sessions = await self._gateway.sessions()
        self._label(sessions)
        newest = _newest(sessions)
        if newest is None:
            return None
        if not self._client and newest.age_s >= LEFT_S:
            await self._end_all([each for each in sessions if each.number < newest.number])
        return self._used.get(newest.spis)

    def traffic(self) -> Probed | None:
        """Return what the probe stream met since the last call."""
        return None if self._traffic is None else self._traffic()

    async def close(self) -> None:
        """End sessions, remove the tunnel and its keys from the gateway, let the connections go."""
        with contextlib.suppress(ChannelError):
            for session in await self._gateway.sessions():
                await self._gateway.end(session, force=True)
            await self._gateway.purge()
            await self._gateway.disconnect()
        for key in self._keys.values():
            key[:] = bytes(len(key))
        self._keys.clear()
        self._gateway.close()

    # ---------------------------------------------------------------------------------------------------- switching
    async def _destroy(self, key_id: str) -> None:
        await self._gateway.unload(key_id)
        self._abandoned.discard(key_id)
        wiped = self._keys.pop(key_id, bytearray())
        wiped[:] = bytes(len(wiped))
        sessions = await self._gateway.sessions()
        self._label(sessions)
        if self._client:
            await self._end_all([each for each in sessions if self._used.get(each.spis, key_id) == key_id])
        elif self._demanded == key_id:
            self._demanded = None
            left = _newest([each for each in sessions if self._used.get(each.spis, key_id) != key_id])
            if left is not None:
                await self._demand_from_now(self._used[left.spis])  # sessions may be renewed with it again
        self._forget(sessions)

    async def _demand(self, key_id: str) -> None:
        """Let new sessions use this key and no other."""
        if not self._psk:
            await self._gateway.connect(key_id)
            return
        await self._gateway.purge(but=key_id)  # nothing in IKE says which pre-shared key is meant
        if key_id in self._keys:
            await self._gateway.load(key_id, self._keys[key_id])

    async def _demand_from_now(self, key_id: str) -> None:
        """At the server: let new sessions use this key and no other, and note which ones are not new."""
        await self._demand(key_id)
        self._before = frozenset(session.spis for session in await self._gateway.sessions())
        self._demanded = key_id

    async def _switch(self, key_id: str) -> None:
        async with self._turn:
            before = await self._gateway.sessions()
            known = {each.spis for each in before}
            await self._demand(key_id)
            try:
                await self._gateway.initiate()
                new = await self._come_up(known)
                self._check_wanted(key_id)
            except ChannelError:
                await self._clean_up(known)
                raise
            self._used = {each.spis: key_id for each in new}
            await self._end_all(before)

    async def _come_up(self, known: set[Spis]) -> list[Session]:
        """Return the sessions that an attempt has brought, verified."""
        new = [each for each in await self._gateway.sessions() if each.spis not in known and each.up]
        if not new:
            raise ChannelError(f"{self._gateway.name}: no new session came up; has the gateway reuse_ikesa = no?")
        if not self._psk and not all(each.ppk for each in new):
            raise ChannelError(f"{self._gateway.name}: the gateway started a session without the key; it is ended")
        return new

    def _check_wanted(self, key_id: str) -> None:
        if key_id in self._abandoned:
            self._abandoned.discard(key_id)
            raise ChannelError(f"{self._gateway.name}: nobody waits any more for the session with key {key_id}")

    async def _clean_up(self, known: set[Spis]) -> None:
        """End what a failed attempt left: half-open sessions, and ones that are not what was asked for."""
        with contextlib.suppress(ChannelError):  # the attempt's own failure counts
            for session in await self._gateway.sessions():
                if session.spis not in known:
                    await self._gateway.end(session, force=True)

    async def _end_all(self, sessions: list[Session]) -> None:
        for session in sessions:
            await self._gateway.end(session, force=not self._client)

    # ------------------------------------------------------------------------------------------------- what is in use
    def _label(self, sessions: list[Session]) -> None:
        """At the server: sessions that have come since a key was demanded use it."""
        if self._demanded is None:
            return
        for each in sessions:
            keyed = each.up and (each.ppk or self._psk)
            if keyed and each.spis not in self._before:
                self._used.setdefault(each.spis, self._demanded)

    def _forget(self, sessions: list[Session]) -> None:
        there = {each.spis for each in sessions}
        self._used = {spis: key_id for spis, key_id in self._used.items() if spis in there}


def _newest(sessions: list[Session]) -> Session | None:
    """Return the newest session that is up."""
    return max((each for each in sessions if each.up), key=lambda each: each.number, default=None)
