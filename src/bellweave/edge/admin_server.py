"""What an operator, a supervisor and Prometheus ask a KME: plain HTTP, for loopback only.

====================  ==================================================================================================
``GET /healthz``      200 while the process answers at all: restart it if it does not
``GET /readyz``       200 if requests can be served; 503 with the reason: the store fails, a peer is not in step
``GET /metrics``      Prometheus' text format
``GET /ledger``       JSON: pool to account to bits
====================  ==================================================================================================

Nothing here tells a key or a key's id. Who can reach the port can read which SAEs there are and how much key they have.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from bellweave.api.errors import HEADERS, Refusal, not_found
from bellweave.api.http import Request, Response
from bellweave.edge.metrics import CONTENT_TYPE, Snapshot
from bellweave.errors import DeliveryError
from bellweave.kms.effects import Work

_encode = msgspec.json.Encoder().encode


class Watched(Protocol):
    """What the admin endpoint needs of a KME that runs."""

    def snapshot(self) -> Work[Snapshot]:
        """Return how the KME stands.

        Raises:
            StoreFailed: The store can't be read.
        """
        ...

    def late(self) -> tuple[str, ...]:
        """Return what keeps the KME from serving, besides its store; empty: nothing."""
        ...


def handle(request: Request, watched: Watched, render: Callable[[Snapshot], bytes]) -> Work[Response]:
    """Return the answer to a request.

    Args:
        request: As it came.
        watched: The KME.
        render: Returns the metrics, such as :meth:`bellweave.edge.metrics.Metrics.rendered`.
    """
    if request.method not in {"GET", "HEAD"}:
        return Refusal(405, "GET only", headers=(("Allow", "GET, HEAD"),)).response()
    match request.path:
        case "/healthz":
            return _json({"status": "alive"})
        case "/readyz":
            return (yield from _ready(watched))
        case "/ledger":
            return (yield from _ledger(watched))
        case "/metrics":
            snapshot = yield from _whatever_there_is(watched)
            return Response(200, render(snapshot), (("Content-Type", CONTENT_TYPE),), "metrics")
    return not_found(request.path).response()


def _ready(watched: Watched) -> Work[Response]:
    problems = list(watched.late())
    try:
        yield from watched.snapshot()
    except DeliveryError as error:
        problems.append(str(error))
    if problems:
        return _json({"status": "not ready", "reasons": problems}, 503)
    return _json({"status": "ready"})


def _ledger(watched: Watched) -> Work[Response]:
    try:
        return _json((yield from watched.snapshot()).ledger)
    except DeliveryError as error:
        return _json({"message": str(error)}, 503)


def _whatever_there_is(watched: Watched) -> Work[Snapshot]:
    """Return a snapshot; an empty one if the store fails: counters are wanted most when something is wrong."""
    try:
        return (yield from watched.snapshot())
    except DeliveryError:
        return Snapshot()


def _json(value: object, status: int = 200) -> Response:
    return Response(status, _encode(value), HEADERS, "ok" if status == 200 else "unavailable")
