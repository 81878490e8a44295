"""Key rotation of one tunnel: two state machines, one for each end, that any driver can run.

``handle(event, now_s) -> list[Action]`` of :class:`~bellweave.tunnel.client.Client` and
:class:`~bellweave.tunnel.server.Server`; state changes only there. This file has what they are told and what they say.
The client's end::

    IDLE --due--> ASKING --KeyArrived--> TELLING --Acknowledged--> SWITCHING --Switched--> IDLE
                    |  KeyRefused           |  Refused, silence       |  SwitchFailed
                    +------------------ backs off, the old session stays ------------------+

The server's end: Told -> FETCHING -> KeyArrived -> load, acknowledge -> Switched -> retire the old key.

Rules:

1. The key in use stays until a session with the next one is up and verified; every failure destroys the next one.
2. A key that arrives is used or destroyed, whatever the order of events: one that comes too late is destroyed at once.
3. The server has a key loaded before the client is told that it may switch (RFC 8784: a responder that lacks the key
   refuses the session), and both keep the old key until the new session is up.
4. Without a fresh key the old session stays (``keep-old``), or goes down once its key is too old (``fail-closed``).
   A session that is as long as it was configured is renewed with the key that it has.
5. A session that a fault has ended is not made again with its key, whatever the policy: a fresh key is asked for.

Key bytes never enter a rotation: it knows ids; the driver holds the bytes until it installs or destroys them. The same
machines run in virtual time and over real daemons.
"""

from dataclasses import dataclass

# --------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; the driver calls at :attr:`Client.due_s` (or :attr:`Server.due_s`) at the latest."""


@dataclass(frozen=True, slots=True)
class KeyArrived:
    """The KME gave the key (``enc_keys`` at the client, ``dec_keys`` at the server)."""

    key_id: str


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """The KME gave none; ``retry_s``: when it may be asked again, if it said so."""

    reason: str
    retry_s: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """To the server: the client's agent names the next key."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """To the client: the server holds the key and is ready to switch."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """To the client: the server can't have the key."""

    key_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Switched:
    """The new session is up (verified) at this end."""

    key_id: str


@dataclass(frozen=True, slots=True)
class SwitchFailed:
    """The new session did not come up; the old one is untouched."""

    key_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The session is gone through a fault, at this end or the other; its key is not used again."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Hurry:
    """To the client: a fresh key is due now, unless one is under way: a fault is over, or the tunnel is down by one."""


Event = Tick | KeyArrived | KeyRefused | Told | Acknowledged | Refused | Switched | SwitchFailed | Lost | Hurry

# -------------------------------------------------------------------------------------------------------------- actions


@dataclass(frozen=True, slots=True)
class AskKey:
    """Ask the own KME for one key (``enc_keys``)."""


@dataclass(frozen=True, slots=True)
class TellPeer:
    """Name the key to the server's agent."""

    key_id: str


@dataclass(frozen=True, slots=True)
class FetchKey:
    """Take the key from the own KME (``dec_keys``)."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Load:
    """Make the key known to the own gateway, so that a session can use it."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell the client's agent that the key is loaded."""

    key_id: str


@dataclass(frozen=True, slots=True)
class RefusePeer:
    """Tell the client's agent that the key can't be had."""

    key_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Start a new session with this key beside the old one, verify it, retire the old one."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Renew:
    """Start a new session with the key in use: the configured length of a session is over."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Destroy:
    """Unload and erase a key: nothing uses it any more."""

    key_id: str


@dataclass(frozen=True, slots=True)
class TakeDown:
    """Take the tunnel down: its key is too old and the policy is fail-closed."""

    reason: str


Action = AskKey | TellPeer | FetchKey | Load | Acknowledge | RefusePeer | Switch | Renew | Destroy | TakeDown
