"""What the admin endpoint answers, on a KME with a real store in memory."""

import json
from dataclasses import dataclass

import pytest

from bellweave.api.http import Request, Response
from bellweave.edge.admin_server import handle
from bellweave.edge.kme_watch import KmeWatch
from bellweave.edge.metrics import Metrics
from bellweave.edge.store_writer import StoreWriter
from bellweave.errors import StoreFailed
from bellweave.kms.driver import Network
from bellweave.testing.key_servers import feed, network


@dataclass
class Up:
    """Links of which all are up."""

    up: bool = True

    def is_up(self, _peer: str) -> bool:
        return self.up


@dataclass
class Admin:
    """The endpoint of kme-a."""

    network: Network

    def __post_init__(self) -> None:
        store = self.network.store("kme-a")
        self.watch = KmeWatch(self.network.kme("kme-a"), Up(), StoreWriter(store, inline=True))
        self.metrics = Metrics()

    def get(self, path: str, method: str = "GET") -> Response:
        return self.network.run("kme-a", handle(Request(method, path), self.watch, self.metrics.rendered))


@pytest.fixture
def admin() -> Admin:
    net = network()
    feed(net, "kme-a", "kme-b", "b1", 4096)
    return Admin(net)


def test_a_kme_whose_peers_are_in_step_is_ready(admin: Admin) -> None:
    assert (admin.get("/readyz").status, admin.get("/readyz").body) == (200, b'{"status":"ready"}')

    admin.network.kme("kme-a").lost("kme-b")

    answer = admin.get("/readyz")
    assert (answer.status, json.loads(answer.body)["reasons"]) == (503, ["kme-b is not in step"])
    assert admin.get("/healthz").status == 200


def test_a_failing_store_is_told_and_does_not_hide_the_metrics(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_operations: object) -> list[object]:
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(admin.network.store("kme-a"), "apply", fail)

    assert json.loads(admin.get("/readyz").body)["reasons"] == ["the disk is full"]
    assert (admin.get("/ledger").status, admin.get("/metrics").status) == (503, 200)
    assert b"bellweave_requests" in admin.get("/metrics").body


def test_the_ledger_closes(admin: Admin) -> None:
    (accounts,) = json.loads(admin.get("/ledger").body).values()

    assert accounts.pop("ingested") == 8 * 4096 == sum(accounts.values())


def test_levels_and_links_are_among_the_metrics(admin: Admin) -> None:
    text = admin.get("/metrics").body.decode()

    assert 'bellweave_link_in_step{kme="kme-b"} 1.0' in text
    assert 'bellweave_buffer_bits{master="alice",pool="kme-a|kme-b/direct",slave="bob"}' in text
    assert 'master="bob"' not in text


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/healthz", 405), ("GET", "/keys", 404)])
def test_nothing_else_is_answered(admin: Admin, method: str, path: str, status: int) -> None:
    answer = admin.get(path, method)

    assert (answer.status, list(json.loads(answer.body))) == (status, ["message"])
