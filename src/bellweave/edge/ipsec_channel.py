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
import hashlib
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bellweave.edge.channel import ChannelError
from bellweave.edge.charon import tail
from bellweave.edge.gateway import Certified, Gateway
from bellweave.edge.vici_client import Message, ViciClient, ViciError
from bellweave.results.network_records import Probed

INITIATE_S = 8.0
"""Longer than all retransmissions of an initiator (6.6 s): one that is given up earlier may come up behind our back."""

END_S = 1.5
"""How long the other end may take to answer that a session is over, before this end forgets it anyway."""

CHILD = "net"
PLACEHOLDER = "placeholder"

_ADDED_S = 1.0
_POLL_S = 0.05
_REASON = re.compile(
    r"\[(?:IKE|CFG|KNL)\] (?:<[^>]*> )?(.*(?:PPK required|but require|MAC mismatched|no shared key|no trusted|"
    r"no matching|notify error|giving up|unable to|mismatch).*)"
)

Spis = tuple[bytes, bytes]
"""What names a session for both ends, over restarts of daemons too."""


class Session:
    """An IKE_SA as a daemon describes it."""

    def __init__(self, sa: Message) -> None:
        self.number = int(sa["uniqueid"])
        self.spis: Spis = (sa["initiator-spi"], sa["responder-spi"])
        self.ppk = sa.get("ppk") == b"yes"
        children = sa.get("child-sas", {}).values()
        self.up = sa["state"] == b"ESTABLISHED" and any(child["state"] == b"INSTALLED" for child in children)


