"""The wire format of ETSI GS QKD 004 V2.1.1, as it is in use: the standard defines functions, but no format.

A message is a header (version major, minor, patch, service: one byte each; length of the payload: uint32) and a
payload; all numbers are big-endian. There are two dialects, those of ETSI's example code in C and in Python:

========  =======================================  ========================================
field     Python                                   C
========  =======================================  ========================================
mimetype  256 bytes, padded with zeros             as long as it is, and a zero byte
GET_KEY   ends with the size of the buffer         sends that many bytes of the buffer, too
status 8  status and the size that is needed       all fields; as many zero bytes as needed
========  =======================================  ========================================

Rules:

1. Lengths tell the dialect of each OPEN_CONNECT and GET_KEY by itself, and a CLOSE reads the same in both. So nothing
   has to be remembered, and a stream may be opened in one dialect and go on in the other.
2. The version is echoed, whatever it is.
3. A length is checked before its bytes are waited for. Nothing here raises on what a peer sends: a message that can't
   be read becomes :class:`Broken`, and nothing is read after it.
4. A URI or mimetype is UTF-8 without zero bytes.
"""

import struct

from bellweave.api.etsi004_messages import (
    KSID_BYTES,
    NO_KSID,
    Answer,
    Broken,
    CloseAnswer,
    CloseRequest,
    Dialect,
    GetAnswer,
    GetRequest,
    Incoming,
    OpenAnswer,
    OpenRequest,
    Request,
)
from bellweave.errors import ProtocolError
from bellweave.kms.stream_terms import Terms

HEADER_BYTES = 8
MAX_PAYLOAD_BYTES = 64 * 1024
"""Longest payload that is read. Two URIs, or the buffer of a GET_KEY in C, are far shorter."""

MIMETYPE_BYTES = 256

ERROR, OPEN, OPEN_ANSWER, GET, GET_ANSWER, CLOSE, CLOSE_ANSWER = 0x00, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09
CLOSE_SERVER = 0xFF
"""Known to the C library: it would stop the server. Nobody may; it is passed over."""

_HEADER = struct.Struct("!3sBI")
_QOS = struct.Struct("!7I")
_GET = struct.Struct("!16sII")


class Connection:
    """The server's end of one connection, without the socket."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken = False

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[Incoming]:
        """Return the requests that these bytes complete, in order; :class:`Broken` is the last of all."""
        if self._broken:
            return []
        self._buffer += data
        found: list[Incoming] = []
        while not self._broken and len(self._buffer) >= HEADER_BYTES:
            version, service, length = _HEADER.unpack_from(self._buffer)
            if length > MAX_PAYLOAD_BYTES:
                problem = f"a payload of {length} bytes, the limit is {MAX_PAYLOAD_BYTES}"
                incoming: Incoming | None = Broken(problem, service, version)
            elif len(self._buffer) < HEADER_BYTES + length:
                break
            else:
                payload = bytes(self._buffer[HEADER_BYTES : HEADER_BYTES + length])
                del self._buffer[: HEADER_BYTES + length]
                incoming = read_request(version, service, payload)
            if incoming is not None:
                found.append(incoming)
            self._broken = isinstance(incoming, Broken)
        if self._broken:
            self._buffer.clear()
        return found


def read_request(version: bytes, service: int, payload: bytes) -> Incoming | None:
    """Return the request in a whole message, or None for one that is passed over. Never raises."""
    try:
        if service == OPEN:
            return _read_open(version, payload)
        if service == GET:
            return _read_get(version, payload)
        if service == CLOSE:
            return _read_close(version, payload)
    except (ProtocolError, UnicodeDecodeError) as error:
        return Broken(str(error), service, version)
    return None if service == CLOSE_SERVER else Broken(f"service {service:#04x} is no request", service, version)


def _read_open(version: bytes, payload: bytes) -> OpenRequest:
    parts = payload.split(b"\0", 2)
    if len(parts) < 3:
        raise ProtocolError("an OPEN_CONNECT without two URIs that end in a zero byte")
    source, destination, rest = parts
    length = len(rest) - _QOS.size - KSID_BYTES
    mimetype = rest[_QOS.size : _QOS.size + max(0, length)]
    dialect: Dialect = "python" if length == MIMETYPE_BYTES else "c"
    if dialect == "c" and not (0 < length < MIMETYPE_BYTES and mimetype.find(b"\0") == length - 1):
        raise ProtocolError(f"{len(rest)} bytes after the URIs of an OPEN_CONNECT are no QoS and KSID")
    terms = _terms(rest[: _QOS.size], mimetype)
    return OpenRequest(source.decode(), destination.decode(), terms, rest[-KSID_BYTES:], dialect, version)


def _read_get(version: bytes, payload: bytes) -> GetRequest:
    if len(payload) < _GET.size:
        raise ProtocolError(f"a GET_KEY of {len(payload)} bytes, at least {_GET.size}")
    ksid, index, metadata_bytes = _GET.unpack_from(payload)
    if len(payload) == _GET.size:
        return GetRequest(ksid, index, metadata_bytes, "python", version)
    if len(payload) == _GET.size + metadata_bytes:
        return GetRequest(ksid, index, metadata_bytes, "c", version)
    raise ProtocolError(f"a GET_KEY of {len(payload)} bytes with a buffer of {metadata_bytes}")


def _read_close(version: bytes, payload: bytes) -> CloseRequest:
    if len(payload) != KSID_BYTES:
        raise ProtocolError(f"a CLOSE of {len(payload)} bytes, not {KSID_BYTES}")
    return CloseRequest(payload, version)


def write_request(request: Request) -> bytes:
    """Return the whole message; the buffer that C sends along is all zero."""
    if isinstance(request, OpenRequest):
        uris = request.source.encode() + b"\0" + request.destination.encode() + b"\0"
        return _message(request.version, OPEN, uris + _qos(request.terms, request.dialect) + request.ksid)
    if isinstance(request, GetRequest):
        buffer = bytes(request.metadata_bytes) if request.dialect == "c" else b""
        head = _GET.pack(request.ksid, request.index, request.metadata_bytes)
        return _message(request.version, GET, head + buffer)
    return _message(request.version, CLOSE, request.ksid)


def write_answer(answer: Answer, request: Request) -> bytes:
    """Return the whole message, in the dialect and version of the request that it answers."""
    if isinstance(answer, OpenAnswer):
        dialect = request.dialect if isinstance(request, OpenRequest) else "python"
        payload = _number(answer.status) + _qos(answer.terms, dialect) + answer.ksid
        return _message(request.version, OPEN_ANSWER, payload)
    if isinstance(answer, GetAnswer):
        metadata = answer.metadata
        if answer.needed_bytes:
            if isinstance(request, GetRequest) and request.dialect == "python":
                return _message(request.version, GET_ANSWER, _number(answer.status) + _number(answer.needed_bytes))
            metadata = bytes(answer.needed_bytes)
        payload = _number(answer.status) + _number(answer.index) + _sized(answer.key) + _sized(metadata)
        return _message(request.version, GET_ANSWER, payload)
    return _message(request.version, CLOSE_ANSWER, _number(answer.status))


def write_failure(broken: Broken, status: int) -> bytes:
    """Return the answer to what can't be read: all fields of its kind, in both dialects; nothing for an error."""
    if broken.service == OPEN:
        # In C, the zeros of Python's mimetype are an empty one and an all-zero KSID.
        blank = OpenAnswer(status, Terms(), NO_KSID)
        return write_answer(blank, OpenRequest("", "", Terms(), version=broken.version))
    if broken.service == GET:
        return write_answer(GetAnswer(status, 0), GetRequest(NO_KSID, 0, version=broken.version))
    if broken.service == CLOSE:
        return write_answer(CloseAnswer(status), CloseRequest(NO_KSID, broken.version))
    return b"" if broken.service == ERROR else _message(broken.version, ERROR, b"")


