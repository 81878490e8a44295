"""Cisco SKIP (draft-cisco-skip-02): the key provider of an encryptor, as work on a key service.

``system`` is the provider's localSystemID, an SAE that is registered at this KME; remote systems are the SAEs that it
may ask for keys for. ``/key?remoteSystemID=Bob`` draws a key as its master; ``/key/{keyId}?remoteSystemID=Alice`` takes
the key that waits for it and that Alice has drawn. So a key that was drawn by ETSI 014 under the same names is fetched
here, and the other way round: same id, other spelling, once.

Open in the draft, ours: a client without a name that may use this endpoint: 403. Missing, unknown or repeated
parameters that we know, bad sizes: 400; other parameters are ignored. No key left, or another KME out of reach: 500.
Somebody else's key is not found (400). Hexadecimal digits are read in any case and written in lower case.
"""

import msgspec

from bellweave.api import url
from bellweave.api.errors import HEADERS, Refusal, not_found, skip_refusal
from bellweave.api.http import Request, Response
from bellweave.api.key_id import from_hex, uuid_text
from bellweave.api.service import KeyService
from bellweave.errors import DeliveryError, UnknownKeys
from bellweave.kms.effects import Work
from bellweave.kms.records import KEY_ID_BYTES, Material
from bellweave.kms.wanted import Wanted
from bellweave.rng import Entropy

ALGORITHM = "QKD"
DEFAULT_BITS = 256
"""Of a key and of a random string, as the draft has it, whatever ETSI 014's default size is here."""

MAX_ENTROPY_BITS = 1 << 16

_encode = msgspec.json.Encoder().encode


class Capabilities(
    msgspec.Struct, frozen=True, kw_only=True, rename={"local": "localSystemID", "remote": "remoteSystemID"}
):
    """What the provider can do. Remote systems are globs."""

    entropy: bool
    key: bool
    algorithm: str
    local: str
    remote: tuple[str, ...]


def handle(
    request: Request, caller: str | None, service: KeyService, now_s: float, *, system: str, entropy: Entropy
) -> Work[Response]:
    """Return the answer to a request; every error of the service has become one.

    Args:
        request: As it came.
        caller: The client that may use this endpoint, as its certificate or PSK says; None for any other.
        service: The KME.
        now_s: The time.
        system: The localSystemID.
        entropy: What ``/entropy`` gives.
    """
    try:
        return (yield from _answer(request, caller, service, now_s, system, entropy))
    except Refusal as refusal:
        return refusal.response()
    except DeliveryError as error:
        return skip_refusal(error).response()


def _answer(
    request: Request, caller: str | None, service: KeyService, now_s: float, system: str, entropy: Entropy
) -> Work[Response]:
    if caller is None:
        raise Refusal(403, "this client may not use this key provider", "unauthorized")
    match request.path.split("/")[1:]:
        case ["capabilities"]:
            _check_get(request)
            return _json(_capabilities(service, system), "capabilities")
        case ["entropy"]:
            _check_get(request)
            return _entropy(request, entropy)
        case ["key"]:
            _check_get(request)
            return (yield from _new_key(request, service, now_s, system))
        case ["key", part]:
            _check_get(request)
            return (yield from _key(request, part, service, now_s, system))
    raise not_found(request.path)


def _capabilities(service: KeyService, system: str) -> Capabilities:
    remote = tuple(glob(name) for name in sorted(service.directory.saes) if _may(service, system, name))
    return Capabilities(entropy=True, key=bool(remote), algorithm=ALGORITHM, local=system, remote=remote)


def glob(name: str) -> str:
    """Return the glob that matches this name and no other: a name is free to hold ``*``, ``?`` and ``[``.

    >>> glob("kp[1]*")
    'kp[[]1][*]'
    """
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _new_key(request: Request, service: KeyService, now_s: float, system: str) -> Work[Response]:
    given = _parameters(request, ("remoteSystemID", "size"))
    remote = _remote(given)
    if not _may(service, system, remote):
        raise Refusal(400, f"remoteSystemID shall be one of the capabilities', got {url.shown(remote)}", "unknown_sae")
    params = service.params
    size_bits = _integer(given, "size", params.min_key_size_bits, params.max_key_size_bits)
    if size_bits % 8:
        raise Refusal(400, f"size shall be a multiple of 8, got {size_bits}")
    materials = yield from service.draw(Wanted(system, (remote,), 1, size_bits), now_s)
    return _rendered(materials, "delivered")


def _key(request: Request, part: str, service: KeyService, now_s: float, system: str) -> Work[Response]:
    text = url.decoded(part)
    key_id = None if text is None else from_hex(text)
    if key_id is None:
        raise Refusal(400, "keyId shall be hexadecimal digits, an even number of them")
    remote = _remote(_parameters(request, ("remoteSystemID",)))
    if len(key_id) != KEY_ID_BYTES or remote not in service.directory.saes:
        raise UnknownKeys((key_id,))  # such ids and such systems have no keys
    materials = yield from service.take(system, remote, (key_id,), now_s)
    return _rendered(materials, "taken")


def _entropy(request: Request, entropy: Entropy) -> Response:
    bits = _integer(_parameters(request, ("minentropy",)), "minentropy", 1, MAX_ENTROPY_BITS)
    text = entropy.bytes((bits + 7) // 8)
    return _json({"randomStr": text.hex(), "minentropy": 8 * len(text)}, "entropy")


def _may(service: KeyService, system: str, remote: str) -> bool:
    directory = service.directory
    known = directory.saes.get(system) == directory.kme and remote in directory.saes
    return known and remote != system and service.allowed(system, remote)


def _check_get(request: Request) -> None:
    if request.method != "GET":
        raise Refusal(405, "SKIP has GET only", headers=(("Allow", "GET"),))


def _parameters(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    pairs = url.parameters(request.query)
    if pairs is None:
        raise Refusal(400, "query parameters shall be UTF-8, percent-encoded")
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and name in known:
            raise Refusal(400, f"{name} shall stand in the query once")
        found[name] = value
    return found


def _remote(given: dict[str, str]) -> str:
    if "remoteSystemID" not in given:
        raise Refusal(400, "remoteSystemID is missing")
    return given["remoteSystemID"]


def _integer(given: dict[str, str], name: str, least: int, most: int) -> int:
    if name not in given:
        return DEFAULT_BITS
    value = url.integer(given[name])
    if value is None or not least <= value <= most:
        raise Refusal(400, f"{name} shall be an integer from {least} to {most} bits, got {url.shown(given[name])}")
    return value


def _rendered(materials: tuple[Material, ...], outcome: str) -> Response:
    (material,) = materials
    body = {"keyId": material.key_id.hex(), "key": material.bits.hex()}
    return _json(body, outcome, (uuid_text(material.key_id),))


def _json(value: object, outcome: str, key_ids: tuple[str, ...] = ()) -> Response:
    return Response(200, _encode(value), HEADERS, outcome, key_ids)
