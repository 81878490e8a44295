"""The quantum layer: every request's lanes, what they deliver, and the key that comes of it."""

from collections.abc import Callable
from dataclasses import dataclass

from bellweave.network.wide.agreement.messages import Lane
from bellweave.results.wide_records import KeyMade, LanesEnded, LanesSet, WideEvent
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map, backbone_of
from bellweave.sim.network.journal import Journal
from bellweave.sim.wide.clusters import Cluster, LocalKey
from bellweave.sim.wide.keys import Made, PaperKeys
from bellweave.sim.wide.lanes import PairBooks, Paths

Hand = Callable[[str, Made], int]
"""Brings a demand's block to the KMEs of its two slaves; returns how many bits they took."""


@dataclass
class _Running:
    """Lanes of a request that run; ``paths`` is None within a cluster."""

    request: int
    parts: frozenset[str]
    paths: Paths | None
    master: str
    since_s: float


class Quantum:
    """All lanes of a run, in ``paper`` mode."""

    def __init__(self, scenario: Scenario, net: Map, journal: Journal[WideEvent], hand: Hand) -> None:
        self._scenario, self._net, self._journal, self._hand = scenario, net, journal, hand
        self._backbone, self._seed = backbone_of(scenario), scenario.run.seed
        self._running: dict[str, _Running] = {}
        self._births = dict.fromkeys(scenario.demand, 0)
        self._clusters = {name: Cluster(name, each, self._seed) for name, each in scenario.master.items()}
        self._keys = {name: PaperKeys(name, each, self._seed) for name, each in scenario.demand.items()}
        self.books = {name: PairBooks() for name in scenario.demand}
        """What became of the pairs of lanes that have ended, by demand."""

    def runs(self, demand: str) -> bool:
        """Return whether a demand has lanes that run."""
        return demand in self._running

    def start(self, demand: str, request: int, lanes: tuple[Lane, ...], *, mdi: bool, now_s: float) -> None:
        """Let lanes run; ``mdi``: within a cluster, which also takes turns at the master's measurement."""
        self._births[demand] += 1
        births, ends = self._births[demand], self._scenario.demand[demand]
        master = self._net.masters[ends.a] if mdi else ""
        paths = None
        if mdi:
            self._clusters[master].start(
                demand, (ends.a, ends.b), sum(min(each.units) for each in lanes), births, now_s
            )
        else:
            paths = Paths(self._net, self._backbone, lanes, (self._seed, "demand", demand, "run", births), now_s)
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
        if running.paths is None:
            self._local(demand, running, self._clusters[running.master].stop(demand, now_s), now_s)
        else:
            self._far(demand, running, now_s)
            self.books[demand] += running.paths.books if at_end else running.paths.closed()
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
            if running.paths is None:
                self._local(demand, running, self._clusters[running.master].take(demand, now_s), now_s)
            else:
                self._far(demand, running, now_s)

    def _far(self, demand: str, running: _Running, now_s: float) -> None:
        assert running.paths is not None, "between clusters"  # noqa: S101 -- the caller has looked
        pairs = running.paths.advance(now_s)
        self._make(demand, "backbone", pairs.count, running, now_s)

    def _local(self, demand: str, running: _Running, made: LocalKey, now_s: float) -> None:
        """Every key bit of Ekert91 is a pair that was measured; MDI-QKD has none."""
        self.books[demand] += PairBooks(created=made.ekert_bits, measured=made.ekert_bits, attempts=made.attempts)
        self._make(demand, "ekert91", made.ekert_bits, running, now_s)
        self._make(demand, "mdi", made.mdi_bits, running, now_s)

    def _make(self, demand: str, method: str, bits: int, running: _Running, now_s: float) -> None:
        made = self._keys[demand].add(method, bits, running.since_s, now_s)
        if made is None:
            return
        final = made.alice.bit_count if made.alice else 0
        self._journal.note(
            KeyMade(
                at_s=now_s,
                demand=demand,
                method=made.method,
                pairs=made.pairs,
                sifted_bits=made.sifted_bits,
                final_bits=final,
                provable_bits=made.alice.provable_bits if made.alice else 0,
                ingested_bits=self._hand(demand, made),
                qber=made.qber,
                chsh=made.chsh,
                rejection=made.rejection,
            )
        )
