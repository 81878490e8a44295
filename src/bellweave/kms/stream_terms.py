"""What an application and its KME agree on for an ETSI 004 stream, called QoS there (clause 6.1.2).

A 0 in a field leaves it to the KME. What can't be had as asked is adjusted to the nearest that can ("best effort");
only what contradicts itself, or no stream of this KME could ever carry, is a counter-proposal. No rate is set aside:
``max_bps``, ``min_bps``, ``jitter_bps`` and ``priority`` are agreed on and promise nothing.
"""

import msgspec

from bellweave.kms.params import Kms

JSON = "application/json"
"""The one metadata format that must be offered; the empty string stands for no metadata."""

LARGEST = 2**32 - 1
"""Every number of the standard is a uint32."""

DEFAULT_TIMEOUT_MS = 5_000
"""Where the application leaves it to us: what the example clients ask for."""

LONGEST_TIMEOUT_MS = 60_000
"""A waiting call holds a connection; one that wants to wait longer asks again."""

CHUNKS_PER_S = 1_000
"""More chunks a second than one stream can carry: a request and a durable record each."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms of a stream.

    Attributes:
        chunk_bytes: Length of a chunk.
        max_bps, min_bps, jitter_bps: Rates, bit/s.
        priority: As asked.
        timeout_ms: Longest wait of any call.
        ttl_s: How long a chunk waits for an application.
        mimetype: Of the metadata; empty: none.
    """

    chunk_bytes: int = 0
    max_bps: int = 0
    min_bps: int = 0
    jitter_bps: int = 0
    priority: int = 0
    timeout_ms: int = 0
    ttl_s: int = 0
    mimetype: str = ""


def negotiate(asked: Terms, params: Kms) -> tuple[Terms, bool]:
    """Return the nearest terms that can be had, and whether they meet what was asked for (False: counter-proposal)."""
    chunk_bytes = _clipped(
        asked.chunk_bytes or params.key_size_bits // 8, -(-params.min_key_size_bits // 8), params.max_key_size_bits // 8
    )
    most_bps = min(CHUNKS_PER_S * 8 * chunk_bytes, asked.max_bps or LARGEST)
    metadata = not asked.mimetype or asked.mimetype == JSON
    ttl_s = max(1, min(LARGEST, int(params.key_lifetime_s)))
    agreed = Terms(
        chunk_bytes=chunk_bytes,
        max_bps=asked.max_bps,
        min_bps=min(asked.min_bps, most_bps),
        jitter_bps=asked.jitter_bps,
        priority=asked.priority,
        timeout_ms=min(asked.timeout_ms or DEFAULT_TIMEOUT_MS, LONGEST_TIMEOUT_MS),
        ttl_s=min(asked.ttl_s or ttl_s, ttl_s),
        mimetype=asked.mimetype if metadata else JSON,
    )
    return agreed, metadata and agreed.min_bps == asked.min_bps


def _clipped(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
