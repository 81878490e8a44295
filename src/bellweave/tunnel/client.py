"""The client's end of a tunnel's key rotation: it asks for keys, so it is the master SAE."""

import math

from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.rotation import (
    Acknowledged,
    Action,
    AskKey,
    Destroy,
    Event,
    Hurry,
    KeyArrived,
    KeyRefused,
    Load,
    Lost,
    Refused,
    Renew,
    Switch,
    Switched,
    SwitchFailed,
    TakeDown,
    TellPeer,
    Tick,
)

PATIENCE_S = 10.0
"""How long a step may take before the attempt is given up; an IKEv2 initiator with short retransmissions needs 7 s."""


class Client:
    """State of one tunnel at the client's gateway.

    Args:
        params: The tunnel.
        patience_s: How long any step may take before the attempt is given up, > 0.

    Attributes:
        key_id: The key in use; None before the first one and while the tunnel is down.
        attempts, failures: Keys asked for, and attempts that did not lead to a switch.
    """

    def __init__(self, params: Tunnel, patience_s: float = PATIENCE_S) -> None:
        self._params = params
        self._patience_s = patience_s
        self._next_s = params.start_s
        self._deadline_s = math.inf
        self._asking = False
        self._pending: str | None = None
        self._loaded = False
        self._fresh_s = self._session_s = math.nan
        self.key_id: str | None = None
        self.attempts = self.failures = 0

    @property
    def due_s(self) -> float:
        """When :meth:`handle` wants a :class:`Tick` at the latest."""
        attempt_s = self._deadline_s if self._busy else self._next_s
        return min(attempt_s, self._expires_s, self._renewal_s)

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """Take note of what happened and return what is to be done, in order."""
        match event:
            case Tick():
                return self._tick(now_s)
            case KeyArrived(key_id):
                return self._arrived(key_id, now_s)
            case KeyRefused(_, retry_s) if self._asking:
                return self._give_up(now_s, retry_s)
            case Acknowledged(key_id) if key_id == self._pending and not self._loaded:
                self._loaded, self._deadline_s = True, now_s + self._patience_s
                return [Load(key_id), Switch(key_id)]
            case Refused(key_id, _) | SwitchFailed(key_id, _) if key_id == self._pending:
                return self._give_up(now_s)
            case Switched(key_id) if key_id == self._pending and self._loaded:
                return self._adopt(key_id, now_s)
            case Lost(key_id) if key_id == self.key_id:
                self.key_id = None
                return [Destroy(key_id)]
            case Hurry() if not self._busy:
                self._next_s = min(self._next_s, now_s)
        return []

    @property
    def _busy(self) -> bool:
        return self._asking or self._pending is not None

    @property
    def _switching(self) -> bool:
        return self._pending is not None and self._loaded

    @property
    def _expires_s(self) -> float:
        """When the key in use is too old for the policy."""
        limit_s = self._params.max_key_age_s
        if self.key_id is None or limit_s is None or self._params.starvation != "fail-closed":
            return math.inf
        return self._fresh_s + limit_s

    @property
    def _renewal_s(self) -> float:
        """When the session is as long as it was configured; while one with a fresh key is being made, that will do."""
        if self.key_id is None or self._params.session_s is None or self._switching:
            return math.inf
        return self._session_s + self._params.session_s

    def _tick(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        if now_s >= self._expires_s and self.key_id is not None:
            actions += [TakeDown(f"its key is older than {self._params.max_key_age_s} s"), Destroy(self.key_id)]
            self.key_id = None
        if now_s >= self._renewal_s and self.key_id is not None:
            self._session_s = now_s
            actions.append(Renew(self.key_id))
        if self._busy:
            return actions + (self._give_up(now_s) if now_s >= self._deadline_s else [])
        if now_s >= self._next_s:
            self._asking, self._deadline_s = True, now_s + self._patience_s
            self._next_s = self._next_period(now_s)
            self.attempts += 1
            actions.append(AskKey())
        return actions

    def _arrived(self, key_id: str, now_s: float) -> list[Action]:
        if key_id in {self._pending, self.key_id}:
            return []  # said twice
        if not self._asking:
            return [Destroy(key_id)]  # it came after it was given up
        self._asking, self._pending, self._loaded = False, key_id, False
        self._deadline_s = now_s + self._patience_s
        return [TellPeer(key_id)]

    def _adopt(self, key_id: str, now_s: float) -> list[Action]:
        old, self.key_id = self.key_id, key_id
        self._pending, self._deadline_s = None, math.inf
        self._fresh_s = self._session_s = now_s
        return [] if old is None else [Destroy(old)]

    def _give_up(self, now_s: float, retry_s: float | None = None) -> list[Action]:
        """End the attempt; the next one is due after the retry time, or at the next period."""
        abandoned = self._pending
        self._asking, self._pending, self._deadline_s = False, None, math.inf
        self.failures += 1
        pause_s = retry_s if retry_s is not None else self._params.retry_s
        if self._params.retry_s is not None and pause_s is not None:
            self._next_s = min(self._next_s, now_s + max(pause_s, self._params.retry_s))
        return [] if abandoned is None else [Destroy(abandoned)]

    def _next_period(self, now_s: float) -> float:
        """Return the first moment of the period's grid after now."""
        start_s, period_s = self._params.start_s, self._params.period_s
        return start_s + period_s * (math.floor((now_s - start_s) / period_s + 1e-9) + 1)
