"""A whole key network as processes: what applications, operators and attackers see of it."""

import base64
import hashlib
import http.client
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bellweave.testing.postgres import Postgres, postgres
from bellweave.testing.sandbox import Sandbox, bellweave, is_alive, sandbox

__all__ = ["postgres"]  # a fixture

pytestmark = pytest.mark.emu

ENC, DEC = "/api/v1/keys/bob/enc_keys", "/api/v1/keys/alice/dec_keys"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("live") / "net", "--prefill", "500") as running:
        yield running


def drawn(net: Sandbox, number: int = 1) -> dict[str, bytes]:
    answer = net.ask("alice", "POST", ENC, {"number": number})
    assert answer.status == 200, answer.body
    return keys(answer.json)


def keys(container: Any) -> dict[str, bytes]:
    return {key["key_ID"]: base64.b64decode(key["key"]) for key in container["keys"]}


def ledger(net: Sandbox) -> dict[str, int]:
    accounts: dict[str, int] = net.admin("kme-a", "/ledger").json["kme-a|kme-b/direct"]
    return accounts


def until(true: Callable[[], object], limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


# ---------------------------------------------------------------------------------------------------------- the network
def test_it_says_where_everything_is(net: Sandbox) -> None:
    where = net.where

    assert set(where) == {"ca", "kmes", "saes"}
    assert where["ca"] == str(net.folder / "ca.crt")
    assert list(where["kmes"]) == ["kme-a", "kme-b"]
    for endpoints in where["kmes"].values():
        assert set(endpoints) == {"etsi014", "etsi004", "skip", "admin"}
        assert endpoints["etsi014"].startswith("https://127.0.0.1:")
        assert endpoints["etsi004"].startswith("127.0.0.1:")
    assert where["saes"]["ann"] == {
        "kme": "kme-a", "cert": str(net.folder / "ann.crt"), "key": str(net.folder / "ann.key")
    }  # fmt: skip
    assert {each.stat().st_mode & 0o077 for each in net.folder.rglob("*.key")} == {0}


def test_keys_go_from_master_to_slave_by_every_form_of_request(net: Sandbox) -> None:
    posted = drawn(net, 2)
    got = keys(net.ask("alice", "GET", f"{ENC}?number=2&size=128").json)
    bare = keys(net.ask("alice", "GET", ENC).json)
    asked = {"key_IDs": [{"key_ID": each} for each in posted]}

    assert keys(net.ask("bob", "POST", DEC, asked, headers={"Content-Type": "text/plain;charset=x"}).json) == posted
    for key_id, bits in (got | bare).items():
        assert keys(net.ask("bob", "GET", f"{DEC}?key_ID={key_id}").json) == {key_id: bits}
    assert [len(bits) for bits in got.values()] == [16, 16]
    again = net.ask("bob", "POST", DEC, asked)
    assert (again.status, again.json["message"]) == (400, "one or more keys specified are not found on KME")


def test_skip_serves_the_same_pools_under_the_kmes_names(net: Sandbox) -> None:
    told = net.ask("alice", "GET", "/capabilities", interface="skip").json
    new = net.ask("alice", "GET", "/key?remoteSystemID=kme-b", interface="skip").json
    key = net.ask("bob", "GET", f"/key/{new['keyId'].upper()}?remoteSystemID=kme-a", interface="skip").json

    assert (told["localSystemID"], key["key"], len(key["key"])) == ("kme-a", new["key"], 64)


def test_what_an_operator_asks_is_answered(net: Sandbox) -> None:
    drawn(net)
    assert (net.admin("kme-a", "/healthz").status, net.admin("kme-a", "/readyz").json) == (200, {"status": "ready"})
    accounts = ledger(net)
    text = net.admin("kme-a", "/metrics").body.decode()

    assert accounts.pop("ingested") == sum(accounts.values())
    for line in ('interface="etsi014",method="enc_keys",outcome="delivered"', 'bellweave_link_in_step{kme="kme-b"} 1.0',
                 "bellweave_store_commit_seconds_count", 'master="alice",slave="bob",way="delivered"'):  # fmt: skip
        assert line in text


def test_the_log_has_a_line_for_each_request_and_no_key(net: Sandbox) -> None:
    secrets = drawn(net, 20)
    for key_id in secrets:
        assert net.ask("bob", "GET", f"{DEC}?key_ID={key_id}").status == 200

    until(lambda: all(key_id in net.log("kme-b") for key_id in secrets))
    until(lambda: "outcome=delivered" in net.log("kme-a"))
    for kme in net.where["kmes"]:
        text = net.log(kme)
        for bits in secrets.values():
            for spelling in (bits.hex(), base64.b64encode(bits).decode(), repr(bits)[2:-1]):
                assert spelling not in text


def test_what_is_refused_is_refused_in_json_and_with_a_code_of_the_standard(net: Sandbox) -> None:
    cases: list[tuple[str, str, Any, int]] = [
        ("GET", "/api/v1/keys/..%2f..%2fetc%2fpasswd/status", None, 400),
        ("GET", "/api/v1/keys/%2e%2e/status", None, 400),
        ("GET", "/../../etc/passwd", None, 404),
        ("GET", "/", None, 404),
        ("DELETE", ENC, None, 400),
        ("POST", ENC, b"{", 400),
        ("POST", ENC, b"\xff", 400),
        ("POST", ENC, {"number": True}, 400),
        ("POST", ENC, b'{"number":' + 70_000 * b" " + b"1}", 400),
        ("POST", DEC, {"key_IDs": []}, 400),
        ("GET", f"{ENC}?number=1&number=2", None, 400),
    ]
    for method, path, body, status in cases:
        answer = net.ask("alice", method, path, body)
        assert (path, answer.status, set(answer.json) <= {"message", "details"}) == (path, status, True)
        assert answer.headers["content-type"] == "application/json"


def test_headers_make_nobody_of_anybody(net: Sandbox) -> None:
    ids = drawn(net)
    spoofed = {
        "X-SSL-Client-CN": "bob",
        "X-Client-Subject": "CN=bob",
        "X-Forwarded-For": "127.0.0.1",
        "SSL_CLIENT": "bob",
    }
    for key_id in ids:
        assert net.ask("ann", "GET", f"{DEC}?key_ID={key_id}", headers=spoofed).status in {400, 401}
        assert keys(net.ask("bob", "GET", f"{DEC}?key_ID={key_id}").json) == ids


def test_who_has_no_certificate_of_the_network_gets_nothing(net: Sandbox, tmp_path: Path) -> None:
    subprocess.run(
        bellweave("kms", "init", "--dir", str(tmp_path / "x"), "--kme", "kme-a", "--sae", "alice@kme-a"), check=True,
        capture_output=True,
    )  # fmt: skip
    strange = ssl.create_default_context(cafile=net.where["ca"])
    strange.load_cert_chain(tmp_path / "x" / "alice.crt", tmp_path / "x" / "alice.key")
    for context in (strange, ssl.create_default_context(cafile=net.where["ca"])):
        connection = net.connection("alice", context=context)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _get(connection, ENC)
        connection.close()
    unknowing = ssl.create_default_context(cafile=str(tmp_path / "x" / "ca.crt"))
    with pytest.raises(ssl.SSLCertVerificationError):
        net.connection("alice", context=unknowing).connect()


def _get(connection: http.client.HTTPSConnection, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path)
    return connection.getresponse()


def test_an_sae_is_served_at_its_own_kme_only(net: Sandbox) -> None:
    connection = net.connection("alice", "kme-b")
    answer = _get(connection, "/api/v1/keys/bob/status")
    assert (answer.status, json.loads(answer.read())) == (401, {"message": "unauthorized"})
    connection.close()


def test_a_storm_of_handshakes_and_silent_connections_leave_open_ones_served(net: Sandbox) -> None:
    open_one = net.connection("alice")
    host, port = open_one.host, open_one.port
    silent = [socket.create_connection((host, port)) for _ in range(100)]
    over = threading.Event()

    def shake_hands() -> None:
        context = ssl.create_default_context(cafile=net.where["ca"])  # without a certificate: refused in the end
        while not over.is_set():
            try:
                with socket.create_connection((host, port), 5) as sock, context.wrap_socket(sock, server_hostname=host):
                    pass
            except OSError:
                continue

    storm = [threading.Thread(target=shake_hands) for _ in range(16)]
    for each in storm:
        each.start()
    try:
        waits_s = []
        for _ in range(100):
            start_s = time.monotonic()
            open_one.request("GET", "/api/v1/keys/bob/status")
            assert open_one.getresponse().read()
            waits_s.append(time.monotonic() - start_s)
        # some 20 ms, measured; this process storms on the same cores. Whoever waited for silent ones would wait for 5 s
        assert sorted(waits_s)[90] < 2.0
    finally:
        over.set()
        for each in storm:
            each.join()
        for sock in silent:
            sock.close()
        open_one.close()


def test_ten_megabytes_are_refused_before_they_are_read(net: Sandbox) -> None:
    connection = net.connection("alice")
    connection.request("POST", ENC, body=(10 << 20) * b"a")
    answer = connection.getresponse()

    assert (answer.status, answer.getheader("Connection")) == (400, "close")
    assert "65536 bytes" in json.loads(answer.read())["message"]
    connection.close()


# ------------------------------------------------------------------------------------------------- ends and beginnings
def test_no_kme_outlives_the_sandbox_however_it_ends(tmp_path: Path) -> None:
    for number, how in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGKILL)):
        with sandbox(tmp_path / str(number), "--store", "memory:", "--prefill", "1") as running:
            pids = [running.pid(kme) for kme in running.where["kmes"]]
            assert all(map(is_alive, pids))
            os.kill(running.process.pid, how)
            code = running.process.wait(60)
            until(lambda pids=pids: not any(map(is_alive, pids)))  # type: ignore[misc]
            assert code == (-9 if how == signal.SIGKILL else 0)


