"""Alice's correspondence: one question at a time, and the events that come meanwhile."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from bellweave.dialogue import Dialogue, receive, refuse
from bellweave.network.wide.agreement.messages import (
    Alarm,
    Cancelled,
    Contents,
    Letter,
    Lost,
    Reshared,
    Woken,
)


@dataclass
class Correspondence:
    """What one request's asker writes and hears.

    Attributes:
        request: Its number.
        name: The asker.
        cancelled: Whether the request's time is over.
        stale: Whether units have been shared out anew since lanes were looked for.
        lost: Names of nodes and edges that have failed, as far as anybody said.
    """

    request: int
    name: str
    cancelled: bool = False
    stale: bool = False
    lost: set[str] = field(default_factory=set)
    _alarms: int = 0

    def is_over(self, parts: AbstractSet[str]) -> bool:
        """Return whether to stop: the time is over, one of these parts has failed, or units are shared out anew."""
        return self.cancelled or self.stale or bool(parts & self.lost)

    def call(self, to: str, content: Contents) -> Dialogue[Contents]:
        """Write to somebody and return the answer; ``Unanswered`` if none comes.

        Raises:
            ProtocolError: Somebody else answered.
        """
        yield self._letter(to, content)
        while True:
            letter = yield from self._heard()
            if letter is None or isinstance(letter.content, Woken):  # an alarm that nobody waits for any more
                continue
            if letter.sender != to:
                return (yield from refuse(f"{to} was asked, {letter.sender} answered"))
            return letter.content

    def tell(self, content: Contents) -> Dialogue[None]:
        """Say something to the own node's quantum layer."""
        yield from self.call(self.name, content)

    def rest(self, delay_s: float) -> Dialogue[None]:
        """Wait so long, or until something happens.

        Raises:
            ProtocolError: An answer came, nobody was asked.
        """
        self._alarms += 1
        yield self._letter(self.name, Alarm(self._alarms, delay_s))
        while True:
            letter = yield from self._heard()
            if letter is None:
                return
            if not isinstance(letter.content, Woken):
                yield from refuse(f"nobody was asked, {letter.sender} sent {type(letter.content).__name__}")
            elif letter.content.number == self._alarms:
                return

    def _letter(self, to: str, content: Contents) -> Letter:
        return Letter(request=self.request, sender=self.name, to=to, content=content)

    def _heard(self) -> Dialogue[Letter | None]:
        """Wait for a letter; take note of an event, and return None for it."""
        letter = yield from receive(Letter)
        if letter.request != self.request:
            return (yield from refuse(f"a letter for request {letter.request} came to {self.request}"))
        match letter.content:
            case Lost(what):
                self.lost.add(what)
                return None
            case Reshared():
                self.stale = True
                return None
            case Cancelled():
                self.cancelled = True
                return None
        return letter
