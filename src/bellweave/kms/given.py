"""Which keys masters got at this KME that wait at another one, so that others who ask for them here are told so.

ETSI 014 answers 401 to whoever asks for somebody else's key, its master included, wherever they ask. Only the last keys
are remembered, in memory: what is forgotten is "not found", which is true of this KME as well.
"""

from collections import deque

from bellweave.kms.records import Material
from bellweave.kms.wanted import Wanted

MOST = 1 << 16
"""How many keys are remembered; each takes some 200 bytes."""


class Given:
    """The last keys that were given to masters here for slaves elsewhere."""

    def __init__(self) -> None:
        self._given: dict[bytes, tuple[Wanted, float]] = {}
        self._order: deque[bytes] = deque()

    def note(self, wanted: Wanted, materials: tuple[Material, ...], expires_s: float) -> None:
        """Remember keys that a request was answered with, and how long they wait."""
        for material in materials:
            self._given[material.key_id] = wanted, expires_s
            self._order.append(material.key_id)
        while len(self._order) > MOST:
            del self._given[self._order.popleft()]

    def to_others(self, caller: str, master: str | None, key_ids: tuple[bytes, ...], now_s: float) -> bool:
        """Return whether all of these are keys of that master that have not expired, none of them for the caller."""
        for key_id in key_ids:
            wanted, expires_s = self._given.get(key_id, (None, 0.0))
            if wanted is None or expires_s <= now_s or wanted.master != master or caller in wanted.slaves:
                return False
        return True