def test_one_kme_alone_serves_its_own_saes(tmp_path: Path) -> None:
    alone = ("--kme", "hub", "--sae", "a/1@hub", "--sae", "b@hub")
    with sandbox(tmp_path / "net", "--store", "memory:", "--prefill", "2", network=alone) as net:
        (key_id, bits), *_ = keys(net.ask("a/1", "GET", "/api/v1/keys/b/enc_keys").json).items()
        assert keys(net.ask("b", "GET", f"/api/v1/keys/a%2F1/dec_keys?key_ID={key_id}").json) == {key_id: bits}


def test_a_killed_kme_comes_back_where_it_was_and_gives_no_key_twice(tmp_path: Path) -> None:
    with sandbox(tmp_path / "net", "--prefill", "2000") as net:
        seen: dict[str, bytes] = {}
        asking = threading.Thread(target=_draw_until_it_fails, args=(net, seen))
        asking.start()
        until(lambda: len(seen) > 50)
        os.kill(net.pid("kme-a"), signal.SIGKILL)
        asking.join()

        config = str(net.folder / "kme-a" / "kme.toml")
        with subprocess.Popen(bellweave("kms", "serve", "--config", config), stderr=subprocess.DEVNULL) as restarted:
            try:
                until(lambda: _ready(net))
                before = dict(seen)
                after = drawn(net, 100)
                accounts = ledger(net)
            finally:
                restarted.send_signal(signal.SIGTERM)
        fingerprints = [hashlib.sha256(bits).digest() for bits in (*before.values(), *after.values())]
        assert len(set(fingerprints)) == len(fingerprints) == len(before) + 100
        assert not before.keys() & after.keys()
        for key_id, bits in (before | after).items():  # every key that was delivered waits at the other end
            assert keys(net.ask("bob", "GET", f"{DEC}?key_ID={key_id}").json) == {key_id: bits}
        assert accounts.pop("ingested") == sum(accounts.values())
        assert accounts["delivered"] >= 256 * len(fingerprints)


