"""What the agents of a tunnel's two ends say to each other; no key ever crosses.

Every message names the tunnel, both ends and the key, beside the certificates that say so too: one that was meant for
another tunnel is refused (:mod:`bellweave.edge.agent_link`).
"""

from bellweave.dialogue import Message


class Bound(Message, frozen=True):
    """Base of what agents say.

    Attributes:
        tunnel: Its name.
        client, server: Names of its two SAEs.
        key_id: Which key it is about.
    """

    tunnel: str
    client: str
    server: str
    key_id: str


class Here(Bound, frozen=True):
    """Said first on every connection, both ways: your certificate is the right one. About no key."""


class Tell(Bound, frozen=True):
    """Client to server: this key comes next."""


class Loaded(Bound, frozen=True):
    """Server to client: it is loaded."""


class Unable(Bound, frozen=True):
    """Server to client: it can't be had; or, of the key in use: it is not in use here (any more)."""

    reason: str


class InUse(Bound, frozen=True):
    """Client to server: a session with it is up. Said again on a new connection."""


class NotInUse(Bound, frozen=True):
    """Client to server: no session came of it."""

    reason: str
