"""What a KME measures of itself, for Prometheus.

Counters and histograms are kept as things happen; a label's child is looked up once, so a request costs 5 us. Levels,
ledgers and links are read when somebody asks (:meth:`Metrics.rendered`).

Names and labels are an interface: dashboards are built on them. Labels have few values: no client can make new ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector

from bellweave.api import url
from bellweave.api.http import Request, Response
from bellweave.edge.http_server import Guest
from bellweave.kms.operations import Level
from bellweave.kms.records import Account, Buffer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUEST_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
COMMIT_S = (0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
BATCH_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)

MAX_PATHS = 4096
"""Most paths of which the pair is remembered."""

_METHODS = {
    "etsi014": {"status", "enc_keys", "dec_keys"},
    "etsi004": {"open", "get", "close"},
    "skip": {"capabilities", "entropy", "key"},
    "device": {"blocks"},
}


@dataclass(frozen=True)
class Snapshot:
    """How a KME stands at a moment.

    Attributes:
        ledger: Pool to account to bits.
        levels: Of buffers that this KME consumes.
        links: Peer to whether it is connected, and in step.
        waiting: Store operations that wait for a commit.
    """

    ledger: dict[str, dict[Account, int]] = field(default_factory=dict)
    levels: dict[Buffer, Level] = field(default_factory=dict)
    links: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    waiting: int = 0


class Metrics:
    """The metrics of one KME, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "bellweave_requests", "Requests answered.", ("interface", "method", "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "bellweave_request_seconds", "From a request's last byte to its answer.", ("interface", "method"),
            buckets=REQUEST_S, registry=registry,
        )  # fmt: skip
        self._keys = Counter(
            "bellweave_keys", "Keys delivered to masters and taken by slaves; of several slaves the first is named.",
            ("interface", "way", "master", "slave"), registry=registry,
        )  # fmt: skip
        self._ignored = Counter(
            "bellweave_ignored_members", "Members of requests that the interface does not know.", ("interface",),
            registry=registry,
        )  # fmt: skip
        self._connections = Gauge("bellweave_connections", "Open connections.", ("interface",), registry=registry)
        self._away = Counter(
            "bellweave_connections_failed", "Connections that came to nothing: no room, or no handshake.",
            ("interface", "why"), registry=registry,
        )  # fmt: skip
        self._batch = Histogram(
            "bellweave_store_batch_requests", "Requests that shared a commit.", buckets=BATCH_REQUESTS,
            registry=registry,
        )  # fmt: skip
        self._commit = Histogram(
            "bellweave_store_commit_seconds", "How long a commit took.", buckets=COMMIT_S, registry=registry
        )
        self._snapshot = Snapshot()
        registry.register(_AtHand(self._families))
        self._counted: dict[tuple[str, str, str], Counter] = {}
        self._timed: dict[tuple[str, str], Histogram] = {}
        self._paired: dict[tuple[str, str, str], Counter] = {}

    # ------------------------------------------------------------------------------------------------ as things happen

    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None:
        """Count an answer."""
        method = method_of(interface, request.path)
        counted = self._counted.get((interface, method, response.outcome))
        if counted is None:
            counted = self._requests.labels(interface, method, response.outcome)
            self._counted[interface, method, response.outcome] = counted
        counted.inc()
        timed = self._timed.get((interface, method))
        if timed is None:
            timed = self._timed[interface, method] = self._seconds.labels(interface, method)
        timed.observe(took_s)
        if response.key_ids:
            self._count_keys(interface, guest.name or "", request, response)
        if response.ignored:
            self._ignored.labels(interface).inc(response.ignored)

    def connections(self, interface: str, number: int) -> None:
        """Take note of how many connections are open."""
        self._connections.labels(interface).set(number)

    def turned_away(self, interface: str, why: str) -> None:
        """Count a connection that came to nothing."""
        self._away.labels(interface, why).inc()

    def committed(self, requests: int, took_s: float) -> None:
        """Take note of a commit: how many requests shared it."""
        self._batch.observe(requests)
        self._commit.observe(took_s)

    def _count_keys(self, interface: str, client: str, request: Request, response: Response) -> None:
        """Count keys by pair: answers that hold keys name SAEs that are registered, and no others."""
        known = (interface, client, request.path)
        counted = self._paired.get(known)
        if counted is None:
            taken = response.outcome == "taken"
            other = _other(interface, request)
            counted = self._keys.labels(
                interface, "taken" if taken else "delivered", *((other, client) if taken else (client, other))
            )
            if interface == "etsi014" and len(self._paired) < MAX_PATHS:  # a name can be spelled in many ways
                self._paired[known] = counted
        counted.inc(len(response.key_ids))

    # ------------------------------------------------------------------------------------------------ when asked

    def rendered(self, snapshot: Snapshot) -> bytes:
        """Return everything in Prometheus' text format."""
        self._snapshot = snapshot
        return generate_latest(self._registry)

    def _families(self) -> Iterator[GaugeMetricFamily]:
        now = self._snapshot
        ledger = GaugeMetricFamily(
            "bellweave_pool_bits",
            "The ledger of a pool: ingested is the sum of all others.",
            labels=("pool", "account"),
        )
        for pool, accounts in now.ledger.items():
            for account, bits in accounts.items():
                ledger.add_metric((pool, account), bits)
        levels = GaugeMetricFamily(
            "bellweave_buffer_bits", "Key set aside for a pair.", labels=("master", "slave", "pool")
        )
        for buffer, level in now.levels.items():
            levels.add_metric((buffer.master, buffer.slave, buffer.pool), 8 * level.buffer_bytes)
        up = GaugeMetricFamily("bellweave_link_up", "Whether a peer is connected.", labels=("kme",))
        step = GaugeMetricFamily(
            "bellweave_link_in_step", "Whether a peer has said how far its keys are used.", labels=("kme",)
        )
        for peer, (connected, in_step) in now.links.items():
            up.add_metric((peer,), connected)
            step.add_metric((peer,), in_step)
        yield from (ledger, levels, up, step)
        yield GaugeMetricFamily("bellweave_store_waiting", "Requests that wait for the store.", now.waiting)


class _AtHand:
    """A collector of what a snapshot holds."""

    def __init__(self, families: Callable[[], Iterator[GaugeMetricFamily]]) -> None:
        self.collect = families


def method_of(interface: str, path: str) -> str:
    """Return the interface's method that a path names, or ``other``.

    >>> method_of("etsi014", "/api/v1/keys/bob/enc_keys"), method_of("skip", "/key/12ab"), method_of("skip", "/x")
    ('enc_keys', 'key', 'other')
    """
    parts = path.split("/", 6)
    place = 5 if interface == "etsi014" else 3 if interface == "device" else 1
    name = parts[place] if len(parts) > place else ""
    return name if name in _METHODS.get(interface, ()) else "other"


def _other(interface: str, request: Request) -> str:
    """Return the SAE that a request names."""
    if interface == "etsi014":
        return url.decoded(request.path.split("/")[4]) or ""
    return dict(url.parameters(request.query) or ()).get("remoteSystemID", "")