def read_answer(data: bytes, dialect: Dialect = "python") -> Answer:
    """Return the answer in a whole message, as a client reads it.

    Raises:
        ProtocolError: It is none.
    """
    try:
        _, service, length = _HEADER.unpack_from(data)
        payload = data[HEADER_BYTES:]
        if length != len(payload):
            raise ProtocolError(f"{len(payload)} bytes after a header that announces {length}")
        if service == OPEN_ANSWER:
            return _read_open_answer(payload, dialect)
        if service == GET_ANSWER:
            return _read_get_answer(payload)
        if service == CLOSE_ANSWER:
            return CloseAnswer(_read_number(payload, 0))
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ProtocolError(f"an answer that can't be read: {error}") from None
    raise ProtocolError(f"service {service:#04x} is no answer")


def _read_open_answer(payload: bytes, dialect: Dialect) -> OpenAnswer:
    start = 4 + _QOS.size
    end = start + MIMETYPE_BYTES if dialect == "python" else payload.index(b"\0", start) + 1
    if len(payload) != end + KSID_BYTES:
        raise ProtocolError(f"an answer to OPEN_CONNECT of {len(payload)} bytes, not {end + KSID_BYTES}")
    return OpenAnswer(_read_number(payload, 0), _terms(payload[4:start], payload[start:end]), payload[end:])


def _read_get_answer(payload: bytes) -> GetAnswer:
    status, second = _read_number(payload, 0), _read_number(payload, 4)
    if len(payload) == 8:
        return GetAnswer(status, 0, needed_bytes=second)
    key_bytes = _read_number(payload, 8)
    end = 12 + key_bytes
    metadata_bytes = _read_number(payload, end)
    if len(payload) != end + 4 + metadata_bytes:
        raise ProtocolError(f"an answer to GET_KEY of {len(payload)} bytes, not {end + 4 + metadata_bytes}")
    if status == 8:
        return GetAnswer(status, second, needed_bytes=metadata_bytes)
    return GetAnswer(status, second, payload[12:end], payload[end + 4 :])


def _message(version: bytes, service: int, payload: bytes) -> bytes:
    return _HEADER.pack(version, service, len(payload)) + payload


def _qos(terms: Terms, dialect: Dialect) -> bytes:
    numbers = (terms.chunk_bytes, terms.max_bps, terms.min_bps, terms.jitter_bps, terms.priority)
    mimetype = terms.mimetype.encode()
    padded = mimetype.ljust(MIMETYPE_BYTES, b"\0") if dialect == "python" else mimetype + b"\0"
    return _QOS.pack(*numbers, terms.timeout_ms, terms.ttl_s) + padded


def _terms(numbers: bytes, mimetype: bytes) -> Terms:
    chunk_bytes, max_bps, min_bps, jitter_bps, priority, timeout_ms, ttl_s = _QOS.unpack(numbers)
    return Terms(
        chunk_bytes=chunk_bytes, max_bps=max_bps, min_bps=min_bps, jitter_bps=jitter_bps, priority=priority,
        timeout_ms=timeout_ms, ttl_s=ttl_s, mimetype=mimetype.partition(b"\0")[0].decode(),
    )  # fmt: skip


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _read_number(data: bytes, start: int) -> int:
    value: int = struct.unpack_from("!I", data, start)[0]
    return value


def _sized(data: bytes) -> bytes:
    return _number(len(data)) + data
