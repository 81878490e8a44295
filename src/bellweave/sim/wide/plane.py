"""The quantum and the control plane of a wide-area network: desks, requests, lanes, kernels, and what befalls them.

Key servers, hosts and tunnels are around it: simulated ones, or real ones.

Between events kernels advance in bulk; what they delivered is harvested at fixed moments and whenever lanes change.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import simpy

from bellweave.network.wide.agreement.answering import Desk
from bellweave.network.wide.agreement.messages import Lane
from bellweave.results.network_records import FaultChanged
from bellweave.results.wide_records import PairsClosed, WideEvent
from bellweave.roles.randomness import Randomness, Seeded
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline
from bellweave.scenario.wide import Map, assembled, backbone_of
from bellweave.sim.network.journal import Notes
from bellweave.sim.network.nodes import Process
from bellweave.sim.wide.control import Control
from bellweave.sim.wide.post import Post
from bellweave.sim.wide.quantum import Quantum, Takes
from bellweave.sim.wide.requests import Layer, Requests

HARVEST_S = 0.1
MOST_HARVESTS = 200
"""Pairs become key so often: every ``HARVEST_S``, and in a long run so many times."""


def harvest_every_s(whole_s: float) -> float:
    """Return how often pairs become key in a run of this length."""
    return max(HARVEST_S, whole_s / MOST_HARVESTS)


class Around(Takes, Protocol):
    """What a plane is part of."""

    def up(self, slave: str) -> bool:
        """Return whether a slave can ask for key."""
        ...

    def failed(self, slave: str) -> None:
        """Hear that a slave has failed, before its requests end."""
        ...

    def returned(self, slave: str) -> None:
        """Hear that nothing keeps a slave down any more; :meth:`Plane.resume` when it is ready."""
        ...

    def harvested(self, number: int) -> Process[None]:
        """Do what is to be done after each harvest."""
        ...


class Plane:
    """The plane of a scenario.

    Args:
        env: Its time.
        scenario: With clusters.
        journal: Takes its events.
        around: What it is part of.
        randomness: What measurements in ``physical`` mode are drawn from; None: from the scenario's seed.

    Attributes:
        net: Its nodes and edges.
        desks: Who answers letters, by node.
        post: Carries them.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        journal: Notes[WideEvent],
        around: Around,
        randomness: Randomness | None = None,
    ) -> None:
        self._env, self._scenario, self._journal, self._around = env, scenario, journal, around
        self.net, self._timeline = assembled(scenario), Timeline(scenario)
        backbone = backbone_of(scenario)
        self._quantum = Quantum(scenario, self.net, journal, around, randomness or Seeded(scenario.run.seed))
        self._control = Control(scenario, self.net)
        self.desks = {name: _desk(self.net, name) for name in self.net.topology.names}
        light = None if backbone.mode == "paper" else backbone.light_km_per_s
        self.post = Post(env, self.net, self.desks, light)
        layer = Layer(self._open, self._close, self._run, self._halt)
        numbers = itertools.count(1).__next__
        self._requests = {
            name: Requests(
                env,
                name,
                demand,
                self.net.masters[demand.a],
                backbone,
                (self.post, journal, layer, self._control.plan(name)),
                numbers,
            )
            for name, demand in scenario.demand.items()
        }
        self._resharing = self._over = False
        self._state = self._timeline.states[0]
        self._down: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()
        self._active: tuple[str, ...] = ()
        self._forced_down: frozenset[str] = frozenset()
        self._forced_cut: frozenset[str] = frozenset()

    def begin(self, whole_s: float, every_s: float) -> simpy.Event:
        """Set everything going now, at 0 s, and return the end of the run, after which :meth:`end` is to be called."""
        # moments that are set now come before all others of the same time
        states = [state for state in self._timeline.states if state.at_s < whole_s]
        faults = [self._env.timeout(state.at_s) for state in states]
        end = self._env.timeout(whole_s)
        self._env.process(self._pass(states, faults))
        self._env.process(self._harvest(whole_s, every_s))
        for name in self._scenario.demand:
            self._env.process(self._last(name, whole_s))
        return end

    def end(self) -> None:
        """Let everything end now; exchanges that are under way take a moment more."""
        self._over = True
        self._quantum.harvest(self._env.now)
        for name, requests in self._requests.items():
            self._quantum.stop(name, self._env.now, at_end=True)
            requests.stop()
        self._quantum.finish(self._env.now)

    def force(self, down: frozenset[str], cut: frozenset[str]) -> None:
        """Keep these nodes down, and these edges cut, from now on, whatever the scenario's faults do."""
        self._forced_down, self._forced_cut = down, cut
        self._change()

    def resume(self, slave: str) -> None:
        """A slave is back: it asks for key again."""
        for demand, requests in self._requests.items():
            ends = self._scenario.demand[demand]
            late = ends.until_s is not None and ends.until_s <= self._env.now
            if ends.a == slave and ends.start_s < self._env.now and not late:
                requests.start()

    def close(self) -> Iterator[PairsClosed]:
        """Yield the books: every pair of every demand.

        Raises:
            AssertionError: If they do not add up: a defect, not physics.
        """
        for name, books in self._quantum.books.items():
            if not books.balanced:
                raise AssertionError(f"pairs of {name} are missing: {books}")
            yield PairsClosed(at_s=self._env.now, demand=name, **vars(books))

    # ------------------------------------------------------------------------------------------------------- requests

    def _last(self, name: str, whole_s: float) -> Process[None]:
        """Begin a demand at its start, and end it in time."""
        demand = self._scenario.demand[name]
        if demand.start_s >= whole_s:
            return
        if demand.start_s:
            yield self._env.timeout(demand.start_s)
        if self._around.up(demand.a):
            self._requests[name].start()
        if demand.until_s is not None and demand.until_s < whole_s:
            yield self._env.timeout(demand.until_s - demand.start_s)
            self._requests[name].stop()

    def _open(self, name: str) -> None:
        self._control.change(opened=[name])
        self._reshare()

    def _close(self, name: str) -> None:
        self._control.change(closed=[name])
        self._reshare()

    def _reshare(self) -> None:
        """Share units out anew, once all that happens at this moment has happened."""
        if not self._resharing and not self._over:
            self._resharing = True
            self._env.process(self._tell_shares())

    def _tell_shares(self) -> Process[None]:
        yield self._env.timeout(0.0)
        self._resharing = False
        for name in self._control.changed():
            if self._quantum.runs(name):
                self._requests[name].reshare()

    def _run(self, name: str, request: int, lanes: tuple[Lane, ...], mdi: bool) -> None:
        self._quantum.start(name, request, lanes, mdi=mdi, now_s=self._env.now)

    def _halt(self, name: str) -> None:
        self._quantum.stop(name, self._env.now)

    # --------------------------------------------------------------------------------------------------------- faults

    def _pass(self, states: Sequence[State], moments: Sequence[simpy.Event]) -> Process[None]:
        """Pass from state to state."""
        for state, moment in zip(states, moments, strict=True):
            yield moment
            self._state = state
            self._change()

    def _change(self) -> None:
        """Note each fault's begin and end; stop what fails, and start it again when it returns."""
        active = self._state.active
        down, cut = self._state.down | self._forced_down, self._state.cut | self._forced_cut
        for name in [*self._active, *active]:
            if (name in self._active) != (name in active):
                self._journal.note(FaultChanged(at_s=self._env.now, fault=name, active=name in active))
        failed = down | cut
        self.post.down = down
        for name in sorted(down - self._down):
            self._fail(name)
        if failed != self._failed:
            self._control.change(failed=failed)
            self._reshare()
        for name in sorted(failed - self._failed):
            self._lose(name)
        returned = self._down - down
        self._active, self._down, self._failed = active, down, failed
        for name in sorted(returned):
            if name in self._scenario.slave:
                self._around.returned(name)

    def _fail(self, name: str) -> None:
        """A node fails: its memories, the books that it keeps, its requests."""
        self.desks[name].forget()
        if name not in self._scenario.slave:
            return
        self._around.failed(name)
        for demand, requests in self._requests.items():
            if self._scenario.demand[demand].a == name:
                for desk in self.desks.values():  # all hear that the slave is gone; else leases would tell
                    desk.drop(requests.number)
                requests.fail()

    def _lose(self, name: str) -> None:
        """Lanes with a failed part hold nothing any more; whoever uses them hears of it when the word has arrived."""
        for demand in self._quantum.lose(name, self._env.now):
            self._env.process(self._tell(demand, name))

    def _tell(self, demand: str, name: str) -> Process[None]:
        node = name if name in self.net.nodes else self._scenario.hop[name].a
        yield self._env.timeout(self.post.latency_s(self._scenario.demand[demand].a, node))
        self._requests[demand].lose(name)

    # ------------------------------------------------------------------------------------------------------------ key

    def _harvest(self, whole_s: float, every_s: float) -> Process[None]:
        """Turn pairs into key at fixed moments."""
        for number in range(1, round(whole_s / every_s)):
            yield self._env.timeout(number * every_s - self._env.now)
            self._quantum.harvest(self._env.now)
            yield from self._around.harvested(number)


def _desk(net: Map, name: str) -> Desk:
    """Return a node's desk: it keeps the books of the edges on which its number is the smaller one."""
    own = net.nodes[name]
    units = {
        edge: int(net.topology.units[number])
        for edge, number in net.edges.items()
        if int(net.topology.ends[number, 0]) == own
    }
    return Desk(net.masters.get(name), units)
