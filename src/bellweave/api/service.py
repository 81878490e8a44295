"""What the interfaces need of a key management entity; :class:`bellweave.kms.service.Kme` is one."""

from typing import Protocol

from bellweave.kms.effects import Work
from bellweave.kms.params import Directory, Kms
from bellweave.kms.records import Material
from bellweave.kms.wanted import Wanted


class KeyService(Protocol):
    """A KME as its applications see it. Errors are the children of :class:`~bellweave.errors.DeliveryError`."""

    @property
    def directory(self) -> Directory:
        """Who is who."""
        ...

    @property
    def params(self) -> Kms:
        """Sizes and limits."""
        ...

    def allowed(self, master: str, slave: str) -> bool:
        """Return whether this master, an SAE of this KME, may ask for keys for this slave."""
        ...

    def count(self, master: str, slave: str, size_bits: int, now_s: float) -> Work[tuple[int, int]]:
        """Return how many keys of that size the pair can have now, and the upper bound of that number."""
        ...

    def draw(self, wanted: Wanted, now_s: float) -> Work[tuple[Material, ...]]:
        """Reserve keys, store them at every slave's KME, record them as delivered, return them; all or none.

        Raises:
            NotEnoughKey: Nothing was used up.
            NotMet: Only the demands on route or age stand in the way; nothing was used up.
            PeerUnreachable, PeerRefused, StoreFailed: Nothing is delivered; what was under way is not used again.
        """
        ...

    def take(
        self, caller: str, master: str | None, key_ids: tuple[bytes, ...], now_s: float
    ) -> Work[tuple[Material, ...]]:
        """Take keys that wait for the caller; all or none, in the order of the ids.

        Raises:
            UnknownKeys, NotEntitled, StoreFailed: Nothing was taken.
        """
        ...