def _draw_until_it_fails(net: Sandbox, seen: dict[str, bytes]) -> None:
    connection = net.connection("alice")
    try:
        while True:
            connection.request("GET", ENC)
            seen |= keys(json.loads(connection.getresponse().read()))
    except (OSError, http.client.HTTPException, KeyError):
        connection.close()


def _ready(net: Sandbox) -> bool:
    try:
        return net.admin("kme-a", "/readyz").status == 200
    except OSError:
        return False


def test_while_the_other_kme_is_down_the_answer_is_503_and_no_key_is_used(tmp_path: Path) -> None:
    with sandbox(tmp_path / "net", "--prefill", "100") as net:
        os.kill(net.pid("kme-b"), signal.SIGKILL)
        until(lambda: net.admin("kme-a", "/readyz").status == 503)
        before = ledger(net)

        answer = net.ask("alice", "GET", ENC)

        assert (answer.status, list(answer.json)) == (503, ["message"])
        assert net.admin("kme-a", "/readyz").json["reasons"] == ["kme-b is not in step"]
        assert net.admin("kme-a", "/healthz").status == 200
        assert ledger(net) == before
        until(lambda: "kme-b ended: killed by signal 9" in (tmp_path / "net.err").read_text())


def test_a_kme_that_stops_answers_what_it_has_begun(tmp_path: Path) -> None:
    with sandbox(tmp_path / "net", "--prefill", "5000") as net:
        connections = [net.connection("alice") for _ in range(8)]
        for each in connections:
            each.request("POST", ENC, json.dumps({"number": 128, "size": 256}))
        select.select([each.sock for each in connections], (), (), 60)
        os.kill(net.pid("kme-a"), signal.SIGTERM)
        found: dict[str, bytes] = {}
        for each in connections:
            answer = each.getresponse()
            assert answer.status == 200
            found |= keys(json.loads(answer.read()))
            each.close()
        assert len(found) == 8 * 128
        until(lambda: not is_alive(net.pid("kme-a")))


