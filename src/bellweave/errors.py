"""The errors of Bellweave.

The tree::

    BellweaveError
    ├── ScenarioError       your input: a scenario, a recording, an option
    ├── ProtocolError       the peer: a malformed, unexpected or truncated message
    │   └── PeerAborted     the peer gave up and said why
    ├── BlockRejected       honest physics: the block is counted, not a fault
    ├── KeysUnavailable     no key may be spent on authentication now: too little left, or too many failures lately
    ├── DeliveryError       a key server can't do what an application or a peer asks of it
    │   ├── NotEnoughKey    the pair's pools hold less than that
    │   ├── NotMet          there is key, but none that meets the demands on its origin or age
    │   ├── UnknownKeys     some of the key ids name no key that waits here: never made, taken, or expired
    │   ├── NotEntitled     keys wait under these ids, but not for this caller
    │   ├── PeerUnreachable the other KME did not answer in time, or is not in step yet
    │   ├── PeerRefused     the other KME answered that it can't
    │   └── StoreFailed     the store can't be written or read
    └── KeyServerError      a key server that was called as an application does gave no keys
        ├── KeyServerRefused     it answered with an error
        ├── KeyServerDenied      it lets nobody in with this certificate
        └── KeyServerUnreachable it did not answer, or not sensibly; keys may be lost

Messages hold the file, the path, the value and the limit, never key bytes.
"""

from typing import Literal

RejectionReason = Literal[
    "qber above limit", "verification failed", "too short", "too few sifted bits", "chsh not above 2"
]


class BellweaveError(Exception):
    """Base of everything that this package raises on purpose."""


class ScenarioError(BellweaveError):
    """Your input can't be used.

    Attributes:
        problem: What is wrong, with the value and the limit.
        path: Where in the input, such as ``node.alice.detector.efficiency``; empty where there is no path.
        file: The file's name; empty where the input came from none.
    """

    def __init__(self, problem: str, *, path: str = "", file: str = "") -> None:
        self.problem = problem
        self.path = path
        self.file = file
        super().__init__(": ".join(part for part in (file, path, problem) if part))


class ProtocolError(BellweaveError):
    """The peer sent something that the protocol does not allow at this point."""


class PeerAborted(ProtocolError):
    """The peer gave up.

    Attributes:
        reason: The peer's words.
        rejection: The reason code where the peer rejected the block as honest physics, else None.
    """

    def __init__(self, reason: str, rejection: RejectionReason | None = None) -> None:
        self.reason = reason
        self.rejection = rejection
        super().__init__(f"the peer aborted: {reason}")


class BlockRejected(BellweaveError):
    """A block gives no key, for a reason that physics or chance explains.

    Attributes:
        reason: One of :data:`RejectionReason`; what the counts are kept by.
    """

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        self.reason: RejectionReason = reason
        super().__init__(f"{reason}: {detail}")


class KeysUnavailable(BellweaveError):
    """No key may be spent on authentication now.

    Attributes:
        retry_s: When it may be tried again, on the clock of the call; infinity: not without an operator.
    """

    def __init__(self, reason: str, retry_s: float) -> None:
        self.retry_s = retry_s
        super().__init__(reason)


class DeliveryError(BellweaveError):
    """A key server can't do what an application or a peer asks of it; nothing was used up unless it says so."""


class NotEnoughKey(DeliveryError):
    """The pair's pools hold less than what was asked for.

    Attributes:
        available: How many keys of that size there are.
        wanted: How many were asked for.
        retry_s: When there may be enough; None if the rate is not known.
    """

    def __init__(self, available: int, wanted: int, retry_s: float | None = None) -> None:
        self.available = available
        self.wanted = wanted
        self.retry_s = retry_s
        super().__init__(f"not enough keys: {available} of {wanted}")


class NotMet(DeliveryError):
    """There is key, but none that meets the demands on its origin or age."""


class UnknownKeys(DeliveryError):
    """Some of the key ids name no key that waits here: never made, taken already, expired, or of another master.

    Attributes:
        key_ids: Those ids, 16 bytes each.
    """

    def __init__(self, key_ids: tuple[bytes, ...]) -> None:
        self.key_ids = key_ids
        super().__init__(f"no key waits under {len(key_ids)} of the ids")


class NotEntitled(DeliveryError):
    """Keys wait under these ids, but not all of them for this caller; they keep waiting."""


class PeerUnreachable(DeliveryError):
    """The other KME did not answer in time, or has not confirmed its high-water mark yet."""


class PeerRefused(DeliveryError):
    """The other KME answered that it can't."""


class StoreFailed(DeliveryError):
    """The store can't be written or read: a full disk, a read-only file, a database that is gone."""


class KeyServerError(BellweaveError):
    """A key server that was called as an application does gave no keys."""


class KeyServerRefused(KeyServerError):
    """It answered with an error; no key was used up.

    Attributes:
        status: HTTP status code.
        message: The server's words.
        details: The Error object's details, as they came.
    """

    def __init__(self, status: int, message: str, details: tuple[object, ...] = ()) -> None:
        self.status = status
        self.message = message
        self.details = details
        super().__init__(f"the key server answered {status}: {message}")


class KeyServerDenied(KeyServerError):
    """It closed the connection instead of an answer: it lets nobody in with this certificate, or is the wrong one."""


class KeyServerUnreachable(KeyServerError):
    """It did not answer, or not sensibly. Keys that it was about to deliver are lost: never ask for their ids again."""
