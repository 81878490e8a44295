"""What goes wrong, as the interfaces say it: the one place of status codes, texts and outcome words.

ETSI GS QKD 014 knows 200, 400, 401 and 503; SKIP lists 400, 404, 405, 500 and 503. A handler raises :class:`Refusal`
for what is wrong with a request; a service's :class:`~bellweave.errors.DeliveryError` becomes one here
(:func:`etsi014_refusal`, :func:`skip_refusal`), and so does what a server finds wrong before any handler runs
(:func:`framework_response`). Every answer that is not 200 has a JSON Error body: clients parse one.

Texts never hold what other applications or the inside of a KME do: of a failed store or a silent peer a client learns
that it is so; the log has the rest.
"""

import math

import msgspec

from bellweave.api import url
from bellweave.api.etsi014_messages import Error
from bellweave.api.http import Response
from bellweave.errors import (
    BellweaveError,
    DeliveryError,
    NotEnoughKey,
    NotEntitled,
    NotMet,
    PeerRefused,
    PeerUnreachable,
    StoreFailed,
    UnknownKeys,
)

NOT_MULTIPLE_OF_8 = "size shall be a multiple of 8"
UNSUPPORTED = "not all extension_mandatory parameters are supported"
UNMET = "not all extension_mandatory request options could be met"
NOT_FOUND = "one or more keys specified are not found on KME"
"""The exact texts of 014, clause 6."""

UNAUTHORIZED = "unauthorized"

HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
"""Of every answer: keys must not be kept on the way, and refusals say who asks for what."""

_encode = msgspec.json.Encoder().encode


class Refusal(BellweaveError):
    """A request is refused; nothing was used up.

    Attributes:
        status: HTTP status code.
        message: For the client.
        outcome: One word for metrics and logs.
        details: The Error object's.
        headers: Besides :data:`HEADERS`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        outcome: str = "bad_request",
        *,
        details: tuple[dict[str, str], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.status = status
        self.message = message
        self.outcome = outcome
        self.details = details
        self.headers = headers
        super().__init__(f"{status}: {message}")

    def response(self) -> Response:
        """Return it as an answer with an Error body."""
        body = _encode(Error(message=self.message, details=self.details))
        return Response(self.status, body, HEADERS + self.headers, self.outcome)


def unauthorized() -> Refusal:
    """Return 014's 401: no registered SAE, a pair that is not allowed, or somebody else's keys."""
    return Refusal(401, UNAUTHORIZED, "unauthorized")


def not_found(path: str) -> Refusal:
    """Return the 404 of a route that no interface has."""
    return Refusal(404, f"no such resource: {url.shown(path)}", "not_found")


def retry_after(retry_s: float | None) -> tuple[tuple[str, str], ...]:
    """Return the header that says when to ask again, whole seconds, at least 1; none if that is not known.

    >>> retry_after(0.2)
    (('Retry-After', '1'),)
    """
    if retry_s is None or not math.isfinite(retry_s):
        return ()
    return (("Retry-After", str(max(1, math.ceil(retry_s)))),)


def _unavailable(error: DeliveryError) -> tuple[str, str]:
    """Return message and outcome of what is no fault of the client."""
    if isinstance(error, NotEnoughKey):
        return f"not enough keys: {error.available} of {error.wanted}", "not_enough_key"
    if isinstance(error, PeerUnreachable):
        return "the other KME cannot be reached at the moment", "peer_unreachable"
    if isinstance(error, PeerRefused):
        return "the other KME cannot store the keys at the moment", "peer_refused"
    if isinstance(error, StoreFailed):
        return "the key store cannot be used at the moment", "store_failed"
    return "keys cannot be delivered at the moment", "unavailable"


def etsi014_refusal(error: DeliveryError) -> Refusal:
    """Return a service's error as 014 has it (clauses 5.1 to 5.3, 6)."""
    if isinstance(error, UnknownKeys):
        return Refusal(400, NOT_FOUND, "unknown_keys")
    if isinstance(error, NotEntitled):
        return unauthorized()
    if isinstance(error, NotMet):
        return Refusal(400, UNMET, "not_met")
    message, outcome = _unavailable(error)
    retry_s = error.retry_s if isinstance(error, NotEnoughKey) else None
    return Refusal(503, message, outcome, headers=retry_after(retry_s))


_OUTCOMES_503 = {
    "not enough keys": "not_enough_key",
    "the other KME cannot be reached": "peer_unreachable",
    "the other KME cannot store": "peer_refused",
    "the key store cannot be used": "store_failed",
}


def outcome_of(status: int, message: str) -> str:
    """Return the outcome word of an error that an ETSI 014 server has answered; other vendors' words mean less.

    >>> outcome_of(503, "not enough keys: 0 of 1")
    'not_enough_key'
    >>> outcome_of(503, "try later")
    'unavailable'
    """
    if status == 503:
        return next((word for start, word in _OUTCOMES_503.items() if message.startswith(start)), "unavailable")
    if status == 400:
        return {NOT_FOUND: "unknown_keys", UNMET: "not_met"}.get(message, "bad_request")
    return "unauthorized" if status == 401 else "bad_request"


def skip_refusal(error: DeliveryError) -> Refusal:
    """Return a service's error as SKIP has it: who may not fetch a key does not find it; all else is the server's."""
    if isinstance(error, UnknownKeys | NotEntitled):
        return Refusal(400, "key not found", "unknown_keys")
    message, outcome = _unavailable(error)
    retry_s = error.retry_s if isinstance(error, NotEnoughKey) else None
    return Refusal(500, message, outcome, headers=retry_after(retry_s))


def framework_response(status: int, message: str, *, etsi014: bool, retry_s: float | None = None) -> Response:
    """Return what a server answers without asking a handler: limits exceeded, bad HTTP, time-outs, its own faults.

    Args:
        status: The code that HTTP has for it, such as 413 or 429.
        message: For the client.
        etsi014: Whether the request is for one of 014's paths, where only 400, 401 and 503 exist.
        retry_s: When to ask again, if that is known.
    """
    outcome = "bad_request" if status < 500 else "unavailable"
    if status in {408, 429}:
        outcome = "limited"
    if etsi014 and status not in {400, 401, 503}:
        status = 503 if status >= 500 or status == 429 else 400
    return Refusal(status, message, outcome, headers=retry_after(retry_s)).response()
