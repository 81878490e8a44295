"""What an application asks a key management entity for."""

from dataclasses import dataclass
from typing import Literal

from bellweave.kms.records import Purpose

Route = Literal["direct", "indirect"]
"""``direct``: entanglement link only; ``indirect``: relayed through trusted nodes only."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for keys. Sizes and numbers have been checked against the limits.

    Attributes:
        master: The SAE that asks; of this KME.
        slaves: The SAEs that may fetch the keys, the main one first, each once.
        count: How many keys, >= 1.
        size_bits: Of each, a multiple of 8.
        route: What its way must be; None: what the pair's policy allows.
        max_age_s: Only key whose oldest bits are younger; None: any.
        key_ids: The keys' ids, 16 bytes each (a stream knows them beforehand); None: random ones.
        keep: Whether the master's own copy waits at its KME too, to be taken by id, instead of being returned now.
        lifetime_s: How long they wait, at most ``key_lifetime_s``; None: that.
        purpose: What the keys are for: the account that their bits are booked on.
    """

    master: str
    slaves: tuple[str, ...]
    count: int
    size_bits: int
    route: Route | None = None
    max_age_s: float | None = None
    key_ids: tuple[bytes, ...] | None = None
    keep: bool = False
    lifetime_s: float | None = None
    purpose: Purpose = "application"
