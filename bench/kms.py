"""Key delivery under load: two KMEs in step, mutual TLS 1.3, connections kept, 256-bit keys, one a request.

KME A has one core for itself; KME B and the clients share the other. Each KME is a process of its own, started by
`bellweave kms sandbox`; its CPU time a request is read from the system, and is the number to trust on shared machines.
Rates are of 64 connections, latencies as a client sees them. PostgreSQL is the server that the tests start too; where
there is none, its rows are left out.

    python bench/kms.py           a table
    python bench/kms.py --json    one object {measure: {value, unit, target}}
    python bench/kms.py --quick   a tenth of the requests, without the pool of 10^7 keys
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

from bellweave.testing.postgres import FOLDERS, Postgres
from bellweave.testing.system import found

CONNECTIONS = 64
REQUESTS = 20_000
ALONE = 300
"""Pairs of requests, one after the other, that the idle latency is the median of."""

HUGE = 10_000_000

Row = dict[str, Any]


class Client(asyncio.Protocol):
    """One kept connection: a request goes out when the answer before it is in."""

    def __init__(self, requests: Iterator[bytes], taken: "Answers") -> None:
        self._requests, self._taken = requests, taken
        self._buffer = b""
        self._sent_s = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def go(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._sent_s = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take what came; a whole answer calls for the next request."""
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))  # type: ignore[union-attr]
        if len(body) < length:
            return
        self._buffer = b""
        self._taken.note(head, body, time.perf_counter() - self._sent_s)
        self.go()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail, unless all is done."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed"))


class Answers:
    """What came back."""

    def __init__(self) -> None:
        self.latencies_s: list[float] = []
        self.key_ids: list[str] = []

    def note(self, head: bytes, body: bytes, latency_s: float) -> None:
        """Take one answer; anything but a key ends the benchmark."""
        key_id = re.search(rb'"key_ID":"([^"]+)"', body)
        if not head.startswith(b"HTTP/1.1 200") or key_id is None:
            raise SystemExit(f"no key: {head[:40]!r} {body[:200]!r}")
        self.key_ids.append(key_id.group(1).decode())
        self.latencies_s.append(latency_s)


@dataclass
class Network:
    """A sandbox that runs."""

    where: dict[str, Any]
    directory: Path

    def context(self, sae: str) -> ssl.SSLContext:
        """Return an SAE's TLS context."""
        context = ssl.create_default_context(cafile=self.where["ca"])
        context.load_cert_chain(self.where["saes"][sae]["cert"], self.where["saes"][sae]["key"])
        return context

    def port(self, kme: str) -> int:
        """Return the port of a KME's ETSI 014 server."""
        return int(self.where["kmes"][kme]["etsi014"].rpartition(":")[2])

    def pid(self, kme: str) -> int:
        """Return a KME's process."""
        return int((self.directory / kme / "kme.pid").read_text())

    def cpu_s(self, kme: str) -> float:
        """Return the CPU time that a KME has used, user and system, all threads."""
        fields = Path(f"/proc/{self.pid(kme)}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pin(pid: int, core: int) -> None:
    """Keep a process, all its threads, on one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


@contextlib.contextmanager
def sandbox(store: str, keys: int) -> Iterator[Network]:
    """Run two KMEs, each on its core."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "network"
        command = [sys.executable, "-m", "bellweave", "kms", "sandbox", "--dir", str(directory), "--store", store]
        command += ["--kme", "kme-a", "--kme", "kme-b", "--sae", "alice@kme-a", "--sae", "bob@kme-b"]
        command += ["--prefill", str(keys)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            try:
                network = Network(json.loads(process.stdout.readline()), directory)
                pin(network.pid("kme-a"), cores[0])
                pin(network.pid("kme-b"), cores[-1])
                yield network
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()


def get(path: str) -> bytes:
    """Return a request that keeps its connection."""
    return f"GET {path} HTTP/1.1\r\nHost: kme\r\n\r\n".encode()


async def load(network: Network, kme: str, sae: str, requests: list[bytes], connections: int) -> tuple[Answers, float]:
    """Send all requests over so many connections; return the answers and how long it took."""
    answers, left = Answers(), iter(requests)
    loop, context = asyncio.get_running_loop(), network.context(sae)
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(left, answers), "127.0.0.1", network.port(kme), ssl=context, server_hostname="localhost"
        )
        clients.append(client)
    began_s = time.perf_counter()
    for client in clients:
        client.go()
    await asyncio.gather(*(client.done for client in clients))
    return answers, time.perf_counter() - began_s


def measured(network: Network, name: str, requests: int, targets: dict[str, float]) -> dict[str, Row]:
    """Return rate, CPU and p99 of enc_keys, then of dec_keys for the same keys."""
    rows: dict[str, Row] = {}
    encs = [get("/api/v1/keys/bob/enc_keys")] * requests
    key_ids: list[str] = []
    for verb, kme, sae in (("enc", "kme-a", "alice"), ("dec", "kme-b", "bob")):
        asked = encs if verb == "enc" else [get(f"/api/v1/keys/alice/dec_keys?key_ID={each}") for each in key_ids]
        if verb == "dec":  # the KME that is measured has a core for itself
            swap_cores(network)
        before_s = network.cpu_s(kme)
        answers, took_s = uvloop.run(load(network, kme, sae, asked, CONNECTIONS))
        cpu_us = 1e6 * (network.cpu_s(kme) - before_s) / requests
        key_ids = answers.key_ids
        p99_s = statistics.quantiles(answers.latencies_s, n=100)[98]
        rows[f"{verb}_keys, {name}"] = row(requests / took_s, "1/s", targets["rate"])
        rows[f"server CPU of {verb}_keys, {name}"] = row(cpu_us, "us", targets.get("cpu_us"))
        rows[f"p99 of {verb}_keys, {name}"] = row(1e3 * p99_s, "ms", targets.get("p99_ms"))
    swap_cores(network)
    assert len(set(key_ids)) == requests
    return rows


def swap_cores(network: Network) -> None:
    """Let the two KMEs change places; this process goes where KME A is not measured, with the other one."""
    cores = {kme: os.sched_getaffinity(network.pid(kme)) for kme in ("kme-a", "kme-b")}
    (first,), (second,) = cores["kme-a"], cores["kme-b"]
    pin(network.pid("kme-a"), second)
    pin(network.pid("kme-b"), first)


async def alternately(network: Network, pairs: int) -> list[float]:
    """Ask for a key at A, fetch it at B, one pair after the other; return how long each pair took."""
    took = []
    for _ in range(3):
        await load(network, "kme-a", "alice", [get("/api/v1/keys/bob/enc_keys")], 1)
    streams = {
        sae: await asyncio.open_connection(
            "127.0.0.1", network.port(kme), ssl=network.context(sae), server_hostname="localhost"
        )
        for sae, kme in (("alice", "kme-a"), ("bob", "kme-b"))
    }
    for _ in range(pairs):
        began_s = time.perf_counter()
        body = await answer(streams["alice"], get("/api/v1/keys/bob/enc_keys"))
        key_id = json.loads(body)["keys"][0]["key_ID"]
        fetched = json.loads(await answer(streams["bob"], get(f"/api/v1/keys/alice/dec_keys?key_ID={key_id}")))
        took.append(time.perf_counter() - began_s)
        assert fetched["keys"][0]["key"] == json.loads(body)["keys"][0]["key"]
    return took


async def answer(stream: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> bytes:
    """Send a request and return the body of its answer."""
    reader, writer = stream
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head).group(1)))  # type: ignore[union-attr]


