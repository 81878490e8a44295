"""What a QKD device says to its KME: here is a block of distilled key. Pure; ``docs/reference/device-interface.md``.

``POST /api/v1/blocks`` takes a :class:`~bellweave.blocks.SecretBlock`, JSON (``bits`` in base64) or msgpack;
``GET /api/v1/blocks/{block_id}`` tells what became of it. Both ends of a link push their copies to their own KMEs, in
any order and as often as they like: a block counts once. A device pushes for the link that its certificate is bound to.
"""

import math
from collections.abc import Callable, Mapping

import msgspec

from bellweave.api.errors import HEADERS, Refusal, not_found, retry_after, unauthorized
from bellweave.api.http import Request, Response
from bellweave.api.url import decoded, shown
from bellweave.blocks import SecretBlock
from bellweave.errors import DeliveryError, PeerRefused
from bellweave.kms.effects import Work, apply
from bellweave.kms.operations import Verdict, Verdicts
from bellweave.kms.records import MAX_BLOCK_BYTES, pool_name
from bellweave.kms.service import Kme

MAX_BODY_BYTES = 20 * 1024 * 1024
"""Longest body: a block of 10^8 bits, the yield of days, has 16.7 MB in base64."""

MAX_BITS = 10**8
MAX_ID_LENGTH = 128

MSGPACK = "application/msgpack"

_MAX_PARTS = -(-MAX_BITS // (8 * MAX_BLOCK_BYTES))


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a KME says of a block.

    Attributes:
        block_id: Of the block.
        state: ``waiting`` until both ends hold it, then ``confirmed``, or ``quarantined`` where they differ.
    """

    block_id: str
    state: Verdict


_json: msgspec.json.Decoder[SecretBlock] = msgspec.json.Decoder(SecretBlock)
_msgpack: msgspec.msgpack.Decoder[SecretBlock] = msgspec.msgpack.Decoder(SecretBlock)


def handle(
    request: Request,
    caller: str | None,
    kme: Kme,
    now_s: float,
    *,
    links: Mapping[str, str],
    arrived: Callable[[], None],
) -> Work[Response]:
    """Return the answer to a device.

    Args:
        request: As it came.
        caller: The device that the certificate names; None: no device.
        kme: Takes the blocks.
        now_s: The time.
        links: Each registered device's link, as the KME at its other end.
        arrived: Called when a block has come in, so that it is confirmed soon.
    """
    try:
        if caller is None or caller not in links:
            raise unauthorized()
        match request.path.split("/")[1:]:
            case ["api", "v1", "blocks"]:
                _check_method(request, "POST")
                receipt = yield from _push(request, kme, links[caller], now_s)
                arrived()
            case ["api", "v1", "blocks", name] if name:
                _check_method(request, "GET")
                receipt = yield from _look(_named(name), kme, links[caller])
            case _:
                raise not_found(request.path)
    except Refusal as refusal:
        return refusal.response()
    except DeliveryError:
        problem = "the key store cannot be used at the moment"
        return Refusal(503, problem, "store_failed", headers=retry_after(1.0)).response()
    return Response(200, msgspec.json.encode(receipt), HEADERS, receipt.state)


def _push(request: Request, kme: Kme, peer: str, now_s: float) -> Work[Receipt]:
    block = _block(request)
    try:
        yield from kme.ingest(block, peer, now_s)
    except PeerRefused:
        problem = f"another block is or was here under the id {shown(block.block_id)}"
        raise Refusal(409, problem, "conflict") from None
    return (yield from _look(block.block_id, kme, peer))


def _look(block_id: str, kme: Kme, peer: str) -> Work[Receipt]:
    """Return what became of a block; of all of its parts, where it is held in parts."""
    pool = pool_name(kme.name, peer, "direct")
    found = yield from apply(Verdicts(pool=pool, block_ids=(block_id,)))
    if found == (None,):
        parts = tuple(f"{block_id}#{index}" for index in range(_MAX_PARTS))
        found = yield from apply(Verdicts(pool=pool, block_ids=parts))
    for state in ("quarantined", "waiting", "confirmed"):  # the first that one of the parts is in
        if state in found:
            return Receipt(block_id=block_id, state=state)
    raise not_found(f"block {block_id}")


def _named(part: str) -> str:
    """Return the block id in a path."""
    block_id = decoded(part)
    if block_id is None or len(block_id) > MAX_ID_LENGTH:
        raise not_found(f"block {part}")
    return block_id


def _block(request: Request) -> SecretBlock:
    """Return the block in a request's body.

    Raises:
        Refusal: It is none; the words quote no bits.
    """
    packed = request.content_type.partition(";")[0].strip().lower() == MSGPACK
    try:
        block = (_msgpack if packed else _json).decode(request.body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no block: {error}") from None
    if not 8 <= block.bit_count <= MAX_BITS:
        raise Refusal(400, f"bit_count shall be from 8 to {MAX_BITS}, got {block.bit_count}")
    if not 1 <= len(block.block_id) <= MAX_ID_LENGTH or "#" in block.block_id or not block.block_id.isprintable():
        problem = f"block_id shall have 1 to {MAX_ID_LENGTH} printable characters but #, got {shown(block.block_id)}"
        raise Refusal(400, problem)
    if not (math.isfinite(block.start_s) and math.isfinite(block.end_s)):  # msgpack knows others
        raise Refusal(400, "start_s and end_s shall be finite")
    return block


def _check_method(request: Request, method: str) -> None:
    if request.method != method:
        raise Refusal(405, f"only {method} is served here", headers=(("Allow", method),))
