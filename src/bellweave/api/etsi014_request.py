"""Reading requests of ETSI GS QKD 014: the route, and what a query or a body asks for.

Syntax and types are checked here (:func:`key_request`, :func:`key_ids`), before anything else of a request; ranges by
:func:`check_ranges`, after the extensions' names. What the standard leaves open is refused with 400: an unknown or
repeated query parameter, any query with POST or ``status``, no key ID at all, one ID twice, a member that stands twice
in a JSON object. A GET's body is ignored, and so are unknown members of a POST's, which are counted.
"""

import json
from collections import Counter
from typing import Any, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET

from bellweave.api import url
from bellweave.api.errors import NOT_MULTIPLE_OF_8, Refusal
from bellweave.api.etsi014_messages import KeyIds, KeyRequest
from bellweave.api.http import Request
from bellweave.api.key_id import from_uuid
from bellweave.kms.params import Kms

Method = Literal["status", "enc_keys", "dec_keys"]

T = TypeVar("T")
_EMPTY = KeyRequest()
_KEY_REQUEST = msgspec.json.Decoder(KeyRequest)
_KEY_IDS = msgspec.json.Decoder(KeyIds)
_NAMES: dict[Any, frozenset[str]] = {
    decoder: frozenset(field.encode_name for field in msgspec.structs.fields(kind))
    for decoder, kind in ((_KEY_REQUEST, KeyRequest), (_KEY_IDS, KeyIds))
}


def route(path: str) -> tuple[Method, str] | None:
    """Return the method and the undecoded SAE ID of ``/api/v1/keys/{SAE_ID}/{method}``; None for any other path."""
    parts = path.split("/")
    if len(parts) != 6 or parts[:4] != ["", "api", "v1", "keys"] or parts[5] not in {"status", "enc_keys", "dec_keys"}:
        return None
    return cast(Method, parts[5]), parts[4]


def check_method(request: Request, method: Method) -> None:
    """Check the HTTP method, and that ``status`` comes without a query.

    Raises:
        Refusal: 400, because 405 is not in the standard.
    """
    if request.method != "GET" and (request.method != "POST" or method == "status"):
        raise Refusal(400, f"{method} shall be asked for with GET" + (" or POST" if method != "status" else ""))
    if request.query and (request.method == "POST" or method == "status"):
        raise Refusal(400, f"{request.method} {method} shall have no query parameters")


def key_request(request: Request) -> tuple[KeyRequest, int]:
    """Return a Key request, and how many members of it are unknown. No query, no body and ``{}`` ask for one key.

    Raises:
        Refusal: 400.
    """
    if request.method == "POST":
        return _decoded(request.body, _KEY_REQUEST) if request.body else (_EMPTY, 0)
    if not request.query:
        return _EMPTY, 0
    numbers = {name: _integer(name, text) for name, text in _parameters(request.query, ("number", "size")).items()}
    return KeyRequest(number=numbers.get("number", 1), size=numbers.get("size", UNSET)), 0


def key_ids(request: Request, limit: int) -> tuple[tuple[bytes, ...], int]:
    """Return the key IDs asked for, 16 bytes each, and how many members of the body are unknown.

    Raises:
        Refusal: 400.
    """
    if request.method == "POST":
        asked, ignored = _decoded(request.body, _KEY_IDS)
        texts = [each.key_id for each in asked.key_ids]
    else:
        texts, ignored = list(_parameters(request.query, ("key_ID",)).values()), 0
    if not 1 <= len(texts) <= limit:
        raise Refusal(400, f"key_IDs shall hold from 1 to {limit} key IDs, got {len(texts)}")
    found = []
    for text in texts:
        key_id = from_uuid(text)
        if key_id is None:
            raise Refusal(400, f"key_ID shall be a UUID, got {url.shown(text)}")
        found.append(key_id)
    if len(set(found)) != len(found):
        raise Refusal(400, "key_IDs shall not hold the same key ID twice")
    return tuple(found), ignored


def check_ranges(asked: KeyRequest, params: Kms) -> int:
    """Return the size of each key in bits, after checking the numbers of a request against the limits.

    Raises:
        Refusal: 400.
    """
    size_bits = params.key_size_bits if asked.size is UNSET else asked.size
    if size_bits % 8:
        raise Refusal(400, NOT_MULTIPLE_OF_8)
    if not 1 <= asked.number <= params.max_keys_per_request:
        raise Refusal(400, f"number shall be from 1 to {params.max_keys_per_request}, got {_shown(asked.number)}")
    least, most = params.min_key_size_bits, params.max_key_size_bits
    if not least <= size_bits <= most:
        raise Refusal(400, f"size shall be from {least} to {most} bits, got {_shown(size_bits)}")
    if len(asked.additional_slaves) > params.max_slaves:
        raise Refusal(
            400,
            f"additional_slave_SAE_IDs shall hold at most {params.max_slaves} SAE IDs, "
            f"got {len(asked.additional_slaves)}",
        )
    return size_bits


MAX_OBJECTS = 4096
"""JSON objects in a body: thrice the key IDs that fit into 64 KiB. Looking at each takes a microsecond."""


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a body; parsers differ in which of two members of one name counts, so there must be one."""
    found = dict(members)
    if len(found) != len(members):
        (twice, _), *_ = Counter(name for name, _ in members).most_common(1)
        raise Refusal(400, f"{url.shown(twice)} shall stand in its JSON object once")
    return found


_MEMBERS = json.JSONDecoder(object_pairs_hook=_once, parse_int=len, parse_float=len, strict=False)
"""Only looks at names: values have been read, and numbers of unknown members may be of any length."""


def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, int]:
    try:
        text = body.decode()  # msgspec passes over strings that it does not need, whatever bytes they hold
        value = decoder.decode(text)
        if text.count("{") > MAX_OBJECTS:
            raise Refusal(400, f"the body shall hold at most {MAX_OBJECTS} JSON objects")
        return value, len(_MEMBERS.raw_decode(text.lstrip())[0].keys() - _NAMES[decoder])
    except msgspec.ValidationError as error:
        raise Refusal(400, f"the body does not fit the data model: {error}"[:256]) from None
    except RecursionError:
        raise Refusal(400, "the body shall not be nested that deep") from None
    except (msgspec.DecodeError, ValueError):  # a UnicodeError is one
        raise Refusal(400, "the body shall be a JSON object in UTF-8") from None


def _parameters(query: str, known: tuple[str, ...]) -> dict[str, str]:
    pairs = url.parameters(query)
    if pairs is None:
        raise Refusal(400, "query parameters shall be UTF-8, percent-encoded")
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise Refusal(400, f"query parameters shall be {' or '.join(known)}, got {url.shown(name)}")
        if name in found:
            raise Refusal(400, f"{name} shall stand in the query once")
        found[name] = value
    return found


def _integer(name: str, text: str) -> int:
    value = url.integer(text)
    if value is None:
        raise Refusal(400, f"{name} shall be an integer, got {url.shown(text)}")
    return value


def _shown(value: int) -> Any:
    return value if abs(value) < 1 << 64 else "an integer of more than 64 bits"
