"""One demand's requests: an agreement after the other, for as long as the demand lasts."""

from collections.abc import Callable
from dataclasses import dataclass

import simpy

from bellweave.dialogue import Dialogue, Message
from bellweave.network.wide.agreement.asking import Outcome, Plan, Terms, alice
from bellweave.network.wide.agreement.messages import (
    Alarm,
    Cancelled,
    Contents,
    Halt,
    Lane,
    Letter,
    Lost,
    Noted,
    Reshared,
    Run,
    Woken,
)
from bellweave.network.wide.params import Backbone, Demand
from bellweave.results.wide_records import Asked, RequestEnded, WideEvent
from bellweave.sim.network.journal import Notes
from bellweave.sim.network.nodes import Process
from bellweave.sim.wide.post import Post

PAUSE_S = 1.0
"""After a request that came to nothing the slave asks again so much later."""


@dataclass(frozen=True)
class Layer:
    """What a request does to the rest of the network; each is called with the demand's name.

    Attributes:
        open, close: A request begins, ends.
        run: Both ends measure what comes along these lanes from now on (request, lanes, whether MDI-QKD too).
        halt: No more. Called once for each ``run`` that a failure has not ended.
    """

    open: Callable[[str], None]
    close: Callable[[str], None]
    run: Callable[[str, int, tuple[Lane, ...], bool], None]
    halt: Callable[[str], None]


class Requests:
    """A demand's slave, as the one who asks."""

    def __init__(
        self,
        env: simpy.Environment,
        name: str,
        demand: Demand,
        cluster: str,
        backbone: Backbone,
        parts: tuple[Post, Notes[WideEvent], Layer, Plan],
        numbers: Callable[[], int],
    ) -> None:
        self._env, self._name, self._demand = env, name, demand
        self._cluster, self._backbone, self._numbers = cluster, backbone, numbers
        self._post, self._journal, self._layer, self._plan = parts
        self._inbox: simpy.Store | None = None
        self._number = 0
        self._births = 0
        self._over = False

    @property
    def number(self) -> int:
        """Of the last request; 0: none yet."""
        return self._number

    def start(self) -> None:
        """Begin to ask: at the demand's start, or when the slave has come back."""
        self._births += 1
        self._env.process(self._live(self._births))

    def fail(self) -> None:
        """The slave has failed: nothing is left of its request, whose units come free when their leases end."""
        self._births += 1
        if self._inbox is not None:
            self._end(Outcome("done"), reason="node failed")

    def stop(self) -> None:
        """The demand is over."""
        self._over = True
        self._tell(Cancelled())

    def lose(self, what: str) -> None:
        """Somebody says that a node or an edge has failed."""
        self._tell(Lost(what))

    def reshare(self) -> None:
        """Units are shared out anew."""
        self._tell(Reshared())

    def _tell(self, event: Contents) -> None:
        if self._inbox is not None:
            self._inbox.put(self._own(event))

    def _own(self, content: Contents) -> Letter:
        return Letter(request=self._number, sender=self._demand.a, to=self._demand.a, content=content)

    def _live(self, birth: int) -> Process[None]:
        """Ask, again and again, until the demand is over."""
        while birth == self._births and not self._over:
            self._number = self._numbers()
            self._inbox = simpy.Store(self._env)
            self._journal.note(Asked(at_s=self._env.now, request=self._number, demand=self._name))
            self._layer.open(self._name)
            outcome = yield from self._converse(alice(self._terms(), self._plan), self._inbox, birth)
            if outcome is None:
                return
            self._end(outcome, reason=outcome.reason)
            if not self._over:
                yield self._env.timeout(PAUSE_S)

    def _terms(self) -> Terms:
        return Terms(
            number=self._number,
            alice=self._demand.a,
            bob=self._demand.b,
            cluster=self._cluster,
            timeout_s=self._backbone.timeout_s,
        )

    def _end(self, outcome: Outcome, *, reason: str) -> None:
        self._inbox = None
        self._layer.halt(self._name)
        self._layer.close(self._name)
        self._journal.note(
            RequestEnded(
                at_s=self._env.now,
                request=self._number,
                demand=self._name,
                reason=reason,
                runs=outcome.runs,
                losses=outcome.losses,
                detail=outcome.detail,
            )
        )

    def _converse(self, role: Dialogue[Outcome], inbox: simpy.Store, birth: int) -> Process[Outcome | None]:
        """Run the role; None if its node fails meanwhile."""
        heard: Message | None = None
        while True:
            try:
                said = role.send(heard)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            heard = None
            if said is None:
                heard = yield inbox.get()
                if birth != self._births:
                    role.close()
                    return None
            elif isinstance(said, Letter):
                self._send(said, inbox)

    def _send(self, letter: Letter, inbox: simpy.Store) -> None:
        match letter.content:
            case Alarm(number, delay_s):
                self._env.process(self._wake(number, delay_s, inbox))
            case Run(lanes, mdi):
                self._layer.run(self._name, letter.request, lanes, mdi)
                inbox.put(self._own(Noted()))
            case Halt():
                self._layer.halt(self._name)
                inbox.put(self._own(Noted()))
            case _:
                self._env.process(self._carry(letter, inbox))

    def _wake(self, number: int, delay_s: float, inbox: simpy.Store) -> Process[None]:
        yield self._env.timeout(delay_s)
        inbox.put(self._own(Woken(number)))

    def _carry(self, letter: Letter, inbox: simpy.Store) -> Process[None]:
        content = yield from self._post.ask(letter)
        inbox.put(Letter(request=letter.request, sender=letter.to, to=letter.sender, content=content))