class IpsecChannel:
    """One end of an IPsec tunnel; implements :class:`~bellweave.edge.channel.Channel`.

    Args:
        gateway: The gateway at this end.
        traffic: What the tunnel's probe stream met since the last call; None: nobody probes.
    """

    def __init__(self, gateway: Gateway, traffic: Callable[[], Probed | None] | None = None) -> None:
        self._gateway = gateway
        self._client = gateway.side == "client"
        self._traffic = traffic
        self._vici = ViciClient(gateway.vici)
        self._starter = ViciClient(gateway.vici)  # waits for seconds if the other end does not answer
        self._used: dict[Spis, str] = {}  # session to its key
        self._keys: dict[str, bytearray] = {}  # only with psk: to go back to the key in use
        # at the server: sessions that were there when a key was loaded
        self._before: dict[str, frozenset[Spis]] = {}
        self._turn = asyncio.Lock()
        self._abandoned: set[str] = set()

    # ---------------------------------------------------------------------------------------------------------- Channel
    async def start(self) -> None:
        """Make the tunnel known to the gateway; sessions and keys of it that are there from before us are removed."""
        await self._purge()
        for session in await self._sessions():
            if session.spis not in self._used:
                await self._end(session)
        await self._base()
        if self._gateway.mode == "ppk" and not self._client:
            await self._call("load-shared", {
                "id": self._secret_id(PLACEHOLDER), "type": "ppk", "data": secrets.token_bytes(32),
                "owners": [f"{PLACEHOLDER}-{secrets.token_hex(8)}"],
            })  # fmt: skip
        await self._connection(None)

    async def load(self, key_id: str, key: bytes) -> None:
        """Make a key known to the gateway; at the server, new sessions must use it from now on."""
        if self._gateway.mode == "ppk":
            await self._load_secret(key_id, key)
        else:
            self._keys[key_id] = bytearray(key)
        if self._client:
            return
        await self._demand(key_id)
        self._before[key_id] = frozenset(session.spis for session in await self._sessions())

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
        sessions = await self._sessions()
        if not self._client:
            self._match(key_id, sessions)
        if self._newest(sessions) != key_id:
            raise ChannelError(f"{self._name}: no session with key {key_id} is up{self._log()}")
        if not self._client:  # the client has ended all others, or could not
            newest = max(each.number for each in sessions if each.up)
            await self._end_all([each for each in sessions if each.number < newest])

    async def destroy(self, key_id: str) -> None:
        """Unload a key; at the client also end a session that came up with it unnoticed."""
        async with self._turn:
            await self._destroy(key_id)

    async def take_down(self) -> None:
        """End all sessions."""
        if not self._client:  # the client does the same at about this moment; see rule 4
            for _ in range(int(END_S / _POLL_S)):
                if not await self._sessions():
                    break
                await asyncio.sleep(_POLL_S)
        await self._end_all(await self._sessions())
        self._used.clear()

    async def in_use(self) -> str | None:
        """Return the key of the newest session that is up."""
        return self._newest(await self._sessions())

    def traffic(self) -> Probed | None:
        """Return what the probe stream met since the last call."""
        return None if self._traffic is None else self._traffic()

    async def close(self) -> None:
        """End sessions, remove the tunnel and its keys from the gateway, let the connections go."""
        with contextlib.suppress(ChannelError):
            for session in await self._sessions():
                await self._end(session, force=True)
            await self._purge()
            await self._call("unload-conn", {"name": self._gateway.tunnel}, refusal_is_fine=True)
        for key in self._keys.values():
            key[:] = bytes(len(key))
        self._keys.clear()
        self._vici.close()
        self._starter.close()

    # ---------------------------------------------------------------------------------------------------- switching
    async def _destroy(self, key_id: str) -> None:
        await self._unload(key_id)
        self._abandoned.discard(key_id)
        wiped = self._keys.pop(key_id, bytearray())
        wiped[:] = bytes(len(wiped))
        self._before.pop(key_id, None)
        sessions = await self._sessions()
        if self._client:
            await self._end_all([each for each in sessions if self._used.get(each.spis, key_id) == key_id])
        newest = self._newest(sessions)
        if not self._client and newest is not None and newest != key_id:
            await self._demand(newest)  # sessions may be renewed with it again
        self._forget(sessions)

    async def _switch(self, key_id: str) -> None:
        async with self._turn:
            before = await self._sessions()
            known = {each.spis for each in before}
            await self._demand(key_id)
            try:
                await self._initiate()
                new = await self._come_up(known)
                self._check_wanted(key_id)
            except ChannelError:
                await self._clean_up(known)
                raise
            self._used.update((each.spis, key_id) for each in new)
            await self._end_all(before)
            self._forget(await self._sessions())

    async def _come_up(self, known: set[Spis]) -> list[Session]:
        """Return the sessions that an attempt has brought, verified."""
        new = [each for each in await self._sessions() if each.spis not in known and each.up]
        if not new:
            raise ChannelError(f"{self._name}: no new session came up; has the gateway reuse_ikesa = no?")
        if self._gateway.mode == "ppk" and not all(each.ppk for each in new):
            raise ChannelError(f"{self._name}: the gateway started a session without the key; it is ended")
        return new

    def _check_wanted(self, key_id: str) -> None:
        if key_id in self._abandoned:
            self._abandoned.discard(key_id)
            raise ChannelError(f"{self._name}: nobody waits any more for the session with key {key_id}")

    async def _initiate(self) -> None:
        wanted = {
            "ike": self._gateway.tunnel, "child": CHILD,
            "timeout": str(round(1000 * INITIATE_S)), "loglevel": "-1",
        }  # fmt: skip
        try:
            await self._starter.call("initiate", wanted, timeout_s=INITIATE_S + _ADDED_S)
        except ViciError as error:
            raise ChannelError(f"{self._name}: {error}{self._log()}") from None

    async def _clean_up(self, known: set[Spis]) -> None:
        """End what a failed attempt left: half-open sessions, and ones that are not what was asked for."""
        with contextlib.suppress(ChannelError):  # the attempt's own failure counts
            for session in await self._sessions():
                if session.spis not in known:
                    await self._end(session, force=True)

    async def _end_all(self, sessions: list[Session]) -> None:
        for session in sessions:
            await self._end(session)

    async def _end(self, session: Session, *, force: bool = False) -> None:
        """End a session by its number: names are all equal. If the other end does not answer, forget it."""
        force = force or not (self._client and session.up)
        message = {"ike-id": str(session.number), "timeout": str(round(1000 * END_S)), "loglevel": "-1"}
        if not force:
            with contextlib.suppress(ViciError):
                await self._vici.call("terminate", message)
                return
        await self._call("terminate", {**message, "force": "yes"}, refusal_is_fine=True)

    # ------------------------------------------------------------------------------------------------- what is in use
    def _match(self, key_id: str, sessions: list[Session]) -> None:
        """At the server: note the session that uses this key."""
        before = self._before.get(key_id)
        if before is None:
            return  # not loaded, or matched before
        for session in sessions:
            if session.spis not in before and session.up and (session.ppk or self._gateway.mode == "psk"):
                self._used[session.spis] = key_id

    def _newest(self, sessions: list[Session]) -> str | None:
        up = max((each for each in sessions if each.up), key=lambda each: each.number, default=None)
        return None if up is None else self._used.get(up.spis)

    def _forget(self, sessions: list[Session]) -> None:
        there = {each.spis for each in sessions}
        self._used = {spis: key_id for spis, key_id in self._used.items() if spis in there}

    async def _sessions(self) -> list[Session]:
        """Return all IKE_SAs of this tunnel at the gateway."""
        try:
            found = await self._vici.listed("list-sas", "list-sa", {"ike": self._gateway.tunnel})
        except ViciError as error:
            raise self._failed(error) from None
        return [Session(sa) for each in found for sa in each.values()]

    # ------------------------------------------------------------------------------------------- what the daemon knows
    async def _connection(self, key_id: str | None) -> None:
        """Tell the gateway of the tunnel; with a key, new sessions name (client) or demand (server) that one."""
        gateway = self._gateway
        connection: dict[str, Any] = {
            "version": "2",
            "local_addrs": [gateway.local],
            "remote_addrs": [gateway.remote],
            "proposals": list(gateway.proposals),
            "encap": "yes" if gateway.encap else "no",
            "mobike": "no",
            # sessions live side by side; one that a crashed peer had is cleared all the same
            "unique": "no",
            "dpd_delay": "0",
            # a new session needs a fresh key: only we start one
            "rekey_time": "0",
            "reauth_time": "0",
            "children": {
                CHILD: {
                    "local_ts": list(gateway.local_ts), "remote_ts": list(gateway.remote_ts),
                    "esp_proposals": list(gateway.esp_proposals), "mode": "tunnel", "rekey_time": "0",
                    "start_action": "none", "dpd_action": "none", "close_action": "none",
                }
            },
        }  # fmt: skip
        connection["local"], connection["remote"] = self._ends()
        if gateway.mode == "ppk":
            connection["ppk_required"] = "yes"
            if key_id is not None:
                connection["ppk_id"] = key_id
        await self._call("load-conn", {gateway.tunnel: connection})

    def _ends(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return how this end shows who it is, and how the other one must."""
        gateway = self._gateway
        local: dict[str, Any] = {"auth": "psk", "id": gateway.local_id}
        remote: dict[str, Any] = {"auth": "psk", "id": gateway.remote_id}
        if gateway.mode == "ppk" and isinstance(gateway.auth, Certified):
            local["auth"] = remote["auth"] = "pubkey"
            if gateway.auth.certificate:
                local["certs"] = [gateway.auth.certificate]
            if gateway.auth.authority:
                remote["cacerts"] = [gateway.auth.authority]
        return local, remote

    async def _base(self) -> None:
        """Give the gateway what the ends know each other by, beside the keys."""
        gateway = self._gateway
        if gateway.mode == "psk":
            return
        if not isinstance(gateway.auth, Certified):
            if gateway.auth.secret:
                owners = [gateway.local_id, gateway.remote_id]
                await self._call("load-shared", {
                    "id": self._secret_id("base"), "type": "ike", "data": gateway.auth.secret, "owners": owners,
                })  # fmt: skip
            return
        if gateway.auth.authority:
            await self._call("load-cert", {"type": "X509", "flag": "CA", "data": gateway.auth.authority})
        if gateway.auth.key:
            await self._call("load-key", {"type": "any", "data": gateway.auth.key})

    async def _load_secret(self, key_id: str, key: bytes | bytearray) -> None:
        psk = self._gateway.mode == "psk"
        owners = [self._gateway.local_id, self._gateway.remote_id] if psk else [key_id]
        await self._call("load-shared", {
            "id": self._secret_id(key_id), "type": "ike" if psk else "ppk", "data": bytes(key), "owners": owners,
        })  # fmt: skip

    async def _demand(self, key_id: str) -> None:
        """Let new sessions use this key and no other."""
        await (self._connection(key_id) if self._gateway.mode == "ppk" else self._only(key_id))

    async def _only(self, key_id: str) -> None:
        """With psk: leave this key alone at the daemon; nothing in IKE says which one is meant."""
        for each in await self._loaded():
            if each != self._secret_id(key_id):
                await self._call("unload-shared", {"id": each}, refusal_is_fine=True)
        if key_id in self._keys:
            await self._load_secret(key_id, self._keys[key_id])

    async def _unload(self, key_id: str) -> None:
        await self._call("unload-shared", {"id": self._secret_id(key_id)}, refusal_is_fine=True)

    async def _purge(self) -> None:
        """Unload every secret of this tunnel."""
        for each in await self._loaded():
            await self._call("unload-shared", {"id": each}, refusal_is_fine=True)

    async def _loaded(self) -> list[str]:
        keys = (await self._call("get-shared")).get("keys", [])
        return [name for name in (each.decode() for each in keys) if name.startswith(self._secret_id(""))]

    def _secret_id(self, key_id: str) -> str:
        """Return what a daemon that many tunnels share calls a secret of this one."""
        return f"bellweave/{hashlib.sha256(self._gateway.tunnel.encode()).hexdigest()[:12]}/{key_id}"

    # ---------------------------------------------------------------------------------------------------------- calls
    async def _call(self, command: str, message: Message | None = None, *, refusal_is_fine: bool = False) -> Message:
        try:
            return await self._vici.call(command, message)
        except ViciError as error:
            if refusal_is_fine and error.refused:
                return {}
            raise self._failed(error) from None

    def _failed(self, error: ViciError) -> ChannelError:
        return ChannelError(f"{self._name}: the gateway: {error}")

    @property
    def _name(self) -> str:
        return f"{self._gateway.tunnel}.{self._gateway.side}"

    def _log(self) -> str:
        """Return the last line of the daemon's log that says why something failed."""
        said = tail(Path(self._gateway.log), 20).split("; ") if self._gateway.log else []
        reasons = [found.group(1) for found in map(_REASON.search, said) if found]
        return f" ({reasons[-1]})" if reasons else ""
