"""Key rotation of one tunnel: two state machines, one for each end, that any driver can run.

``handle(event, now_s) -> list[Action]``; state changes only there. The client's end::

    IDLE --due--> ASKING --KeyArrived--> TELLING --Acknowledged--> SWITCHING --Switched--> IDLE
                    |  KeyRefused           |  Refused, silence       |  SwitchFailed
                    +------------------ backs off, the old session stays ------------------+

The server's end: Told -> FETCHING -> KeyArrived -> load, acknowledge -> Switched -> retire the old key.

Key bytes never enter a rotation: it knows ids; the driver holds the bytes until it installs or destroys them.
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


Event = Tick | KeyArrived | KeyRefused | Told | Acknowledged | Refused | Switched | SwitchFailed

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
class Destroy:
    """Unload and erase a key: nothing uses it any more."""

    key_id: str


@dataclass(frozen=True, slots=True)
class TakeDown:
    """Take the tunnel down: its key is too old and the policy is fail-closed."""

    reason: str


Action = AskKey | TellPeer | FetchKey | Load | Acknowledge | RefusePeer | Switch | Destroy | TakeDown
