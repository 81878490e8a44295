"""Everybody else: Bob, who judges, and the nodes of a path, which keep the books of their edges."""

from collections.abc import Mapping

from bellweave.dialogue import Dialogue, Message
from bellweave.network.wide.agreement.messages import (
    Alarm,
    Ask,
    Begin,
    Begun,
    Contents,
    Declined,
    Denied,
    End,
    Ended,
    Granted,
    Halt,
    Judged,
    Letter,
    Noted,
    Release,
    Released,
    Reserve,
    Run,
    Woken,
)
from bellweave.network.wide.agreement.units import Units

MOST_REQUESTS = 64
"""Requests in which a slave takes part at once."""


class Desk:
    """What a node answers to letters; nothing else changes its state.

    Args:
        cluster: The node's master; None: it is no slave.
        units: Memory units of the edges whose books it keeps.
        most_requests: A slave declines more than so many at once.
    """

    def __init__(self, cluster: str | None, units: Mapping[str, int], *, most_requests: int = MOST_REQUESTS) -> None:
        self.units = Units(units)
        self._cluster, self._most = cluster, most_requests
        self._requests: set[int] = set()

    @property
    def requests(self) -> frozenset[int]:
        """Numbers of the requests in which this slave takes part as Bob."""
        return frozenset(self._requests)

    def answer(self, letter: Letter, now_s: float) -> Contents:
        """Return the answer to a letter from another node."""
        match letter.content:
            case Ask(cluster):
                return self._judge(letter.request, cluster)
            case Begin():
                known = letter.request in self._requests
                return Begun() if known else Declined(f"request {letter.request} is unknown here")
            case End():
                self._requests.discard(letter.request)
                return Ended()
            case Reserve(edge, units, lease_s):
                if self.units.reserve(edge, letter.request, units, now_s, lease_s):
                    return Granted(edge)
                return Denied(edge, self.units.free(edge, now_s))
            case Release(edge):
                self.units.release(edge, letter.request)
                return Released(edge)
        return Declined(f"{type(letter.content).__name__} is no question")

    def drop(self, request: int) -> None:
        """Give up a request whose asker has failed."""
        self.units.drop(request)
        self._requests.discard(request)

    def forget(self) -> None:
        """Lose what is in memory: the node has failed."""
        self.units.forget()
        self._requests.clear()

    def _judge(self, request: int, cluster: str) -> Contents:
        """Step 2."""
        if self._cluster is None:
            return Declined("this is no slave")
        if len(self._requests | {request}) > self._most:
            return Declined(f"{self._most} requests at once are the most")
        self._requests.add(request)
        return Judged(same_cluster=cluster == self._cluster)


def network(desks: Mapping[str, Desk], now_s: float = 0.0) -> Dialogue[list[Letter]]:
    """Be everybody else, until Alice has ended; return all letters that came. Time stands but for her alarms.

    For drivers with one line; the own node's quantum layer does nothing.
    """
    came: list[Letter] = []
    while True:
        message: Message | None = yield None
        if not isinstance(message, Letter):  # she has ended, in order or not
            return came
        came.append(message)
        content: Contents
        match message.content:
            case Alarm(number, delay_s):
                now_s += delay_s
                content = Woken(number)
            case Run() | Halt():
                content = Noted()
            case _:
                content = desks[message.to].answer(message, now_s)
        yield Letter(request=message.request, sender=message.to, to=message.sender, content=content)
