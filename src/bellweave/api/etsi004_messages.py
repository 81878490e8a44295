"""What crosses between an application and its KME in ETSI 004, as records; the bytes are :mod:`.etsi004_wire`.

Each request knows the dialect and the version that it came in, so that it is answered in them.
"""

from dataclasses import dataclass, field
from typing import Literal

from bellweave.kms.stream_terms import Terms

Dialect = Literal["c", "python"]

KSID_BYTES = 16
NO_KSID = bytes(KSID_BYTES)
"""Asks the KME to make a KSID."""

PYTHON_VERSION, C_VERSION = b"\x01\x00\x01", b"\x02\x01\x01"
"""What the clients of the two dialects send."""


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """OPEN_CONNECT. ``source`` and ``destination`` are URIs as sent; ``ksid`` is all zero where the KME makes it."""

    source: str
    destination: str
    terms: Terms
    ksid: bytes = NO_KSID
    dialect: Dialect = "python"
    version: bytes = PYTHON_VERSION


@dataclass(frozen=True, slots=True)
class GetRequest:
    """GET_KEY. ``metadata_bytes``: room for metadata at the client, 0 = none wanted."""

    ksid: bytes
    index: int
    metadata_bytes: int = 0
    dialect: Dialect = "python"
    version: bytes = PYTHON_VERSION


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """CLOSE."""

    ksid: bytes
    version: bytes = PYTHON_VERSION


@dataclass(frozen=True, slots=True)
class Broken:
    """What can't be read; the connection is of no further use. ``problem``: words for the log, never payload."""

    problem: str
    service: int = 0
    version: bytes = PYTHON_VERSION


Request = OpenRequest | GetRequest | CloseRequest
Incoming = Request | Broken


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """Answer to OPEN_CONNECT."""

    status: int
    terms: Terms
    ksid: bytes


@dataclass(frozen=True, slots=True)
class GetAnswer:
    """Answer to GET_KEY. ``needed_bytes``: with status 8, how much room the metadata need."""

    status: int
    index: int
    key: bytes = field(default=b"", repr=False)
    metadata: bytes = b""
    needed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CloseAnswer:
    """Answer to CLOSE."""

    status: int


Answer = OpenAnswer | GetAnswer | CloseAnswer
