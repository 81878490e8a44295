"""The quantum layer: every request's lanes, what they deliver, and the key that comes of it.

In ``physical`` mode it delivers what slaves measured; key of it is made elsewhere, for two slaves have to talk.
"""

from dataclasses import dataclass
from typing import Protocol

from bellweave.network.wide.agreement.messages import Lane
from bellweave.results.wide_records import LanesEnded, LanesSet, WideEvent
from bellweave.roles.randomness import Randomness
from bellweave.roles.slave import Method
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map, backbone_of
from bellweave.sim.cluster import Sampled
from bellweave.sim.network.journal import Notes
from bellweave.sim.wide.clusters import Cluster, LocalKey
from bellweave.sim.wide.keys import Made, PaperKeys
from bellweave.sim.wide.lanes import PairBooks, Paths
from bellweave.sim.wide.physical import PhysicalKeys
from bellweave.sim.wide.physical_clusters import PhysicalCluster


class Takes(Protocol):
    """Who takes what the layer delivers."""

    def deliver(self, demand: str, made: Made) -> None:
        """Take a demand's block, for both ends: in ``paper`` mode."""
        ...

    def measured(self, demand: str, method: Method, block: Sampled) -> None:
        """Take what both slaves measured of a block, of which they have to make key: in ``physical`` mode."""
        ...

    def kept_bits(self, demand: str) -> int:
        """Return how much key the slaves have made of all that they measured until now."""
        ...


@dataclass
class _Running:
    """Lanes of a request that run; ``paths`` is None within a cluster."""

    request: int
    parts: frozenset[str]
    paths: Paths | None
    master: str
    since_s: float


class Quantum:
    """All lanes of a run.

    Attributes:
        books: What became of the pairs of lanes that have ended, by demand.
    """

    def __init__(
        self, scenario: Scenario, net: Map, journal: Notes[WideEvent], takes: Takes, randomness: Randomness
    ) -> None:
        self._scenario, self._net, self._journal, self._takes = scenario, net, journal, takes
        self._backbone, self._seed, self._randomness = backbone_of(scenario), scenario.run.seed, randomness
        self._physical = self._backbone.mode == "physical"
        self._running: dict[str, _Running] = {}
        self._births = dict.fromkeys(scenario.demand, 0)
        self._clusters = {name: Cluster(name, each, self._seed) for name, each in scenario.master.items()}
        self._optical = {name: PhysicalCluster(scenario, self._lacks, randomness) for name in scenario.master}
        self._bits = {name: PaperKeys(name, each, self._seed) for name, each in scenario.demand.items()}
        self._pairs = {name: self._physical_keys(name) for name in scenario.demand}
        self.books = {name: PairBooks() for name in scenario.demand}

    def runs(self, demand: str) -> bool:
        """Return whether a demand has lanes that run."""
        return demand in self._running

    def start(self, demand: str, request: int, lanes: tuple[Lane, ...], *, mdi: bool, now_s: float) -> None:
        """Let lanes run; ``mdi``: within a cluster, which also takes turns at the master's measurement."""
        self._births[demand] += 1
        births, ends = self._births[demand], self._scenario.demand[demand]
        master = self._net.masters[ends.a] if mdi else ""
        paths = None
        if not mdi:
            paths = Paths(self._net, self._backbone, lanes, (self._seed, "demand", demand, "run", births), now_s)
        elif self._physical:
            self._optical[master].start(demand, now_s)
        else:
            units = sum(min(each.units) for each in lanes)
            self._clusters[master].start(demand, (ends.a, ends.b), units, births, now_s)
        parts = frozenset(part for lane in lanes for part in (*lane.nodes, *lane.edges))
        self._running[demand] = _Running(request, parts, paths, master, now_s)
        self._journal.note(
            LanesSet(
                at_s=now_s,
                request=request,
                demand=demand,
                same_cluster=mdi,
                nodes=tuple(lane.nodes for lane in lanes),
                units=tuple(lane.units for lane in lanes),
                run=births,
            )
        )

    def stop(self, demand: str, now_s: float, lost: str = "", *, at_end: bool = False) -> None:
        """End a demand's lanes, if any run: what they have delivered becomes key.

        What they hold is gone; ``at_end``: it is still held, the run ends.
        """
        running = self._running.get(demand)
        if running is None:
            return
        if running.paths is not None:
            self._far(demand, running, running.paths, now_s)
            self.books[demand] += running.paths.books if at_end else running.paths.closed()
        elif self._physical:
            self._optical[running.master].stop(demand)
        else:
            self._local(demand, running, self._clusters[running.master].stop(demand, now_s), now_s)
        del self._running[demand]
        self._journal.note(LanesEnded(at_s=now_s, request=running.request, demand=demand, lost=lost))

    def lose(self, what: str, now_s: float) -> list[str]:
        """End all lanes with a part that has failed; return their demands."""
        hit = [demand for demand, running in self._running.items() if what in running.parts]
        for demand in hit:
            self.stop(demand, now_s, lost=what)
        return hit

    def harvest(self, now_s: float) -> None:
        """Advance everything to now, and make key of what came."""
        for demand, running in self._running.items():
            if running.paths is not None:
                self._far(demand, running, running.paths, now_s)
            elif not self._physical:
                self._local(demand, running, self._clusters[running.master].take(demand, now_s), now_s)
        for cluster in self._optical.values() if self._physical else ():
            for demand, method, block in cluster.advance(now_s):
                if method == "ekert91":  # MDI-QKD has no pairs
                    self.books[demand] += PairBooks(created=len(block), measured=len(block))
                self._takes.measured(demand, method, block)

    def _lacks(self, demand: str, now_s: float) -> bool:
        """Return whether a demand asks for more than it got, in a cluster in ``physical`` mode."""
        own = self._scenario.demand[demand]
        return own.bits_per_s is None or self._takes.kept_bits(demand) < own.bits_per_s * (now_s - own.start_s)

    def finish(self, now_s: float) -> None:
        """Deliver what is left at the end of the run."""
        for demand, keys in self._pairs.items():
            for block in keys.finish(now_s):
                self._takes.measured(demand, "backbone", block)

    def _far(self, demand: str, running: _Running, paths: Paths, now_s: float) -> None:
        pairs = paths.advance(now_s)
        if self._physical:
            for block in self._pairs[demand].add(pairs.correlation, running.since_s, now_s):
                self._takes.measured(demand, "backbone", block)
        else:
            self._paper(demand, "backbone", pairs.count, running, now_s)

    def _local(self, demand: str, running: _Running, made: LocalKey, now_s: float) -> None:
        """Every key bit of Ekert91 is a pair that was measured; MDI-QKD has none."""
        self.books[demand] += PairBooks(created=made.ekert_bits, measured=made.ekert_bits, attempts=made.attempts)
        self._paper(demand, "ekert91", made.ekert_bits, running, now_s)
        self._paper(demand, "mdi", made.mdi_bits, running, now_s)

    def _paper(self, demand: str, method: str, bits: int, running: _Running, now_s: float) -> None:
        made = self._bits[demand].add(method, bits, running.since_s, now_s)
        if made is not None:
            self._takes.deliver(demand, made)

    def _physical_keys(self, demand: str) -> PhysicalKeys:
        scenario = self._scenario
        master = scenario.master[self._net.masters[scenario.demand[demand].a]]
        return PhysicalKeys(demand, master.ekert, self._randomness, self._backbone.block_pairs)
