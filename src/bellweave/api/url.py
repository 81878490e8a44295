"""Paths and queries as they came: split first, then decode each part once, so that ``%2F`` and ``..`` stay harmless."""

import re
from urllib.parse import unquote_to_bytes

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")


def decoded(part: str) -> str | None:
    """Return one part of a path or query, percent-decoded once; None if that is no UTF-8.

    >>> decoded("..%2fbob%252F")
    '../bob%2F'
    """
    try:
        return unquote_to_bytes(part).decode() if "%" in part else part
    except UnicodeError:
        return None


def parameters(query: str) -> list[tuple[str, str]] | None:
    """Return names and values of a query in their order, repeated ones too; None if one is no UTF-8.

    A ``+`` is a plus sign: that it means a space is a convention of HTML forms.
    """
    pairs = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        name_text, value_text = decoded(name), decoded(value)
        if name_text is None or value_text is None:
            return None
        pairs.append((name_text, value_text))
    return pairs


def integer(text: str) -> int | None:
    """Return a decimal integer of at most 40 digits; None if it is none (no ``+``, spaces, leading zeros)."""
    return int(text) if _INTEGER.fullmatch(text) else None


def shown(text: str, limit: int = 64) -> str:
    """Return what somebody sent, cut to a length that fits a message, quoted and without control characters."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")