def test_on_postgresql_each_kme_has_a_database_which_goes_with_the_sandbox(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    asked = url.replace("postgresql+psycopg:", "postgresql:")
    with sandbox(tmp_path / "net", "--store", asked, "--prefill", "20") as net:
        found = drawn(net, 5)
        for key_id, bits in found.items():
            assert keys(net.ask("bob", "GET", f"{DEC}?key_ID={key_id}").json) == {key_id: bits}
        assert _databases(url) == 2
    assert _databases(url) == 0


def test_databases_go_with_a_sandbox_that_is_killed_too(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    with sandbox(tmp_path / "net", "--store", url, "--prefill", "5") as net:
        assert _databases(url) == 2
        net.process.kill()
        until(lambda: _databases(url) == 0, 60.0)


def test_on_sqlite_elsewhere_each_kme_has_a_file(tmp_path: Path) -> None:
    with sandbox(tmp_path / "net", "--store", f"sqlite:///{tmp_path}/keys.db", "--prefill", "3") as net:
        assert len(drawn(net, 3)) == 3
    assert {path.name for path in tmp_path.glob("*.db")} == {"keys-kme-a.db", "keys-kme-b.db"}


def _databases(url: str) -> int:
    """Return how many databases there are that belong to a sandbox."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'sandbox_%'").fetchone()
    return int(row[0]) if row else -1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--kme", "a", "--sae", "x@b"), "SAE x: no such KME: 'b'; there are a"),
        (("--kme", "a", "--kme", "a", "--sae", "x@a"), "--kme: named more than once: a"),
        (("--kme", "a", "--sae", "x@a", "--sae", "x@a"), "--sae: named more than once: x"),
        (("--kme", "a", "--sae", "x"), "an application is given as SAE@KME, got 'x'"),
        (("--kme", "a", "--sae", "@a"), "an application is given as SAE@KME, got '@a'"),
        (
            ("--kme", "a", "--sae", "x@a", "--store", "redis://u:secret@h"),
            "expected memory:, sqlite, sqlite:///PATH or postgresql",
        ),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_is_left_behind(
    tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    done = subprocess.run(
        bellweave("kms", "sandbox", "--dir", str(tmp_path / "net"), *options), capture_output=True, text=True,
        check=False, timeout=110,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "net").exists()


def test_a_folder_that_is_in_use_is_left_alone(net: Sandbox) -> None:
    done = subprocess.run(
        bellweave("kms", "sandbox", "--dir", str(net.folder), "--kme", "kme-a", "--sae", "alice@kme-a"),
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip

    assert done.returncode == 2
    assert "is there already; a new network goes into a new folder" in done.stderr
    assert net.ask("alice", "GET", "/api/v1/keys/bob/status").status == 200
