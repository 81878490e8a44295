"""What a client asks of an ETSI GS QKD 014 key server, and how it reads the answers; without a socket.

Any vendor's server will do: members that are not in the standard are kept where it has room for extensions, else
ignored. Keys are asked for by POST, never by GET: libraries send a GET again when a connection breaks, and a key that
was drawn for an answer that got lost is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from bellweave.errors import KeyServerRefused, KeyServerUnreachable, ScenarioError

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Longest answer: some 100 keys of 1 Mbit."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        method, path: Of HTTP.
        body: JSON, or None.
        repeatable: Whether it may be sent again.
    """

    method: str
    path: str
    body: bytes | None = None
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        key_id: UUID.
        bits: The key. Never shown.
        extension: What the server tells of it, such as ``bellweave_origin``.
    """

    key_id: str
    bits: bytes = field(repr=False)
    extension: Mapping[str, Any]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a server has for a pair; sizes in bits."""

    source_kme: str = msgspec.field(name="source_KME_ID")
    target_kme: str = msgspec.field(name="target_KME_ID")
    master: str = msgspec.field(name="master_SAE_ID")
    slave: str = msgspec.field(name="slave_SAE_ID")
    key_size: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size: int
    min_key_size: int
    max_slaves: int = msgspec.field(name="max_SAE_ID_count")
    status_extension: dict[str, Any] = {}


class _Item(msgspec.Struct):
    key_id: str = msgspec.field(name="key_ID")
    key: bytes
    extension: dict[str, Any] | None = msgspec.field(name="key_extension", default=None)


class _Container(msgspec.Struct):
    keys: list[_Item]


class _Error(msgspec.Struct):
    message: str = ""
    details: list[Any] | None = None


def host_port(url: str) -> tuple[str, int]:
    """Return host and port of ``https://host[:port]``.

    Raises:
        ScenarioError: It is something else.
    """
    parts = urlsplit(url)
    try:
        port = 443 if parts.port is None else parts.port
    except ValueError:
        port = 0
    if parts.scheme != "https" or not parts.hostname or not port or parts.path.strip("/") or parts.query:
        raise ScenarioError(f"a key server's URL is https://host:port, got {url!r}")
    return parts.hostname, port


def status(slave: str) -> Call:
    """Ask what there is for a slave SAE."""
    return Call("GET", _path(slave, "status"), repeatable=True)


def enc_keys(
    slave: str,
    number: int = 1,
    size_bits: int | None = None,
    *,
    additional_slaves: Sequence[str] = (),
    mandatory: Mapping[str, Any] | None = None,
    optional: Mapping[str, Any] | None = None,
) -> Call:
    """Ask for new keys, as their master.

    Args:
        slave: The SAE that may fetch them by their ids.
        number: How many.
        size_bits: Of each; None: the server's default.
        additional_slaves: Further SAEs that may.
        mandatory: Extensions that the server must heed, or refuse the request.
        optional: Extensions that it may heed.
    """
    asked: dict[str, Any] = {"number": number}
    if size_bits is not None:
        asked["size"] = size_bits
    if additional_slaves:
        asked["additional_slave_SAE_IDs"] = list(additional_slaves)
    if mandatory:
        asked["extension_mandatory"] = [{name: value} for name, value in mandatory.items()]
    if optional:
        asked["extension_optional"] = [{name: value} for name, value in optional.items()]
    return Call("POST", _path(slave, "enc_keys"), msgspec.json.encode(asked))


def dec_keys(master: str, key_ids: Sequence[str]) -> Call:
    """Ask for keys that a master SAE has drawn."""
    asked = {"key_IDs": [{"key_ID": key_id} for key_id in key_ids]}
    return Call("POST", _path(master, "dec_keys"), msgspec.json.encode(asked))


def read_status(code: int, body: bytes) -> Status:
    """Return the Status in an answer.

    Raises:
        KeyServerRefused: It is an error.
        KeyServerUnreachable: It makes no sense.
    """
    return _read(code, body, Status)


def read_keys(code: int, body: bytes, key_ids: Sequence[str] | None = None) -> tuple[Key, ...]:
    """Return the keys in an answer, in the order of the ids where these were asked for.

    Raises:
        KeyServerRefused: It is an error.
        KeyServerUnreachable: It makes no sense, or holds other keys than those asked for.
    """
    items = _read(code, body, _Container).keys
    keys = {item.key_id.lower(): Key(item.key_id, item.key, item.extension or {}) for item in items}
    if len(keys) != len(items):
        raise KeyServerUnreachable("the key server answered with one key id twice")
    if key_ids is None:
        return tuple(keys.values())
    try:
        found = tuple(keys.pop(key_id.lower()) for key_id in key_ids)
    except KeyError:
        raise KeyServerUnreachable("the key server answered without some of the keys asked for") from None
    if keys:
        raise KeyServerUnreachable("the key server answered with keys that nobody asked for")
    return found


def _read(code: int, body: bytes, kind: type[T]) -> T:
    if code != 200:
        try:
            error = msgspec.json.decode(body, type=_Error)
        except (msgspec.MsgspecError, UnicodeError):
            error = _Error("no words")
        raise KeyServerRefused(code, error.message, tuple(error.details or ()))
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        problem = str(error) if isinstance(error, msgspec.ValidationError) else "no JSON"
        raise KeyServerUnreachable(f"the key server's answer makes no sense: {problem}") from None


def _path(sae: str, method: str) -> str:
    return f"/api/v1/keys/{quote(sae, safe='')}/{method}"
