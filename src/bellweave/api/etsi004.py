"""ETSI GS QKD 004 V2.1.1: what each request does, and the status that it is answered with.

==================  ====================================================================================================
status              when
==================  ====================================================================================================
0 success           OPEN_CONNECT: both applications have opened; with an all-zero KSID at once, as the peer learns the
                    KSID from its answer. CLOSE: also of a stream that the caller has closed before
1 peer not yet      OPEN_CONNECT with a KSID: the peer has not come within Timeout; the stream stays open for it
2 not enough key    GET_KEY: the chunk is gone (had before, expired, not drawn when the stream was closed), or there is
                    known to be too little key until Timeout
3 peer absent       GET_KEY before the peer has opened; GET_KEY or CLOSE by who has no such stream
4 no connection     the other KME can't be reached or refuses, the store fails, the two may not have keys, the URIs name
                    nobody or not the caller, the request can't be read
5 KSID in use       OPEN_CONNECT: it is that of other SAEs, or was closed, or its chunks were forgotten
6 time-out          GET_KEY: there was too little key until Timeout, or the peer has not opened within Timeout of the
                    caller's own opening
7 QoS not met       OPEN_CONNECT: the stream is open on the counter-proposal; whoever does not want it closes it
8 metadata size     GET_KEY: the standard's metadata might not fit into the buffer; no key is drawn or lost
==================  ====================================================================================================

A URI names an SAE if it is the SAE's name or its ``urn:bellweave:sae:``, or if the name stands after ``//`` as user,
authority or host: ``alice``, ``qkd://alice@kme-a``, ``client://alice:4000/x``. The caller is whom its certificate
names; it must be one of the two URIs, in either place, because clients fill them in both ways.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import unquote

import msgspec

from bellweave.api.etsi004_messages import (
    Answer,
    Broken,
    CloseAnswer,
    CloseRequest,
    GetAnswer,
    GetRequest,
    Incoming,
    OpenAnswer,
    OpenRequest,
)
from bellweave.api.etsi004_wire import write_answer, write_failure
from bellweave.blocks import Origin, Provenance
from bellweave.errors import DeliveryError, NotEnoughKey, NotMet
from bellweave.kms.effects import Work
from bellweave.kms.key_streams import KeyStreams
from bellweave.kms.records import Statement
from bellweave.kms.stream_chunks import Chunk
from bellweave.kms.stream_terms import LARGEST

LEAST_METADATA_BYTES = len('{"age":4294967295,"hops":4294967295}')
"""Room that the standard's own members always fit into, so that it is known before a chunk is taken."""

WAY_BACK = 0.1
"""Part of Timeout that is left for the answer's way, at most :data:`WAY_BACK_S`: clients give up after Timeout, too."""

WAY_BACK_S = 0.25


class Status(IntEnum):
    """The codes of clause 6."""

    SUCCESS = 0
    PEER_NOT_YET = 1
    NOT_ENOUGH_KEY = 2
    PEER_ABSENT = 3
    NO_CONNECTION = 4
    IN_USE = 5
    TIMEOUT = 6
    NOT_MET = 7
    METADATA_SIZE = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send.

    Attributes:
        data: The message; never logged.
        method: ``open``, ``get``, ``close`` or ``broken``, for metrics and logs.
        status: What it says.
        close: Whether to close the connection then.
    """

    data: bytes = field(repr=False)
    method: str
    status: Status
    close: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Handle the request again when the stream changes, or after a while; from ``until_s`` on there is a reply."""

    ksid: bytes
    until_s: float


class Metadata(msgspec.Struct, frozen=True):
    """Of a chunk, as JSON; ``age`` in ms, ``hops`` = trusted nodes between."""

    age: int
    hops: int


class FullMetadata(Metadata, frozen=True):
    """With what is known of the bits besides, where there is room for it."""

    origin: Origin = msgspec.field(name="bellweave_origin")
    provenance: Provenance = msgspec.field(name="bellweave_provenance")
    provable: bool = msgspec.field(name="bellweave_provable")
    epsilon: float = msgspec.field(name="bellweave_epsilon")


_encode = msgspec.json.Encoder().encode


def handle(
    request: Incoming, caller: str | None, streams: KeyStreams, since_s: float, now_s: float
) -> Work[Reply | Wait]:
    """Return the reply to a request, or what to wait for.

    Args:
        request: As read from the connection.
        caller: The SAE that the verified certificate names, or None where it names nobody.
        streams: Of this KME.
        since_s: When the request came; the same when it is handled again.
        now_s: The time.
    """
    if isinstance(request, Broken):
        return Reply(write_failure(request, Status.NO_CONNECTION), "broken", Status.NO_CONNECTION, close=True)
    done: Answer | Wait
    if isinstance(request, OpenRequest):
        method, done = "open", (yield from _open(request, caller, streams, since_s, now_s))
    elif isinstance(request, GetRequest):
        method, done = "get", (yield from _get(request, caller, streams, since_s, now_s))
    else:
        method, done = "close", (yield from _close(request, caller, streams, now_s))
    return done if isinstance(done, Wait) else Reply(write_answer(done, request), method, Status(done.status))


