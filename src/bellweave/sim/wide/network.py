"""Everything that lives in one run: requests, lanes, key, key servers, hosts, tunnels, and the faults that befall them.

Between events kernels advance in bulk; what they delivered is harvested at fixed moments and whenever lanes change.
"""

import itertools
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import simpy

from bellweave.network.wide.agreement.answering import Desk
from bellweave.network.wide.agreement.messages import Lane
from bellweave.results.network_records import FaultChanged
from bellweave.results.wide_records import KeyMade, PairsClosed, WideEvent
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline
from bellweave.scenario.wide import Map, assembled, backbone_of, duration_s
from bellweave.sim.network.books import Books
from bellweave.sim.network.gateways import TunnelRun
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import NodeFailedError, Nodes, Presence, Process
from bellweave.sim.wide.control import Control
from bellweave.sim.wide.directories import directories
from bellweave.sim.wide.hosts import LEFT_KEYS, Hosts
from bellweave.sim.wide.keys import BYTE, Made
from bellweave.sim.wide.post import Post
from bellweave.sim.wide.quantum import Quantum
from bellweave.sim.wide.requests import Layer, Requests

HARVEST_S = 0.1
MOST_HARVESTS = 200
"""Pairs become key so often: every ``HARVEST_S``, and in a long run so many times."""

SAMPLE_HARVESTS = 5
"""Levels are noted with every so many harvests."""

GRACE_S = 1.0
GRACE_TRIPS = 30
"""Virtual time after the end in which exchanges that are under way end, as in a data centre."""


