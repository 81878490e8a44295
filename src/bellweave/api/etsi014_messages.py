"""The data model of ETSI GS QKD 014 V1.1.1, clause 6, with the members of our own extensions.

Every JSON object that is read or written is one of these structs, and so is every schema of the OpenAPI document
(:mod:`bellweave.api.openapi`). Types are strict: ``true``, ``1.0``, ``"1"`` and ``null`` are no integers. Standard
objects have no members of our own; extension objects have only such that start with ``bellweave_``.
"""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

from bellweave.blocks import Origin, Provenance

ROUTE_TYPE = "bellweave_route_type"
MAX_AGE = "bellweave_max_age"
EXTENSIONS = (MAX_AGE, ROUTE_TYPE)
"""Names that may stand in ``extension_mandatory`` and ``extension_optional``."""


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the messages."""


class KeyRequest(Wire, frozen=True):
    """Key request (Table 9). Every member is optional."""

    number: int = 1
    size: int | UnsetType = UNSET
    additional_slaves: tuple[str, ...] = field(name="additional_slave_SAE_IDs", default=())
    extension_mandatory: tuple[dict[str, Any], ...] = ()
    extension_optional: tuple[dict[str, Any], ...] = ()


class KeyId(Wire, frozen=True):
    """One member of ``key_IDs``."""

    key_id: str = field(name="key_ID")
    extension: dict[str, Any] | UnsetType = field(name="key_ID_extension", default=UNSET)


class KeyIds(Wire, frozen=True):
    """Key IDs (Table 12)."""

    key_ids: tuple[KeyId, ...] = field(name="key_IDs")
    extension: dict[str, Any] | UnsetType = field(name="key_IDs_extension", default=UNSET)


class StatusExtension(Wire, frozen=True, rename=lambda name: f"bellweave_{name}"):
    """What we tell beyond the standard's Status."""

    extensions: tuple[str, ...]
    mint: str
    origins: tuple[Origin, ...]
    key_lifetime_s: float


class Status(Wire, frozen=True):
    """Status (Table 8)."""

    source_kme: str = field(name="source_KME_ID")
    target_kme: str = field(name="target_KME_ID")
    master: str = field(name="master_SAE_ID")
    slave: str = field(name="slave_SAE_ID")
    key_size: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size: int
    min_key_size: int
    max_slaves: int = field(name="max_SAE_ID_count")
    status_extension: StatusExtension


class KeyExtension(Wire, frozen=True, rename=lambda name: f"bellweave_{name}"):
    """What is known of a key. ``age_ms`` counts from the distillation of its oldest bits."""

    origin: Origin
    hops: int
    provenance: Provenance
    provable_bits: int
    epsilon: float
    age_ms: int
    blocks: int


class KeyItem(Wire, frozen=True):
    """One member of ``keys``. The key is base64 on the wire (RFC 4648, padded)."""

    key_id: str = field(name="key_ID")
    key: bytes
    key_extension: KeyExtension

    def __repr__(self) -> str:
        return f"<KeyItem {self.key_id}: {len(self.key)} bytes>"


class KeyContainer(Wire, frozen=True):
    """Key container (Table 11)."""

    keys: tuple[KeyItem, ...]


class Error(Wire, frozen=True):
    """Error (Table 13)."""

    message: str
    details: tuple[dict[str, str], ...] = ()
