"""What can be set about key management."""

from typing import Annotated, Literal

import msgspec

from bellweave.blocks import Origin
from bellweave.params import NonNegativeInt, Params, Positive, PositiveInt

Bits = Annotated[int, msgspec.Meta(ge=8, le=1 << 20, multiple_of=8)]
"""A key size: a multiple of 8 bits, because keys are cut at bytes."""


class Kms(Params, frozen=True, kw_only=True):
    """Key management.

    Attributes:
        mint: The accounting that fixes how long a block's key is: ``provable`` (finite key) or ``paper`` (as the
            papers do; its keys carry the provable length beside it, often 0).
        key_size_bits: Size of a key whose request names none.
        min_key_size_bits, max_key_size_bits: Limits of what may be asked for.
        max_keys_per_request: Most keys in one request.
        max_slaves: Most additional slave SAEs that one request may name; 0: no multicast.
        confirmation_bits: Key that a block pays for the proof that both ends hold the same; 0: none, the verification
            of its distillation, in the same node, is taken for it (as in the papers).
        block_lifetime_s: Age at which bits that nobody asked for are purged.
        key_lifetime_s: How long a key waits for the SAEs that may fetch it.
        low_keys, high_keys: A buffer with fewer keys of the default size is refilled, up to so many; 0: nothing is
            set aside, a request cuts its key from the pool.
        quota_keys: Most keys of the default size that one buffer holds.
    """

    mint: Literal["provable", "paper"] = "provable"
    key_size_bits: Bits = 256
    min_key_size_bits: Bits = 64
    max_key_size_bits: Bits = 8192
    max_keys_per_request: PositiveInt = 128
    max_slaves: NonNegativeInt = 8
    confirmation_bits: Literal[0, 64, 128] = 128
    block_lifetime_s: Positive = 7 * 86_400.0
    key_lifetime_s: Positive = 3600.0
    low_keys: NonNegativeInt = 8
    high_keys: NonNegativeInt = 64
    quota_keys: PositiveInt = 100_000


class Pair(Params, frozen=True, kw_only=True):
    """What a master SAE may ask for, for a slave SAE. A KME that lists no pairs allows all, from direct key.

    Attributes:
        master, slave: The SAEs.
        origins: The pools that may serve the pair, tried in this order.
        low_keys, high_keys, quota_keys: As in :class:`Kms`; None: as there.
    """

    master: str
    slave: str
    origins: tuple[Origin, ...] = ("direct",)
    low_keys: NonNegativeInt | None = None
    high_keys: NonNegativeInt | None = None
    quota_keys: PositiveInt | None = None


class Relay(Params, frozen=True, kw_only=True):
    """A pool of relayed key: paths through trusted KMEs to one that no link of ours reaches.

    Attributes:
        kmes: The two ends; the first of them in the alphabet leads.
        paths: The KMEs on the way, ends included. Several paths must share no KME but the ends: key is XOR-shared
            over them, so that no single trusted KME knows it. Empty: the shortest path through the known links.
        disjoint: How many disjoint paths to find where ``paths`` is empty.
        block_bits: Size of one relayed block.
        low_bits: The pool is refilled when it holds less.
    """

    kmes: tuple[str, str]
    paths: tuple[tuple[str, ...], ...] = ()
    disjoint: PositiveInt = 1
    block_bits: Bits = 8192
    low_bits: PositiveInt = 16384


class Expansion(Params, frozen=True, kw_only=True):
    """A pool of expanded key: a generator (SP 800-108, counter mode, HMAC-SHA256) seeded with direct key.

    Attributes:
        kmes: The two ends.
        seed_bits: Direct key that one block costs.
        block_bits: What it gives.
        low_bits: The pool is refilled when it holds less.
    """

    kmes: tuple[str, str]
    seed_bits: Annotated[int, msgspec.Meta(ge=256, le=4096, multiple_of=8)] = 256
    block_bits: Bits = 1 << 16
    low_bits: PositiveInt = 1 << 14


class Directory(Params, frozen=True, kw_only=True):
    """Who is who, the same at every KME of a network as far as it concerns them.

    Attributes:
        kme: This KME's own name.
        peers: KMEs with which a link is shared, or which are reached through others.
        links: Pairs of KMEs with a quantum link (or another source of direct key); what relay paths are made of.
        saes: Name of each SAE to its KME.
        pairs: Who may ask for whom; empty: every registered SAE for every other, from direct key.
        relays, expansions: Pools that are made from others.
    """

    kme: str
    peers: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    saes: dict[str, str] = {}
    pairs: tuple[Pair, ...] = ()
    relays: tuple[Relay, ...] = ()
    expansions: tuple[Expansion, ...] = ()
