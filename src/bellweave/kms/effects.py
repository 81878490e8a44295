"""How a key server works without input and output: each piece of work is a generator of effects.

Work yields :class:`Apply` (store operations; it gets their results back) or :class:`Ask` (a message to another KME; it
gets the answer back) and returns its result. Errors arrive in the generator as exceptions where it yields. Between two
yields nothing else runs, so what is in memory needs no lock; across a yield anything may have changed.

Drivers: :mod:`bellweave.kms.driver` (one process, no waiting: tests, simulations without latency), ``sim`` (virtual
time) and ``edge.kms_driver`` (asyncio, group commit, TLS links).
"""

from collections.abc import Generator
from typing import Any, TypeVar

import msgspec

from bellweave.dialogue import Message
from bellweave.errors import DeliveryError, PeerRefused
from bellweave.kms.operations import Operation

T = TypeVar("T")
M = TypeVar("M", bound=Message)
R = TypeVar("R")


class Apply(msgspec.Struct, frozen=True):
    """Run these store operations as one batch (others may join it); sends back the list of results."""

    operations: tuple[Operation[Any], ...]


class Ask(msgspec.Struct, frozen=True):
    """Send a message to another KME and wait for the answer; sends back the answering message.

    Throws :class:`~bellweave.errors.PeerUnreachable` or :class:`~bellweave.errors.PeerRefused` into the work.
    """

    kme: str
    message: Message


Effect = Apply | Ask
Work = Generator[Effect, Any, T]


def apply(operation: Operation[R]) -> Work[R]:
    """Run one store operation and return its result.

    Raises:
        DeliveryError: The operation's error, or :class:`~bellweave.errors.StoreFailed`.
    """
    (result,) = yield Apply((operation,))
    if isinstance(result, DeliveryError):
        raise result
    return result  # type: ignore[no-any-return]


def apply_all(*operations: Operation[Any]) -> Work[list[Any]]:
    """Run store operations in one batch and return their results.

    Raises:
        DeliveryError: The first error among the results (the other operations are done), or
            :class:`~bellweave.errors.StoreFailed`.
    """
    results = yield Apply(operations)
    for result in results:
        if isinstance(result, DeliveryError):
            raise result
    return results  # type: ignore[no-any-return]


def ask(kme: str, message: Message, answer: type[M]) -> Work[M]:
    """Ask another KME and return its answer, which is of this kind.

    Raises:
        PeerUnreachable: It did not answer in time.
        PeerRefused: It can't, or its answer makes no sense.
    """
    reply = yield Ask(kme, message)
    if not isinstance(reply, answer):
        raise PeerRefused(f"{kme} answered {type(message).__name__} with {type(reply).__name__}")
    return reply
