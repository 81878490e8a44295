"""HTTP without a socket: what a handler gets and returns.

A handler is work (:mod:`bellweave.kms.effects`): ``handle(request, caller, service, now_s) -> Work[Response]``. The
caller is the name in the verified client certificate, or None where it names nobody who is registered.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came.

    Attributes:
        method: ``GET``, ``POST``...
        path: Undecoded path, without query.
        query: Undecoded query string, without ``?``.
        body: The whole body; never logged.
        content_type: As sent; empty if absent.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: HTTP status code.
        body: The whole body; never logged.
        headers: Besides Content-Length.
        outcome: One word for metrics and logs, such as ``delivered``, ``not_enough_key``, ``unauthorized``.
        key_ids: Of the keys delivered, for the log; UUIDs, whatever the interface spells them like.
        ignored: Members of the request's body that the interface does not know, for metrics.
    """

    status: int
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    outcome: str = ""
    key_ids: tuple[str, ...] = ()
    ignored: int = 0
