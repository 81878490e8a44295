"""What a strongSwan daemon can be asked to do about one tunnel, through its vici socket.

The daemon may serve other tunnels, and be somebody else's: connections and secrets have names of their tunnel's, and
nothing else is touched. Errors are :class:`~bellweave.edge.channel.ChannelError` and hold no key.
"""

import contextlib
import hashlib
import re
import secrets
from pathlib import Path
from typing import Any

from bellweave.edge.channel import ChannelError
from bellweave.edge.charon import tail
from bellweave.edge.gateway import Certified, Gateway
from bellweave.edge.vici_client import Message, ViciClient, ViciError

INITIATE_S = 8.0
"""Longer than all retransmissions of an initiator (6.6 s): one that is given up earlier may come up behind our back."""

END_S = 1.5
"""How long the other end may take to answer that a session is over, before this end forgets it anyway."""

CHILD = "net"
PLACEHOLDER = "placeholder"
SECRET_BYTES = 32

_ADDED_S = 1.0
_LOG_LINES = 30
_REASON = re.compile(
    r"\[(?:IKE|CFG|KNL)\] <([^|>]*)\|[^>]*> (.*(?:PPK required|but require|MAC mismatched|no shared key|no trusted|"
    r"no matching|notify error|giving up|unable to|mismatch).*)"
)

Spis = tuple[bytes, bytes]
"""What names a session for both ends, over restarts of daemons too."""


class Session:
    """An IKE_SA as a daemon describes it.

    Attributes:
        number: The daemon's; a later one is higher.
        spis: Its SPIs.
        ppk: Whether a PPK is in its keys.
        age_s: Whole seconds since it was established.
        up: Whether it carries traffic.
    """

    def __init__(self, sa: Message) -> None:
        self.number = int(sa["uniqueid"])
        self.spis: Spis = (sa["initiator-spi"], sa["responder-spi"])
        self.ppk = sa.get("ppk") == b"yes"
        self.age_s = int(sa.get("established", 0))
        children = sa.get("child-sas", {}).values()
        self.up = sa["state"] == b"ESTABLISHED" and any(child["state"] == b"INSTALLED" for child in children)


class IpsecGateway:
    """A gateway, about one tunnel.

    Args:
        gateway: Which, and what it must know.

    Attributes:
        name: The tunnel's and the side's, for messages.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.name = f"{gateway.tunnel}.{gateway.side}"
        self._gateway = gateway
        self._vici = ViciClient(gateway.vici)
        self._starter = ViciClient(gateway.vici)  # waits for seconds if the other end does not answer

    def close(self) -> None:
        """Let the connections go."""
        self._vici.close()
        self._starter.close()

    # -------------------------------------------------------------------------------------------------------- sessions
    async def sessions(self) -> list[Session]:
        """Return all IKE_SAs of the tunnel."""
        try:
            found = await self._vici.listed("list-sas", "list-sa", {"ike": self._gateway.tunnel})
        except ViciError as error:
            raise self._failed(error) from None
        return [Session(sa) for each in found for sa in each.values()]

    async def initiate(self) -> None:
        """Start a session; returns when it is up."""
        wanted = {
            "ike": self._gateway.tunnel, "child": CHILD,
            "timeout": str(round(1000 * INITIATE_S)), "loglevel": "-1",
        }  # fmt: skip
        try:
            await self._starter.call("initiate", wanted, timeout_s=INITIATE_S + _ADDED_S)
        except ViciError as error:
            raise ChannelError(f"{self.name}: {error}{self.reason()}") from None

    async def end(self, session: Session, *, force: bool = False) -> None:
        """End a session by its number: names are all equal.

        Args:
            session: Which.
            force: Tell the other end, but don't wait; without, that is the last resort.
        """
        message = {"ike-id": str(session.number), "timeout": str(round(1000 * END_S)), "loglevel": "-1"}
        if not force and session.up:
            with contextlib.suppress(ViciError):
                await self._vici.call("terminate", message)
                return
        await self._call("terminate", {**message, "force": "yes"}, refusal_is_fine=True)

    # ------------------------------------------------------------------------------------------------------ connection
    async def connect(self, key_id: str | None = None) -> None:
        """Make the tunnel known; with a key, new sessions name it (client) or must name it (server) as their PPK."""
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

    async def disconnect(self) -> None:
        """Make the tunnel unknown."""
        await self._call("unload-conn", {"name": self._gateway.tunnel}, refusal_is_fine=True)

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

    # --------------------------------------------------------------------------------------------------------- secrets
    async def authenticate(self) -> None:
        """Give the gateway what the ends know each other by, beside the keys."""
        auth = self._gateway.auth
        if self._gateway.mode == "psk":
            return
        if not isinstance(auth, Certified):
            if auth.secret:
                await self._load("base", "ike", auth.secret, self._ids)
            return
        if auth.authority:
            await self._call("load-cert", {"type": "X509", "flag": "CA", "data": auth.authority})
        if auth.key:
            await self._call("load-key", {"type": "any", "data": auth.key})

    async def announce(self) -> None:
        """Load one more PPK, random and with an owner that nobody uses: without any, PPKs are not announced."""
        owner = f"{PLACEHOLDER}-{secrets.token_hex(8)}"
        await self._load(PLACEHOLDER, "ppk", secrets.token_bytes(SECRET_BYTES), [owner])

    async def load(self, key_id: str, key: bytes | bytearray) -> None:
        """Load a key: as the PPK of its id, or with ``psk`` as the pre-shared key of both ends."""
        if self._gateway.mode == "psk":
            await self._load(key_id, "ike", bytes(key), self._ids)
        else:
            await self._load(key_id, "ppk", bytes(key), [key_id])

    async def unload(self, key_id: str) -> None:
        """Unload a key; unknown: nothing."""
        await self._call("unload-shared", {"id": self._secret_id(key_id)}, refusal_is_fine=True)

    async def purge(self, but: str = "") -> None:
        """Unload every secret of this tunnel but one."""
        for each in (await self._call("get-shared")).get("keys", []):
            name = each.decode()
            if name.startswith(self._secret_id("")) and name != self._secret_id(but):
                await self._call("unload-shared", {"id": name}, refusal_is_fine=True)

    @property
    def _ids(self) -> list[str]:
        return [self._gateway.local_id, self._gateway.remote_id]

    async def _load(self, name: str, kind: str, data: bytes, owners: list[str]) -> None:
        await self._call("load-shared", {"id": self._secret_id(name), "type": kind, "data": data, "owners": owners})

    def _secret_id(self, name: str) -> str:
        """Return what a daemon that many tunnels share calls a secret of this one."""
        return f"bellweave/{hashlib.sha256(self._gateway.tunnel.encode()).hexdigest()[:12]}/{name}"

    # ---------------------------------------------------------------------------------------------------------- errors
    async def _call(self, command: str, message: Message | None = None, *, refusal_is_fine: bool = False) -> Message:
        try:
            return await self._vici.call(command, message)
        except ViciError as error:
            if refusal_is_fine and error.refused:
                return {}
            raise self._failed(error) from None

    def _failed(self, error: ViciError) -> ChannelError:
        return ChannelError(f"{self.name}: the gateway: {error}")

    def reason(self) -> str:
        """Return in brackets the last line of the daemon's log that says why a session of this tunnel failed."""
        said = tail(Path(self._gateway.log), _LOG_LINES).split("; ") if self._gateway.log else []
        found = [match for match in map(_REASON.search, said) if match and match[1] == self._gateway.tunnel]
        return f" ({found[-1][2]})" if found else ""
