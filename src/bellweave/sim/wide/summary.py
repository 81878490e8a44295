"""What a wide-area run amounts to: from its events to the numbers of ``report.json``. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bellweave.network.fairness import jain
from bellweave.results.network_records import LevelSampled
from bellweave.results.wide_records import (
    Asked,
    Fetched,
    KeyMade,
    LanesEnded,
    LanesSet,
    PairsClosed,
    RequestEnded,
    WideEvent,
)
from bellweave.sim.network.tunnel_summary import TunnelSummary, summarise_each
from bellweave.sim.wide.run import WideRun


@dataclass(kw_only=True)
class DemandSummary:
    """One demand.

    Attributes:
        demand, a, b: Its name and its slaves.
        kind: ``cluster`` or ``backbone``; ``-`` if no lanes were ever set up.
        path: The nodes of its first lane; empty if there was none.
        wanted_s: How long it lasted.
        served_s: How long lanes ran.
        first_key_s: When its first key was at both ends; None: never.
        requests, runs, losses: Requests, lanes set up, lanes lost.
        reasons: How its requests ended.
        pairs: Measured end to end (by MDI-QKD: rounds announced).
        key_bits: Method to bits at both ends.
        provable_bits: Of these, proven.
        sifted_bits: Of equal settings.
        blocks, rejected: That gave key, and that did not.
        qber, chsh: Means over blocks of Ekert91, by sifted bits; None where nothing was estimated.
        keys, fetched_bits: That hosts got.
        level_bits: In stock at the last look.
        books: Of its pairs.
    """

    demand: str
    a: str
    b: str
    kind: str = "-"
    path: tuple[str, ...] = ()
    wanted_s: float
    served_s: float = 0.0
    first_key_s: float | None = None
    requests: int = 0
    runs: int = 0
    losses: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    key_bits: Counter[str] = field(default_factory=Counter)
    provable_bits: int = 0
    sifted_bits: int = 0
    blocks: int = 0
    rejected: int = 0
    qber: float | None = None
    chsh: float | None = None
    keys: int = 0
    fetched_bits: int = 0
    level_bits: int = 0
    books: PairsClosed | None = None

    @property
    def bits(self) -> int:
        """Key, by all methods."""
        return sum(self.key_bits.values())

    @property
    def bits_per_s(self) -> float:
        """Key over the time that the demand lasted."""
        return self.bits / self.wanted_s if self.wanted_s else 0.0

    @property
    def pairs_per_s(self) -> float:
        """End-to-end pairs over the time in which lanes ran."""
        return self.pairs / self.served_s if self.served_s else 0.0


@dataclass(frozen=True, kw_only=True)
class WideSummary:
    """A whole run.

    Attributes:
        duration_s: Virtual time in which demands were served.
        demands, tunnels: By name, in the scenario's order.
        pairs: Counts over all demands: created, swapped, measured, expired, purified, held, attempts.
        fairness: Jain's index over the demands' key rates by weight, those between clusters.
    """

    duration_s: float
    demands: Mapping[str, DemandSummary]
    tunnels: Mapping[str, TunnelSummary]
    pairs: Mapping[str, int]
    fairness: float


def summarise(run: WideRun) -> WideSummary:
    """Return what a run amounts to; of a run that was read from its directory just the same."""
    demands = {}
    for name, demand in run.scenario.demand.items():
        until_s = run.duration_s if demand.until_s is None else min(demand.until_s, run.duration_s)
        wanted_s = max(0.0, until_s - demand.start_s)
        demands[name] = DemandSummary(demand=name, a=demand.a, b=demand.b, wanted_s=wanted_s)
    tallies = {name: _Tally(each) for name, each in demands.items()}
    for event in run.events:
        if isinstance(event, LevelSampled):
            demands[event.link].level_bits = event.level_bits
        elif isinstance(event, Asked | LanesSet | LanesEnded | RequestEnded | KeyMade | Fetched | PairsClosed):
            tallies[event.demand].take(event)
    pairs: Counter[str] = Counter()
    for each in demands.values():
        if each.books is not None:
            for what in ("created", "swapped", "measured", "expired", "purified", "held", "attempts"):
                pairs[what] += getattr(each.books, what)
    far = [name for name, each in demands.items() if each.kind == "backbone"]
    return WideSummary(
        duration_s=run.duration_s,
        demands=demands,
        tunnels=summarise_each(run.scenario.tunnel, run.events, run.duration_s),
        pairs=pairs,
        fairness=jain(demands[name].bits_per_s / run.scenario.demand[name].weight for name in far),
    )


class _Tally:
    """Adds up one demand's events, in their order."""

    def __init__(self, summary: DemandSummary) -> None:
        self._summary = summary
        self._since_s: float | None = None
        self._errors = self._correlations = 0.0
        self._estimated = 0

    def take(self, event: WideEvent) -> None:
        """Take note of an event."""
        own = self._summary
        match event:
            case Asked():
                own.requests += 1
            case LanesSet():
                own.runs += 1
                own.kind = "cluster" if event.same_cluster else "backbone"
                own.path = own.path or event.nodes[0]
                self._since_s = event.at_s
            case LanesEnded():
                if self._since_s is not None:
                    own.served_s += event.at_s - self._since_s
                self._since_s = None
                own.losses += bool(event.lost)
            case RequestEnded():
                own.reasons[event.reason] += 1
            case KeyMade():
                self._made(event)
            case Fetched():
                own.keys += event.keys
                own.fetched_bits += event.bits
            case PairsClosed():
                own.books = event

    def _made(self, event: KeyMade) -> None:
        own = self._summary
        own.pairs += event.pairs
        own.key_bits[event.method] += event.final_bits
        own.provable_bits += event.provable_bits
        own.sifted_bits += event.sifted_bits
        own.blocks += event.rejection is None
        own.rejected += event.rejection is not None
        if event.ingested_bits and own.first_key_s is None:
            own.first_key_s = event.at_s
        if event.qber is not None and event.chsh is not None and event.sifted_bits:
            self._estimated += event.sifted_bits
            self._errors += event.qber * event.sifted_bits
            self._correlations += event.chsh * event.sifted_bits
            own.qber, own.chsh = self._errors / self._estimated, self._correlations / self._estimated
