"""Runs key management's work in the event loop.

Work is advanced by call-backs, not by tasks: a store's or a peer's answer goes straight into the generator. Work that
was begun ends, even if nobody waits for it any more: a client that goes away between an announcement and its delivery
must not leave either half done.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import structlog

from bellweave.dialogue import Message
from bellweave.edge.clock import now_s
from bellweave.edge.store_writer import StoreWriter
from bellweave.errors import DeliveryError, PeerRefused
from bellweave.kms.effects import Apply, Ask, Work
from bellweave.kms.messages import Refused

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Answering(Protocol):
    """What a driver needs of a KME."""

    def answer(self, sender: str, message: Message, now_s: float) -> Work[Message]:
        """Return the answer to another KME's message."""
        ...


class Asking(Protocol):
    """What a driver needs of the links."""

    def ask(self, kme: str, message: Message, then: Callable[[Message | DeliveryError], None]) -> None:
        """Ask another KME; ``then`` gets the answer, or why there is none."""
        ...


def unless_refused(kme: str, answer: Message) -> Message | DeliveryError:
    """Return a KME's answer, or the error that its refusal is."""
    return PeerRefused(f"{kme} refused: {answer.problem}") if isinstance(answer, Refused) else answer


class Driver:
    """Carries out the effects of any number of works at once.

    Args:
        kme: Answers what it asks itself, and what others ask.
        name: Its name.
        writer: Of its store.
        links: To the others.
    """

    def __init__(self, kme: Answering, name: str, writer: StoreWriter, links: Asking) -> None:
        self._kme = kme
        self._name = name
        self._writer = writer
        self._links = links
        self._running = 0
        self._idle: asyncio.Future[None] | None = None

    @property
    def running(self) -> int:
        """How many works are under way."""
        return self._running

    async def run(self, work: Work[T]) -> T:
        """Run work to its end and return its result.

        Raises:
            DeliveryError: What the work raised. Being cancelled ends the waiting only, not the work.
        """
        outcome: list[Any] = []
        waiter: asyncio.Future[None] | None = None

        def then(result: Any, error: Exception | None) -> None:
            outcome.extend((result, error))
            if waiter is None:
                return
            if not waiter.done():
                waiter.set_result(None)
            elif error is not None:
                _log.info("work ended when nobody waited for it any more", problem=str(error))

        self.start(work, then)
        if not outcome:
            waiter = asyncio.get_running_loop().create_future()
            await waiter
        result, error = outcome
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def start(self, work: Work[T], then: Callable[[T | None, Exception | None], None]) -> None:
        """Begin work; ``then`` gets its result or its error, at once if nothing had to be waited for."""
        self._running += 1
        _Run(self, work, then).go_on(None)

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:
        """Answer a KME's message; whatever goes wrong becomes :class:`~bellweave.kms.messages.Refused`."""

        def done(answer: Message | None, error: Exception | None) -> None:
            if error is None and answer is not None:
                then(answer)
            elif isinstance(error, DeliveryError):
                then(Refused(problem=str(error)))
            else:
                _log.error("a message could not be answered", kme=sender, kind=type(message).__name__, exc_info=error)
                then(Refused(problem=f"internal error: {type(error).__name__}"))

        self.start(self._kme.answer(sender, message, now_s()), done)

    async def idle(self) -> None:
        """Wait until no work is under way."""
        if self._running:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def _carry_out(self, effect: Any, then: Callable[[Any], None]) -> None:
        kind = type(effect)
        if kind is Apply:
            self._writer.submit(effect.operations, then)
        elif kind is not Ask:
            raise TypeError(f"work yields Apply or Ask, not {kind.__name__}")
        elif effect.kme == self._name:
            self.answer(self._name, effect.message, lambda answer: then(unless_refused(self._name, answer)))
        else:
            self._links.ask(effect.kme, effect.message, then)

    def _ended(self) -> None:
        self._running -= 1
        if not self._running and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


class _Run:
    """One work under way."""

    __slots__ = ("_answer", "_answered", "_busy", "_driver", "_then", "_work")

    def __init__(self, driver: Driver, work: Work[Any], then: Callable[[Any, Exception | None], None]) -> None:
        self._driver = driver
        self._work = work
        self._then = then
        self._busy = False
        self._answered = False
        self._answer: Any = None

    def go_on(self, answer: Any) -> None:
        """Hand the work an answer, and carry out what it yields then, until it has to wait.

        An answer that comes while its effect is being carried out is taken up by the loop that is running already: so
        long works on a store in memory do not pile up frames.
        """
        self._answer, self._answered = answer, True
        if self._busy:
            return
        self._busy = True
        driver, work = self._driver, self._work
        try:
            while self._answered:
                self._answered = False
                answer = self._answer
                effect = work.throw(answer) if isinstance(answer, DeliveryError) else work.send(answer)
                driver._carry_out(effect, self.go_on)  # noqa: SLF001
        except StopIteration as end:
            self._end(end.value, None)
        except Exception as error:  # noqa: BLE001 whoever waits for the work gets it
            self._end(None, error)
        self._busy = False

    def _end(self, result: Any, error: Exception | None) -> None:
        self._driver._ended()  # noqa: SLF001
        self._then(result, error)