def sae_of(uri: str, saes: Collection[str]) -> str | None:
    """Return which of these SAEs a URI names, if any.

    >>> sae_of("qkd//app1@site-a", {"app1", "app2"})
    'app1'
    """
    authority = uri.partition("//")[2].replace("?", "/").replace("#", "/").partition("/")[0]
    user, at, host = authority.rpartition("@")
    urn = unquote(uri.removeprefix("urn:bellweave:sae:"))
    candidates = (uri, urn, user if at else "", authority, host, host.rpartition(":")[0])
    return next((name for name in candidates if name and name in saes), None)


def _open(
    request: OpenRequest, caller: str | None, streams: KeyStreams, since_s: float, now_s: float
) -> Work[OpenAnswer | Wait]:
    refusal = OpenAnswer(Status.NO_CONNECTION, request.terms, request.ksid)
    saes = streams.directory.saes
    source, destination = sae_of(request.source, saes), sae_of(request.destination, saes)
    if caller is None or source is None or destination is None or caller not in {source, destination}:
        return refusal
    other = destination if caller == source else source
    try:
        opened = yield from streams.open(caller, other, request.terms, request.ksid, now_s)
    except DeliveryError:
        return refusal
    if opened.state == "in use":
        return OpenAnswer(Status.IN_USE, request.terms, request.ksid)
    good = Status.SUCCESS if opened.met else Status.NOT_MET
    if opened.state == "waiting" and any(request.ksid):
        until_s = _until_s(since_s, opened.terms.timeout_ms)
        if now_s < until_s:
            return Wait(opened.ksid, until_s)
        good = Status.PEER_NOT_YET
    return OpenAnswer(good, opened.terms, opened.ksid)


def _get(
    request: GetRequest, caller: str | None, streams: KeyStreams, since_s: float, now_s: float
) -> Work[GetAnswer | Wait]:
    known = None if caller is None else streams.terms(caller, request.ksid)
    if caller is None or known is None:
        return GetAnswer(Status.PEER_ABSENT, request.index)
    terms, opened_s = known
    room_bytes = request.metadata_bytes if terms.mimetype else 0
    if 0 < room_bytes < LEAST_METADATA_BYTES:
        return GetAnswer(Status.METADATA_SIZE, request.index, needed_bytes=LEAST_METADATA_BYTES)
    until_s = _until_s(since_s, terms.timeout_ms)
    try:
        chunk = yield from streams.get(caller, request.ksid, request.index, now_s)
    except (NotEnoughKey, NotMet) as error:
        retry_s = error.retry_s if isinstance(error, NotEnoughKey) else None
        hopeless = retry_s is not None and now_s + retry_s > until_s
        chunk = Chunk("gone" if hopeless else "later")
    except DeliveryError:
        return GetAnswer(Status.NO_CONNECTION, request.index)
    if chunk.material is not None:
        told = _metadata(chunk.material.statement, room_bytes, now_s)
        return GetAnswer(Status.SUCCESS, request.index, chunk.material.bits, told)
    if chunk.state == "later" and now_s < until_s:
        return Wait(request.ksid, until_s)
    late = chunk.state == "later" or (chunk.state == "alone" and now_s >= opened_s + terms.timeout_ms / 1000)
    lacking = Status.NOT_ENOUGH_KEY if chunk.state == "gone" else Status.PEER_ABSENT
    return GetAnswer(Status.TIMEOUT if late else lacking, request.index)


def _close(request: CloseRequest, caller: str | None, streams: KeyStreams, now_s: float) -> Work[CloseAnswer]:
    try:
        known = caller is not None and (yield from streams.close(caller, request.ksid, now_s))
    except DeliveryError:
        known = True  # closed; what waited goes on to wait until it expires
    return CloseAnswer(Status.SUCCESS if known else Status.PEER_ABSENT)


def _until_s(since_s: float, timeout_ms: int) -> float:
    timeout_s = timeout_ms / 1000
    return since_s + timeout_s - min(WAY_BACK * timeout_s, WAY_BACK_S)


def _metadata(known: Statement, room_bytes: int, now_s: float) -> bytes:
    """Return as much of a chunk's metadata as there is room for: all, the standard's members, or none."""
    if not room_bytes:
        return b""
    age_ms = min(LARGEST, max(0, int(1000 * (now_s - known.made_s))))  # clocks of two KMEs may differ
    hops = max(0, known.hops - 1)
    full = _encode(FullMetadata(age_ms, hops, known.origin, known.provenance, known.provable, known.epsilon))
    return full if len(full) <= room_bytes else _encode(Metadata(age_ms, hops))
