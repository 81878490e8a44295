"""Metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from bellweave.api.http import Request, Response
from bellweave.edge.http_server import Guest
from bellweave.edge.metrics import MAX_PATHS, Metrics, Snapshot
from bellweave.kms.operations import Level
from bellweave.kms.records import Buffer

ALICE = Guest("alice", "127.0.0.1")


def samples(metrics: Metrics, snapshot: Snapshot | None = None) -> dict[tuple[str, tuple[str, ...]], float]:
    text = metrics.rendered(snapshot or Snapshot()).decode()
    return {
        (sample.name.removeprefix("bellweave_"), tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def answer(outcome: str, ids: int = 0, ignored: int = 0) -> Response:
    return Response(200, b"", (), outcome, tuple(map(str, range(ids))), ignored)


def test_requests_are_counted_by_interface_method_and_outcome_and_their_times_kept() -> None:
    metrics = Metrics()
    enc, status = Request("POST", "/api/v1/keys/bob/enc_keys"), Request("GET", "/api/v1/keys/bob/status")
    for request, outcome in ((enc, "delivered"), (enc, "delivered"), (enc, "not_enough_key"), (status, "status")):
        metrics.answered("etsi014", ALICE, request, answer(outcome), 0.003)
    metrics.answered("etsi014", ALICE, Request("GET", "/../etc/passwd"), answer("not_found", ignored=2), 0.003)

    found = samples(metrics)
    assert found["requests_total", ("delivered", "enc_keys", "etsi014")] == 2
    assert found["requests_total", ("enc_keys", "etsi014", "not_enough_key")] == 1
    assert found["requests_total", ("etsi014", "status", "status")] == 1
    assert found["requests_total", ("etsi014", "not_found", "other")] == 1
    assert found["request_seconds_bucket", ("0.002", "enc_keys", "etsi014")] == 0
    assert found["request_seconds_bucket", ("0.005", "enc_keys", "etsi014")] == 3
    assert found["ignored_members_total", ("etsi014",)] == 2


def test_keys_are_counted_by_pair_whichever_interface_they_leave_by() -> None:
    metrics = Metrics()
    enc, dec = Request("POST", "/api/v1/keys/b%6Fb/enc_keys"), Request("POST", "/api/v1/keys/bob/dec_keys")
    key, taken = Request("GET", "/key", "remoteSystemID=bob&size=128"), Request("GET", "/key/12", "remoteSystemID=bob")
    for _ in range(2):
        metrics.answered("etsi014", ALICE, enc, answer("delivered", 3), 0.1)
        metrics.answered("etsi014", ALICE, dec, answer("taken", 2), 0.1)
        metrics.answered("skip", ALICE, key, answer("delivered", 1), 0.1)
        metrics.answered("skip", ALICE, taken, answer("taken", 1), 0.1)

    keys = {labels: value for (name, labels), value in samples(metrics).items() if name == "keys_total"}
    assert keys == {
        ("alice", "bob", "delivered", "etsi014"): 6,
        ("alice", "bob", "etsi014", "taken"): 4,
        ("alice", "bob", "delivered", "skip"): 2,
        ("alice", "bob", "skip", "taken"): 2,
    }


def test_a_client_makes_no_new_labels_however_it_spells_its_paths() -> None:
    metrics = Metrics()
    before = len(samples(metrics))
    for number in range(MAX_PATHS + 100):
        spelled = "".join(f"%{ord(c):02x}" if number >> place & 1 else c for place, c in enumerate("bob-the-sae-13"))
        metrics.answered(
            "etsi014", ALICE, Request("GET", f"/api/v1/keys/{spelled}/enc_keys"), answer("delivered", 1), 0
        )
        metrics.answered("etsi014", ALICE, Request("GET", f"/{number}/"), answer("not_found"), 0)

    assert len(samples(metrics)) - before < 60
    assert len(metrics._paired) <= MAX_PATHS


def test_what_a_snapshot_holds_is_shown_as_it_is_now() -> None:
    metrics = Metrics()
    buffer = Buffer(master="alice", slave="bob", pool="a|b/direct")
    level = Level(buffer_bytes=64, free_bytes=0, waiting_bytes=0)

    found = samples(metrics, Snapshot({"a|b/direct": {"ingested": 7}}, {buffer: level}, {"b": (True, False)}, 4))

    assert found["pool_bits", ("a|b/direct", "ingested")] == 7
    assert found["buffer_bits", ("alice", "a|b/direct", "bob")] == 512
    assert (found["link_up", ("b",)], found["link_in_step", ("b",)]) == (1, 0)
    assert found["store_waiting", ()] == 4
    assert ("link_up", ("b",)) not in samples(metrics)


def test_commits_connections_and_failures_are_shown() -> None:
    metrics = Metrics()
    metrics.committed(64, 0.003)
    metrics.connections("etsi014", 5)
    metrics.turned_away("etsi014", "certificate has expired")

    found = samples(metrics)
    assert found["store_batch_requests_bucket", ("32.0",)] == 0
    assert found["store_batch_requests_bucket", ("64.0",)] == 1
    assert found["store_commit_seconds_bucket", ("0.005",)] == 1
    assert found["connections", ("etsi014",)] == 5
    assert found["connections_failed_total", ("certificate has expired", "etsi014")] == 1