class Network:
    """A scenario's wide-area network in virtual time.

    Attributes:
        net: Its nodes and edges.
        desks: Who answers letters, by node.
        books: What its key servers hold.
    """

    def __init__(self, env: simpy.Environment, scenario: Scenario, journal: Journal[WideEvent]) -> None:
        self._env, self._scenario, self._journal = env, scenario, journal
        self.net, self._timeline = assembled(scenario), Timeline(scenario)
        backbone = backbone_of(scenario)
        self._nodes = Nodes(env, scenario, directories(scenario))
        self.books = Books(self._nodes, {name: (each.a, each.b) for name, each in scenario.demand.items()})
        self._quantum = Quantum(scenario, self.net, journal, self._deliver)
        self._control = Control(scenario, self.net)
        self.desks = {name: _desk(self.net, name) for name in self.net.topology.names}
        light = None if backbone.mode == "paper" else backbone.light_km_per_s
        self._post = Post(env, self.net, self.desks, light)
        layer = Layer(self._open, self._close, self._run, self._halt)
        numbers = itertools.count(1).__next__
        self._requests = {
            name: Requests(
                env,
                name,
                demand,
                self.net.masters[demand.a],
                backbone,
                (self._post, journal, layer, self._control.plan(name)),
                numbers,
            )
            for name, demand in scenario.demand.items()
        }
        self._demand_of = {frozenset((each.a, each.b)): name for name, each in scenario.demand.items()}
        local_s = scenario.data_network.local_latency_s
        self._tunnels = {
            name: TunnelRun(env, name, tunnel, self._nodes, journal, local_s, self._given)
            for name, tunnel in scenario.tunnel.items()
        }
        self._hosts = {name: self._hosts_of(name) for name in scenario.demand}
        self._resharing = self._over = False

    def live(self) -> Process[None]:
        """Run to the end; afterwards every request and every session has ended."""
        whole_s = duration_s(self._scenario)
        self._nodes.connect()
        # moments that are set now come before all others of the same time
        states = [state for state in self._timeline.states if state.at_s < whole_s]
        faults = [self._env.timeout(state.at_s) for state in states]
        end = self._env.timeout(whole_s)
        self._env.process(self._change(states, faults))
        self._env.process(self._harvest(whole_s))
        for name in self._scenario.demand:
            self._env.process(self._last(name, whole_s))
        yield self._env.timeout(0.0)
        self._start(self._tunnels)
        yield end
        self._over = True
        self._quantum.harvest(self._env.now)
        for name, requests in self._requests.items():
            self._quantum.stop(name, self._env.now, at_end=True)
            requests.stop()
        self._quantum.finish(self._env.now)
        for tunnel in self._tunnels.values():
            tunnel.finish()
        yield self._env.timeout(GRACE_S + GRACE_TRIPS * self._nodes.latency_s)
        for tunnel in self._tunnels.values():
            tunnel.end_session("end of run")

    def close(self) -> Iterable[WideEvent]:
        """Yield the books: every pair of every demand, and every bit at both ends.

        Raises:
            AssertionError: If they do not add up: a defect, not physics.
        """
        for name, books in self._quantum.books.items():
            if not books.balanced:
                raise AssertionError(f"pairs of {name} are missing: {books}")
            yield PairsClosed(at_s=self._env.now, demand=name, **vars(books))
        yield from self.books.close(self._env.now)

    # ------------------------------------------------------------------------------------------------------- requests

    def _last(self, name: str, whole_s: float) -> Process[None]:
        """Begin a demand at its start, and end it in time."""
        demand = self._scenario.demand[name]
        if demand.start_s >= whole_s:
            return
        if demand.start_s:
            yield self._env.timeout(demand.start_s)
        if self._nodes[demand.a].up:
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

    def _change(self, states: Sequence[State], moments: Sequence[simpy.Event]) -> Process[None]:
        """Note each fault's begin and end; stop what fails, and start it again when it returns."""
        active: tuple[str, ...] = ()
        down: frozenset[str] = frozenset()
        failed: frozenset[str] = frozenset()
        for state, moment in zip(states, moments, strict=True):
            yield moment
            for name in [*active, *state.active]:
                if (name in active) != (name in state.active):
                    self._journal.note(FaultChanged(at_s=self._env.now, fault=name, active=name in state.active))
            now_failed = state.down | state.cut
            self._post.down = state.down
            for name in sorted(state.down - down):
                self._fail(name)
            if now_failed != failed:
                self._control.change(failed=now_failed)
                self._reshare()
            for name in sorted(now_failed - failed):
                self._lose(name)
            for name in sorted(down - state.down):
                if name in self._scenario.slave:
                    self._env.process(self._return(name))
            active, down, failed = state.active, state.down, now_failed

    def _fail(self, name: str) -> None:
        """A node fails: its memories, the books that it keeps, its KME, its requests."""
        self.desks[name].forget()
        if name not in self._scenario.slave:
            return
        self._nodes[name].fail()
        for peer in self._nodes[name].kme.directory.peers:
            self._nodes[peer].kme.lost(name)
        for tunnel in self._tunnels_at(name):
            self._tunnels[tunnel].stop("failed")
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
        yield self._env.timeout(self._post.latency_s(self._scenario.demand[demand].a, node))
        self._requests[demand].lose(name)

    def _return(self, name: str) -> Process[None]:
        """Start a slave's KME again; when it is in step with its peers its tunnels and requests start."""
        self._nodes[name].restart()
        present = self._nodes.presence((name,))
        greetings = [self._env.process(self._nodes.greet(name, peer)) for peer in self._nodes.peers_up(name)]
        yield simpy.AllOf(self._env, greetings)
        if self._nodes.presence((name,)) != present:
            return
        self._start(self._tunnels_at(name))
        for demand, requests in self._requests.items():
            ends = self._scenario.demand[demand]
            late = ends.until_s is not None and ends.until_s <= self._env.now
            if ends.a == name and ends.start_s < self._env.now and not late:
                requests.start()

    def _tunnels_at(self, node: str) -> list[str]:
        return [name for name, tunnel in self._scenario.tunnel.items() if node in {tunnel.client, tunnel.server}]

    def _start(self, names: Iterable[str]) -> None:
        """Start tunnels whose two nodes are up."""
        for name in names:
            tunnel = self._scenario.tunnel[name]
            if self._nodes.presence((tunnel.client, tunnel.server)) is not None:
                self._tunnels[name].start()

    # ------------------------------------------------------------------------------------------------------------ key

    def _harvest(self, whole_s: float) -> Process[None]:
        """Turn pairs into key at fixed moments."""
        every_s = max(HARVEST_S, whole_s / MOST_HARVESTS)
        for number in range(1, round(whole_s / every_s)):
            yield self._env.timeout(number * every_s - self._env.now)
            self._quantum.harvest(self._env.now)
            if number % SAMPLE_HARVESTS == 0:
                for name in self._scenario.demand:
                    self._journal.note(self.books.sample(name, self._env.now))
            if any(each.derived_bits is not None for each in self._scenario.demand.values()):
                yield from self._derive()

    def _derive(self) -> Process[None]:
        """Let the KMEs that stretch key do so."""
        for name in self._scenario.slave:
            node = self._nodes[name]
            if node.up and node.kme.directory.expansions:
                with suppress(NodeFailedError):
                    yield from self._nodes.perform(name, node.kme.tick(self._env.now))
        for name, demand in self._scenario.demand.items():
            if demand.derived_bits is not None:
                self._env.process(self._hosts[name].fetch())

    def _deliver(self, demand: str, made: Made) -> None:
        """Note a block when both ends have it: after as long as its messages take."""
        ends = self._scenario.demand[demand]
        way_s = made.trips * self._post.latency_s(ends.a, ends.b)
        if way_s == 0.0:
            self._note(demand, made)
        else:
            self._env.process(self._note_later(demand, made, way_s, self._nodes.presence((ends.a, ends.b))))

    def _note_later(self, demand: str, made: Made, delay_s: float, present: Presence | None) -> Process[None]:
        """Note a block later; a node that fails meanwhile has lost it."""
        ends = self._scenario.demand[demand]
        yield self._env.timeout(delay_s)
        if present is None or self._nodes.presence((ends.a, ends.b)) != present:
            made = replace(made, alice=None, bob=None, rejection="node failed")
        self._note(demand, made)

    def _note(self, demand: str, made: Made) -> None:
        self._journal.note(
            KeyMade(
                at_s=self._env.now,
                demand=demand,
                method=made.method,
                pairs=made.pairs,
                sifted_bits=made.sifted_bits,
                final_bits=made.alice.bit_count if made.alice else 0,
                provable_bits=made.alice.provable_bits if made.alice else 0,
                ingested_bits=self._hand(demand, made),
                qber=made.qber,
                chsh=made.chsh,
                rejection=made.rejection,
            )
        )

    def _hand(self, demand: str, made: Made) -> int:
        """Bring a block to both KMEs, and let hosts fetch what comes of it; return how many bits they took."""
        if made.alice is None or made.bob is None or made.alice.bit_count < BYTE:
            return 0
        ends = self._scenario.demand[demand]
        if self._nodes.presence((ends.a, ends.b)) is None:
            return 0
        for name, peer, block in ((ends.a, ends.b, made.alice), (ends.b, ends.a, made.bob)):
            self._nodes.ingest(name, block, peer)
        self._env.process(self._settle(demand))
        bits = made.alice.bit_count // BYTE * BYTE
        self.books.ingested(demand, bits)
        return bits

    def _settle(self, demand: str) -> Process[None]:
        ends = self._scenario.demand[demand]
        yield from self._nodes.tend(ends.a, ends.b)
        yield from self._hosts[demand].fetch()

    def _hosts_of(self, name: str) -> Hosts:
        ends, slaves = self._scenario.demand[name], self._scenario.slave
        shared = any({each.client, each.server} == {ends.a, ends.b} for each in self._scenario.tunnel.values())
        return Hosts(
            self._env,
            name,
            (ends.a, ends.b),
            (slaves[ends.a].hosts, slaves[ends.b].hosts),
            self._nodes,
            self._journal,
            left_keys=LEFT_KEYS if shared else 0,
            hand_overs=(slaves[ends.a].hand_over, slaves[ends.b].hand_over),
        )

    def _given(self, tunnel: str, node: str, bits: int) -> None:
        """A key was delivered to a tunnel's gateway."""
        ends = self._scenario.tunnel[tunnel]
        demand = self._demand_of[frozenset((ends.client, ends.server))]
        self.books.given(demand, node, bits)


def _desk(net: Map, name: str) -> Desk:
    """Return a node's desk: it keeps the books of the edges on which its number is the smaller one."""
    own = net.nodes[name]
    units = {
        edge: int(net.topology.units[number])
        for edge, number in net.edges.items()
        if int(net.topology.ends[number, 0]) == own
    }
    return Desk(net.masters.get(name), units)