def restarted_s(network: Network) -> float:
    """Kill KME A, start it again on its store, and return how long it takes until it is ready."""
    os.kill(network.pid("kme-a"), signal.SIGKILL)
    time.sleep(0.5)
    config = network.directory / "kme-a" / "kme.toml"
    began_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bellweave", "kms", "serve", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (network.directory / "kme-a" / "kme.pid").write_text(f"{process.pid}\n")
    url = network.where["kmes"]["kme-a"]["admin"] + "/readyz"
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 our own server
            if reply.status == 200:
                return time.perf_counter() - began_s
        time.sleep(0.01)


def huge(requests: int) -> dict[str, Row]:
    """Return what 10^7 keys in stock change."""
    with sandbox("sqlite", HUGE) as network:
        start_s = restarted_s(network)
        pin(network.pid("kme-a"), min(os.sched_getaffinity(0)))
        rows = measured(network, "SQLite, 10^7 keys in stock", requests, {"rate": 3000.0, "p99_ms": 40.0})
        os.kill(network.pid("kme-a"), signal.SIGTERM)
    return {"start with 10^7 keys in stock": row(start_s, "s", 5.0)} | rows


def row(value: float, unit: str, target: float | None = None) -> Row:
    return {"value": round(value, 3), "unit": unit, "target": target}


def measures(*, quick: bool) -> dict[str, Row]:
    """Return all rows."""
    requests = REQUESTS // 10 if quick else REQUESTS
    rows: dict[str, Row] = {}
    core = max(os.sched_getaffinity(0))
    for store, name, targets in stores():
        with store() as url, sandbox(url, requests + ALONE + 100) as network, on_core(core):
            took = uvloop.run(alternately(network, ALONE))
            rows[f"enc at A then dec at B, idle, p50, {name}"] = row(1e3 * statistics.median(took), "ms", 5.0)
            rows |= measured(network, name, requests, targets)
    if not quick:
        rows |= huge(requests)
    return rows


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process on one core for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


Opened = Callable[[], "contextlib.AbstractContextManager[str]"]


def stores() -> Iterator[tuple[Opened, str, dict[str, float]]]:
    """Yield how to get each store's URL, its name, and what it is to reach."""
    yield (lambda: contextlib.nullcontext("memory:")), "in memory", {"rate": 6000.0}
    yield (lambda: contextlib.nullcontext("sqlite")), "SQLite", {"rate": 3000.0, "cpu_us": 250.0, "p99_ms": 40.0}
    if found("initdb", FOLDERS):
        yield postgresql, "PostgreSQL", {"rate": 1500.0}


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server, as durable as in earnest; it shares the cores with whoever asks it."""
    server = Postgres(durable=True)
    try:
        yield f"postgresql+psycopg://bellweave@/postgres?host={server.folder}"
    finally:
        server.remove()


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    rows = measures(quick=given.quick)
    if given.json:
        print(json.dumps(rows))
        return
    for name, each in rows.items():
        target = "" if each["target"] is None else f"   (target {each['target']:g})"
        print(f"{name:58} {each['value']:10.2f} {each['unit']}{target}")


if __name__ == "__main__":
    main()
