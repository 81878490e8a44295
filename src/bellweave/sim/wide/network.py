"""Everything that lives in one run: the plane of requests and lanes, and around it key servers, hosts and tunnels."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import simpy

from bellweave.results.wide_records import KeyMade, WideEvent
from bellweave.roles.slave import Method
from bellweave.roles.source import Presence
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import duration_s
from bellweave.scenario.wide_directory import directories
from bellweave.sim.cluster import Sampled
from bellweave.sim.network.books import Books
from bellweave.sim.network.gateways import TunnelRun
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import NodeFailedError, Nodes, Process
from bellweave.sim.wide.hosts import LEFT_KEYS, Hosts
from bellweave.sim.wide.keys import BYTE, Made
from bellweave.sim.wide.physical import made_of
from bellweave.sim.wide.plane import Plane, harvest_every_s

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
        self._nodes = Nodes(env, scenario, directories(scenario))
        self.books = Books(self._nodes, {name: (each.a, each.b) for name, each in scenario.demand.items()})
        self._plane = Plane(env, scenario, journal, self)
        self.net, self.desks = self._plane.net, self._plane.desks
        self._demand_of = {frozenset((each.a, each.b)): name for name, each in scenario.demand.items()}
        self._kept_bits = dict.fromkeys(scenario.demand, 0)
        local_s = scenario.data_network.local_latency_s
        self._tunnels = {
            name: TunnelRun(env, name, tunnel, self._nodes, journal, local_s, self._given)
            for name, tunnel in scenario.tunnel.items()
        }
        self._hosts = {name: self._hosts_of(name) for name in scenario.demand}

    def up(self, slave: str) -> bool:
        """Return whether a slave is up."""
        return self._nodes[slave].up

    def live(self) -> Process[None]:
        """Run to the end; afterwards every request and every session has ended."""
        whole_s = duration_s(self._scenario)
        self._nodes.connect()
        end = self._plane.begin(whole_s, harvest_every_s(whole_s))
        yield self._env.timeout(0.0)
        self._start(self._tunnels)
        yield end
        self._plane.end()
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
        yield from self._plane.close()
        yield from self.books.close(self._env.now)

    # --------------------------------------------------------------------------------------------------------- faults

    def failed(self, slave: str) -> None:
        """A slave fails: its KME and its tunnels' ends."""
        self._nodes[slave].fail()
        for peer in self._nodes[slave].kme.directory.peers:
            self._nodes[peer].kme.lost(slave)
        for tunnel in self._tunnels_at(slave):
            self._tunnels[tunnel].stop("failed")

    def returned(self, slave: str) -> None:
        """Nothing keeps a slave down any more."""
        self._env.process(self._return(slave))

    def _return(self, name: str) -> Process[None]:
        """Start a slave's KME again; when it is in step with its peers its tunnels and requests start."""
        self._nodes[name].restart()
        present = self._nodes.presence((name,))
        greetings = [self._env.process(self._nodes.greet(name, peer)) for peer in self._nodes.peers_up(name)]
        yield simpy.AllOf(self._env, greetings)
        if self._nodes.presence((name,)) != present:
            return
        self._start(self._tunnels_at(name))
        self._plane.resume(name)

    def _tunnels_at(self, node: str) -> list[str]:
        return [name for name, tunnel in self._scenario.tunnel.items() if node in {tunnel.client, tunnel.server}]

    def _start(self, names: Iterable[str]) -> None:
        """Start tunnels whose two nodes are up."""
        for name in names:
            tunnel = self._scenario.tunnel[name]
            if self._nodes.presence((tunnel.client, tunnel.server)) is not None:
                self._tunnels[name].start()

    # ------------------------------------------------------------------------------------------------------------ key

    def harvested(self, number: int) -> Process[None]:
        """Look at stocks, and let key be stretched."""
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

    def measured(self, demand: str, method: Method, block: Sampled) -> None:
        """Let both slaves distil a block."""
        made = made_of(block, method, self._scenario.distill, self._scenario.run.seed)
        self._kept_bits[demand] += made.alice.bit_count if made.alice else 0
        self.deliver(demand, made)

    def kept_bits(self, demand: str) -> int:
        """Return how much key a demand's slaves have made."""
        return self._kept_bits[demand]

    def deliver(self, demand: str, made: Made) -> None:
        """Note a block when both ends have it: after as long as its messages take."""
        ends = self._scenario.demand[demand]
        way_s = made.trips * self._plane.post.latency_s(ends.a, ends.b)
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
