"""How the interfaces spell a key id, which is 16 bytes: as a UUID (ETSI 014), as hexadecimal digits (SKIP).

Any case is read, lower case is written. No other spelling is read (no braces, no ``urn:uuid:``), so that one id is not
asked for twice in one request under two of them.
"""

import re

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def uuid_text(key_id: bytes) -> str:
    """Return 16 bytes as a UUID.

    >>> uuid_text(bytes(range(16)))
    '00010203-0405-0607-0809-0a0b0c0d0e0f'
    """
    digits = key_id.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def from_uuid(text: str) -> bytes | None:
    """Return the 16 bytes of a UUID; None if it is none."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else None


def from_hex(text: str) -> bytes | None:
    """Return the bytes, one or more, of a string of hexadecimal digits; None if it is none."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else None
