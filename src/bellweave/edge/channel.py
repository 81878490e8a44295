"""What protects a tunnel's traffic, as an agent drives it: one end of an IPsec tunnel or of an encrypting channel.

The order is the rotation's (:mod:`bellweave.tunnel.rotation`): the server loads a key, then the client loads it and
switches; the old session stays until the new one is up and verified. Implementations: ``edge.ipsec_channel``
(strongSwan through vici) and ``edge.aead_channel``.
"""

from typing import Protocol

from bellweave.results.network_records import Probed


class ChannelError(Exception):
    """A session did not come up, or the gateway does not answer; the session that was there is untouched."""


class Channel(Protocol):
    """One end of a tunnel. Calls come one at a time; each ends within the rotation's patience.

    Every method may raise :class:`ChannelError`; key bytes never get into its words.
    """

    async def start(self) -> None:
        """Bring the gateway into a state in which keys can be loaded; also after it was restarted. No session yet."""
        ...

    async def load(self, key_id: str, key: bytes) -> None:
        """Make a key known to the gateway."""
        ...

    async def switch(self, key_id: str) -> None:
        """At the client: start a session with this key, verify that it is in use, retire the old session."""
        ...

    async def verify(self, key_id: str) -> None:
        """Return if the newest session uses this key, as the gateway itself says."""
        ...

    async def destroy(self, key_id: str) -> None:
        """Unload and erase a key, and at the client the session that it may have got meanwhile; unknown: nothing."""
        ...

    async def take_down(self) -> None:
        """End all sessions: nothing passes until the next switch."""
        ...

    async def in_use(self) -> str | None:
        """Return the key_id of the newest session that is up, as the gateway says; None: there is none."""
        ...

    def traffic(self) -> Probed | None:
        """Return what the probe stream met since the last call (client's end; None elsewhere); ``at_s`` is 0."""
        ...

    async def close(self) -> None:
        """End sessions and let everything go, whatever state it is in."""
        ...
