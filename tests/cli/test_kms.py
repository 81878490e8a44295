"""``bellweave kms``, as a user types it."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bellweave.edge.ports import free_ports
from bellweave.testing.key_servers import block
from bellweave.testing.sandbox import Sandbox, bellweave, sandbox

pytestmark = pytest.mark.emu


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = bellweave("kms", *arguments)
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=100)


def as_sae(net: Sandbox, sae: str, *more: str) -> tuple[str, ...]:
    who = net.where["saes"][sae]
    url = net.where["kmes"][who["kme"]]["etsi014"]
    return (*more, "--url", url, "--ca", net.where["ca"], "--cert", who["cert"])


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("cli") / "net", "--prefill", "50") as running:
        yield running


def test_keys_are_drawn_taken_and_counted(net: Sandbox, tmp_path: Path) -> None:
    before = json.loads(run("status", "bob", *as_sae(net, "alice", "--json"), cwd=tmp_path).stdout)
    drawn = run("enc", "bob", *as_sae(net, "alice", "--number", "2", "--size", "128", "--kme", "kme-a"), cwd=tmp_path)
    ids = [line.split()[0] for line in drawn.stdout.splitlines()]
    taken = run("dec", "alice", *ids, *as_sae(net, "bob", "--json"), cwd=tmp_path)
    shown = run("status", "bob", *as_sae(net, "alice"), cwd=tmp_path).stdout

    found = [(key["key_ID"], key["key"]) for key in json.loads(taken.stdout)["keys"]]
    assert found == [tuple(line.split()) for line in drawn.stdout.splitlines()]
    assert json.loads(taken.stdout)["keys"][0]["key_extension"]["bellweave_provenance"] == "test"
    assert (before["stored_key_count"], before["key_size"]) == (50, 256)
    assert "stored_key_count       49\n" in shown


@pytest.mark.parametrize(
    ("sae", "verb", "code", "words"),
    [
        ("alice", ("enc", "bob", "--number", "100"), 4, "the key server answered 503: not enough keys"),
        ("alice", ("enc", "nobody"), 2, "the key server answered 400:"),
        ("ann", ("dec", "alice", "00010203-0405-4607-8809-0a0b0c0d0e0f"), 2, "are not found on KME"),
        ("alice", ("status", "bob", "--kme", "kme-b"), 3, "not of kme kme-b"),
    ],
)
def test_what_a_server_refuses_is_one_line_and_an_exit_code(
    net: Sandbox, tmp_path: Path, sae: str, verb: tuple[str, ...], code: int, words: str
) -> None:
    refused = run(*verb, *as_sae(net, sae), cwd=tmp_path)

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (code, "", 1)
    assert words in refused.stderr


def test_a_server_that_is_not_there_is_exit_code_3_and_a_bad_file_2(net: Sandbox, tmp_path: Path) -> None:
    cert = net.where["saes"]["alice"]["cert"]
    gone = run("status", "bob", "--url", "https://127.0.0.1:1", "--ca", net.where["ca"], "--cert", cert, cwd=tmp_path)
    bad = run("status", "bob", "--url", "https://127.0.0.1:1", "--ca", "no.crt", "--cert", cert, cwd=tmp_path)

    assert (gone.returncode, bad.returncode) == (3, 2)
    assert "can't be reached" in gone.stderr
    assert "no.crt" in bad.stderr


def test_a_store_is_backed_up_at_work_audited_and_restored(tmp_path: Path) -> None:
    with sandbox(tmp_path / "net", "--prefill", "20") as net:
        config = ("--config", str(net.folder / "kme-a" / "kme.toml"))
        assert run("enc", "bob", *as_sae(net, "alice", "--number", "3"), cwd=tmp_path).returncode == 0
        assert run("backup", "copy.db", *config, cwd=tmp_path).returncode == 0
        earlier = run("audit", *config, "--json", cwd=tmp_path)
        (tmp_path / "earlier.json").write_text(earlier.stdout)
        assert run("enc", "bob", *as_sae(net, "alice"), cwd=tmp_path).returncode == 0
        audited = run("audit", *config, "--since", "earlier.json", "--events", "--json", cwd=tmp_path)
        (tmp_path / "later.json").write_text(audited.stdout)
        in_use = run("restore", "copy.db", *config, cwd=tmp_path)
    events = [event for entry in json.loads(audited.stdout)["entries"] for event in entry["events"]]
    assert [event[0] for event in events].count("delivered") == 4
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    assert (in_use.returncode, "is there already" in in_use.stderr) == (3, True)

    for file in (net.folder / "kme-a").glob("kme.db*"):
        file.unlink()
    assert run("restore", "copy.db", *config, cwd=tmp_path).returncode == 0
    as_it_was = run("audit", *config, "--keep-days", "1", cwd=tmp_path)
    too_short = run("audit", *config, "--since", "later.json", cwd=tmp_path)
    assert (as_it_was.returncode, "rows, unbroken; head " in as_it_was.stdout) == (0, True)
    assert as_it_was.stdout.splitlines()[-1] == "removed 0 rows"
    assert (too_short.returncode, "which was noted" in too_short.stderr) == (3, True)


def test_a_store_in_memory_has_nothing_to_back_up(tmp_path: Path) -> None:
    made = run("init", "--dir", "net", "--kme", "solo", "--sae", "x@solo", "--store", "memory:", "--json", cwd=tmp_path)
    config = json.loads(made.stdout)["configs"]["solo"]

    for verb in (("backup", "f"), ("restore", "f"), ("audit",)):
        refused = run(*verb, "--config", config, cwd=tmp_path)
        assert (refused.returncode, "a store in memory" in refused.stderr) == (2, True)


def test_a_network_is_made_served_and_fed_with_distilled_blocks(tmp_path: Path) -> None:
    made = run(
        "init", "--dir", "net", "--kme", "a=127.0.0.1", "--kme", "b=127.0.0.1", "--sae", "x@a", "--sae", "y@b",
        "--device", "q1@a,b", "--device", "q2@b,a", "--json", cwd=tmp_path,
    )  # fmt: skip
    configs = {name: tmp_path / path for name, path in json.loads(made.stdout)["configs"].items()}
    again = run("init", "--dir", "net", "--kme", "a", cwd=tmp_path)
    _use_free_ports(configs)
    servers = {
        name: subprocess.Popen(
            bellweave("kms", "serve", "--config", str(path), "--json"),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for name, path in configs.items()
    }  # fmt: skip
    try:
        where = {name: json.loads(server.stdout.readline()) for name, server in servers.items() if server.stdout}
        (tmp_path / "block.json").write_bytes(msgspec.json.encode(block("distilled-1", 4096)))
        (tmp_path / "block.json").chmod(0o600)
        files = ("--ca", "net/ca.crt", "--cert")
        receipts = [
            run("push", "block.json", "--url", _url(where[kme]["device"]), *files, f"net/{device}.crt", cwd=tmp_path)
            for kme, device in (("a", "q1"), ("b", "q2"))
        ]
        drawn = _retried("enc", "y", "--url", _url(where["a"]["etsi014"]), *files, "net/x.crt", cwd=tmp_path)
        key_id, bits = drawn.stdout.split()
        taken = run("dec", "x", key_id, "--url", _url(where["b"]["etsi014"]), *files, "net/y.crt", cwd=tmp_path)
    finally:
        for server in servers.values():
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
            if server.stdout:
                server.stdout.close()

    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    assert [receipt.returncode for receipt in receipts] == [0, 0], receipts
    assert taken.stdout.split() == [key_id, bits]


def _use_free_ports(configs: dict[str, Path]) -> None:
    """Other tests may run at the usual ports; links, which are dialled, get some that are free."""
    one, other = free_ports(["127.0.0.1"] * 2)
    for path in configs.values():
        text = path.read_text()
        for usual in ("8443", "8453", "25575", "25585", "8444", "8454", "8446", "8456", "8447", "8457"):
            text = text.replace(f":{usual}", ":0")
        path.write_text(text.replace(":8445", f":{one}").replace(":8455", f":{other}"))


def _url(address: list[object]) -> str:
    return f"https://{address[0]}:{address[1]}"


def _retried(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command until the KMEs have confirmed what was pushed."""
    end_s = time.monotonic() + 60.0
    while (done := run(*arguments, cwd=cwd)).returncode and time.monotonic() < end_s:
        assert done.returncode == 4, done.stderr
    return done


def test_help_answers_at_once_and_imports_no_server() -> None:
    code = "import sys, bellweave.cli; print(*sys.modules)"
    loaded = subprocess.run([*bellweave()[:1], "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not set(loaded) & {"aiohttp", "sqlalchemy", "cryptography", "structlog", "prometheus_client", "asyncio"}
