"""How a running KME stands, for its admin endpoint; and what gets to know of every request: metrics and access log."""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from bellweave.api.http import Request, Response
from bellweave.edge.access_log import AccessLog
from bellweave.edge.admin_server import handle
from bellweave.edge.clock import now_s
from bellweave.edge.http_server import Guest, HttpServer, Service
from bellweave.edge.kms_driver import Driver
from bellweave.edge.metrics import Metrics, Snapshot
from bellweave.edge.store_writer import StoreWriter
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work, apply_all
from bellweave.kms.operations import Accounts, Levels
from bellweave.kms.records import Buffer, pool_name
from bellweave.kms.roster import Roster
from bellweave.kms.service import Kme

MAX_BUFFERS = 512
"""Most pairs of SAEs whose levels are shown."""


class Links(Protocol):
    """What there is to see of links."""

    def is_up(self, peer: str) -> bool:
        """Return whether there is a connection with this peer."""
        ...


class Telemetry:
    """Tells metrics and access log what servers do; an observer for :class:`~bellweave.edge.http_server.HttpServer`.

    Args:
        log: The access log; None: none is kept.
    """

    def __init__(self, log: AccessLog | None) -> None:
        self.metrics = Metrics()
        self.connections = self.metrics.connections
        self.turned_away = self.metrics.turned_away
        self._log = log

    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None:
        """Take note of an answer; the admin endpoint's questions are counted but not logged."""
        self.metrics.answered(interface, guest, request, response, took_s)
        if self._log is not None and interface != "admin":
            self._log.answered(interface, guest, request, response, took_s)

    def flush(self) -> None:
        """Write what the access log still holds."""
        if self._log is not None:
            self._log.flush()


class KmeWatch:
    """Looks at a KME that runs.

    Args:
        kme: The KME.
        links: Its links.
        writer: Of its store.
    """

    def __init__(self, kme: Kme, links: Links, writer: StoreWriter) -> None:
        self._kme = kme
        self._links = links
        self._writer = writer
        roster = Roster(kme.directory, kme.params)
        self._peers = roster.peers
        self._buffers = tuple(islice(_buffers(kme, roster), MAX_BUFFERS))

    def snapshot(self) -> Work[Snapshot]:
        """Return how the KME stands.

        Raises:
            StoreFailed: The store can't be read.
        """
        accounts, levels = yield from apply_all(Accounts(), Levels(buffers=self._buffers))
        return Snapshot(
            ledger=accounts,
            levels=dict(zip(self._buffers, levels, strict=True)),
            links={peer: (self._links.is_up(peer), self._kme.in_step(peer)) for peer in self._peers},
            waiting=self._writer.waiting,
        )

    def late(self) -> tuple[str, ...]:
        """Return which peers are not in step: keys shared with them can't be had."""
        return tuple(f"{peer} is not in step" for peer in self._peers if not self._kme.in_step(peer))


def admin_server(watch: KmeWatch, driver: Driver, telemetry: Telemetry) -> HttpServer:
    """Return the server of a KME's admin endpoint; not started."""
    service = Service(
        "admin",
        lambda request, _caller, _now_s: handle(request, watch, telemetry.metrics.rendered),
        driver.start,
        now_s,
    )
    return HttpServer(service, Limits(body_bytes=1024, connections=64), None, telemetry)


def _buffers(kme: Kme, roster: Roster) -> Iterator[Buffer]:
    """Yield the buffers that the SAEs of a KME may draw from as masters."""
    saes = kme.directory.saes
    for master, its_kme in saes.items():
        if its_kme != kme.name:
            continue
        for slave, other in saes.items():
            if not roster.allowed(master, slave):
                continue
            for origin in roster.origins(master, slave):
                pool = pool_name(kme.name, other, origin)
                if pool in roster.fed:
                    yield Buffer(master=master, slave=slave, pool=pool)
