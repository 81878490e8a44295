"""Answers of ETSI GS QKD 014: Status and Key container."""

import msgspec

from bellweave.api.errors import HEADERS
from bellweave.api.etsi014_messages import (
    EXTENSIONS,
    KeyContainer,
    KeyExtension,
    KeyItem,
    Status,
    StatusExtension,
)
from bellweave.api.http import Response
from bellweave.api.key_id import uuid_text
from bellweave.api.service import KeyService
from bellweave.blocks import Origin
from bellweave.kms.params import Directory
from bellweave.kms.records import Material

_encode = msgspec.json.Encoder().encode


def status(service: KeyService, master: str, slave: str, stored: int, most: int) -> Response:
    """Return the Status of a pair that has ``stored`` keys of the default size, and never more than ``most``."""
    params, directory = service.params, service.directory
    body = _encode(
        Status(
            source_kme=directory.kme,
            target_kme=directory.saes[slave],
            master=master,
            slave=slave,
            key_size=params.key_size_bits,
            stored_key_count=stored,
            max_key_count=most,
            max_key_per_request=params.max_keys_per_request,
            max_key_size=params.max_key_size_bits,
            min_key_size=params.min_key_size_bits,
            max_slaves=params.max_slaves,
            status_extension=StatusExtension(
                extensions=EXTENSIONS,
                mint=params.mint,
                origins=_origins(directory, master, slave),
                key_lifetime_s=params.key_lifetime_s,
            ),
        )
    )
    return Response(200, body, HEADERS, "status")


def keys(materials: tuple[Material, ...], outcome: str, ignored: int, now_s: float) -> Response:
    """Return a Key container; each key says where its bits come from and what is proven of them."""
    items = tuple([_item(each, now_s) for each in materials])
    ids = tuple([item.key_id for item in items])
    return Response(200, _encode(KeyContainer(keys=items)), HEADERS, outcome, ids, ignored)


def _item(material: Material, now_s: float) -> KeyItem:
    known = material.statement
    return KeyItem(
        key_id=uuid_text(material.key_id),
        key=material.bits,
        key_extension=KeyExtension(
            origin=known.origin,
            hops=known.hops,
            provenance=known.provenance,
            provable_bits=8 * len(material.bits) if known.provable else 0,
            epsilon=known.epsilon,
            age_ms=max(0, int(1000 * (now_s - known.made_s))),  # clocks of two KMEs may differ
            blocks=len(known.block_ids),
        ),
    )


def _origins(directory: Directory, master: str, slave: str) -> tuple[Origin, ...]:
    for pair in directory.pairs:
        if (pair.master, pair.slave) == (master, slave):
            return pair.origins
    return ("direct",)
