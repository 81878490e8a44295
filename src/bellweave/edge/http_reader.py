"""Bytes to HTTP requests, without a socket.

The grammar is llhttp's in its strict form (RFC 9112). On top of it, a request is refused, and the connection ends, if

1. its head or its body is longer than a limit: 431, 413; of the body as soon as ``Content-Length`` says so,
2. it is of HTTP/1.1 and names no host, or of another version than 1.0 and 1.1, or its target is no path: 400.

An ``Upgrade`` is ignored, as RFC 9110 (7.8) allows: the request is answered, and the connection ends.
"""

from typing import Any, Literal, NamedTuple

import httptools

from bellweave.api.http import Request

MAX_HEAD_BYTES = 16 * 1024
"""Longest request line and header fields together: an SAE's name and a handful of fields need far less."""

Phase = Literal["idle", "head", "body"]

_METHODS = {b"GET": "GET", b"POST": "POST"}
_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"  # only clients of HTTP/1.0 need to be told


class Received(NamedTuple):
    """A whole request.

    Attributes:
        request: What the handler gets.
        last: Whether the connection ends with its answer.
        connection: Header line for the answer; may be empty.
    """

    request: Request
    last: bool
    connection: bytes


class Problem(NamedTuple):
    """Why nothing more can be read: an HTTP status, words for the client, and the path as far as it is known."""

    status: int
    message: str
    path: str


class HttpReader:
    """Reads the requests of one connection.

    Args:
        max_body_bytes: Longest body.

    Attributes:
        phase: Of the request that is being read: nothing of it is here yet, its head, its body.
        problem: Set once and for all; what has been read before counts.
        wants_continue: A client waits for ``100 Continue`` before it sends the body. Whoever says it resets this.
    """

    __slots__ = (
        "_announced_bytes", "_body_bytes", "_connection", "_content_type", "_expects", "_fields_bytes",
        "_has_host", "_head_bytes", "_last", "_max_body_bytes", "_parser", "_parts", "_received", "_url", "phase",
        "problem", "wants_continue",
    )  # fmt: skip

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._parser: Any = httptools.HttpRequestParser(self)
        self._received: list[Received] = []
        self._last = self._has_host = self._expects = False
        self._connection = self._url = self._content_type = b""
        self._parts: list[bytes] = []
        self._head_bytes = self._fields_bytes = self._body_bytes = self._announced_bytes = 0
        self.wants_continue = False
        self.phase: Phase = "idle"
        self.problem: Problem | None = None

    def feed(self, data: bytes) -> list[Received]:
        """Take what has come; return the requests that are whole now. Look at :attr:`problem` afterwards."""
        if self.problem is not None or (self._last and self.phase == "idle"):
            return []
        received = self._received = []
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._last = True
            if received and not received[-1].last:
                received[-1] = Received(received[-1].request, last=True, connection=_CLOSE)
        except httptools.HttpParserError:
            self._stumble()
        else:
            if self.phase == "head" and not received:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self.problem = _head_too_long(self.path)
        return received

    @property
    def path(self) -> str:
        """The path of the request that is being read, as far as it is here."""
        return self._url.decode("latin-1").partition("?")[0]

    def close(self) -> None:
        """Let the parser go, which refers to this reader."""
        self._parser = None

    # --------------------------------------------------------------------------------------------- what llhttp calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._reset()
        self.phase = "head"

    def on_url(self, part: bytes) -> None:
        """Take the target, or a part of it."""
        self._url += part
        if len(self._url) > MAX_HEAD_BYTES:
            self._refuse(_head_too_long(""))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field, or one of the trailer, which counts for nothing."""
        self._fields_bytes += len(name) + len(value)
        if self._fields_bytes > MAX_HEAD_BYTES:
            self._refuse(_head_too_long(self.path))
        if self.phase != "head":
            return
        name = name.lower()
        if name == b"host":
            if self._has_host:
                self._refuse(Problem(400, "the request names more than one host", self.path))
            self._has_host = True
        elif name == b"content-type":
            self._content_type = value
        elif name == b"content-length":
            self._announced_bytes = int(value)
        elif name == b"expect":
            self._expects = value.strip().lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """Decide whether the body may come."""
        version = self._parser.get_http_version()
        if version == "1.1":
            if not self._has_host:
                self._refuse(Problem(400, "a request of HTTP/1.1 has a Host field", self.path))
        elif version != "1.0":
            self._refuse(Problem(400, f"HTTP/{version} is not spoken here", self.path))
        if self._announced_bytes > self._max_body_bytes:
            self._refuse(self._body_too_long())
        if not self._url.startswith(b"/"):
            self._url = _origin_form(self._url)
        keep = self._parser.should_keep_alive()
        self._last = not keep
        self._connection = b"" if keep and version == "1.1" else _KEEP if keep else _CLOSE
        self.wants_continue = self._expects and version == "1.1"
        self.phase = "body"

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self.wants_continue = False
        self._parts.append(part)
        self._body_bytes += len(part)
        if self._body_bytes > self._max_body_bytes:  # chunked: nobody has said how long it will be
            self._refuse(self._body_too_long())

    def on_message_complete(self) -> None:
        """Hand out the request."""
        method = self._parser.get_method()
        target, _, query = self._url.decode("latin-1").partition("?")
        parts = self._parts
        body = b"" if not parts else parts[0] if len(parts) == 1 else b"".join(parts)
        request = Request(
            _METHODS.get(method) or method.decode("latin-1"),
            target, query, body, self._content_type.decode("latin-1"),
        )  # fmt: skip
        self._received.append(Received(request, self._last, self._connection))
        self.wants_continue = False
        self.phase = "idle"

    # --------------------------------------------------------------------------------------------------------- state

    def _reset(self) -> None:
        self._url = self._content_type = b""
        self._parts = []
        self._head_bytes = self._fields_bytes = self._body_bytes = self._announced_bytes = 0
        self._has_host = self._expects = self.wants_continue = False

    def _stumble(self) -> None:
        """Note that llhttp reads no further; what follows the last request is nobody's."""
        if self.problem is None and not (self._last and self.phase == "idle"):
            self.problem = Problem(400, "the request is no valid HTTP/1.1", self.path)

    def _refuse(self, problem: Problem) -> None:
        """Stop llhttp: an exception in what it calls is the only way."""
        self.problem = problem
        raise ValueError(problem.message)

    def _body_too_long(self) -> Problem:
        return Problem(413, f"the body shall have at most {self._max_body_bytes} bytes", self.path)


def _head_too_long(path: str) -> Problem:
    return Problem(431, f"request line and header fields shall have at most {MAX_HEAD_BYTES} bytes", path)


def _origin_form(target: bytes) -> bytes:
    """Return the path and query of a target in absolute form (RFC 9112, 3.2.2); others name no resource."""
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() not in {b"http", b"https"}:
        return target
    slash = rest.find(b"/")
    return rest[slash:] if slash >= 0 else b"/"
