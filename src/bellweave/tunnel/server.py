"""The server's end of a tunnel's key rotation: it is told which key comes next, so it is the slave SAE."""

import math

from bellweave.tunnel.client import PATIENCE_S
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.rotation import (
    Acknowledge,
    Action,
    Destroy,
    Event,
    FetchKey,
    KeyArrived,
    KeyRefused,
    Load,
    Lost,
    RefusePeer,
    Switched,
    SwitchFailed,
    TakeDown,
    Tick,
    Told,
)


class Server:
    """State of one tunnel at the server's gateway.

    It loads a key, acknowledges it, and keeps the one before until a session with the new one is up. A key that no
    session follows is destroyed after a while: twice the client's patience, because the client may wait once for the
    acknowledgement and once for the session.

    Args:
        params: The tunnel.
        patience_s: The client's.

    Attributes:
        key_id: The key in use; None before the first one and while the tunnel is down.
    """

    def __init__(self, params: Tunnel, patience_s: float = PATIENCE_S) -> None:
        self._params = params
        self._patience_s = 2.0 * patience_s
        self._fetching: str | None = None
        self._loaded: str | None = None
        self._deadline_s = math.inf
        self._fresh_s = math.nan
        self.key_id: str | None = None

    @property
    def due_s(self) -> float:
        """When :meth:`handle` wants a :class:`Tick` at the latest."""
        return min(self._deadline_s, self._expires_s)

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """Take note of what happened and return what is to be done, in order."""
        match event:
            case Tick():
                return self._tick(now_s)
            case Told(key_id):
                return self._told(key_id, now_s)
            case KeyArrived(key_id):
                return self._arrived(key_id, now_s)
            case KeyRefused(reason, _) if self._fetching is not None:
                refused, self._fetching, self._deadline_s = self._fetching, None, math.inf
                return [RefusePeer(refused, reason)]
            case Switched(key_id) if key_id == self._loaded:
                old, self.key_id, self._loaded = self.key_id, key_id, None
                self._deadline_s, self._fresh_s = math.inf, now_s
                return [] if old is None else [Destroy(old)]
            case SwitchFailed(key_id, _) if key_id == self._loaded:
                self._loaded, self._deadline_s = None, math.inf
                return [Destroy(key_id)]
            case Lost(key_id) if key_id == self.key_id:
                self.key_id = None
                return [Destroy(key_id)]
        return []

    @property
    def _expires_s(self) -> float:
        limit_s = self._params.max_key_age_s
        if self.key_id is None or limit_s is None or self._params.starvation != "fail-closed":
            return math.inf
        return self._fresh_s + limit_s

    def _told(self, key_id: str, now_s: float) -> list[Action]:
        """A key that the client names replaces whatever it named before: the client has given that up."""
        if key_id == self._fetching:
            return []
        if key_id in {self._loaded, self.key_id}:  # said twice: its acknowledgement was lost
            return [Acknowledge(key_id)]
        dropped: list[Action] = [Destroy(self._loaded)] if self._loaded is not None else []
        self._loaded, self._fetching, self._deadline_s = None, key_id, now_s + self._patience_s
        return [*dropped, FetchKey(key_id)]

    def _arrived(self, key_id: str, now_s: float) -> list[Action]:
        if key_id != self._fetching:
            return [] if key_id in {self._loaded, self.key_id} else [Destroy(key_id)]
        self._fetching, self._loaded = None, key_id
        self._deadline_s = now_s + self._patience_s
        return [Load(key_id), Acknowledge(key_id)]

    def _tick(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        if now_s >= self._expires_s and self.key_id is not None:
            actions += [TakeDown(f"its key is older than {self._params.max_key_age_s} s"), Destroy(self.key_id)]
            self.key_id = None
        if now_s >= self._deadline_s:
            if self._loaded is not None:
                actions.append(Destroy(self._loaded))
            self._fetching = self._loaded = None
            self._deadline_s = math.inf
        return actions
