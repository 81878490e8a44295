"""A sandbox of key servers as a user starts it, for tests and benchmarks: one process that starts the others."""

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_S = 60.0

NETWORK = (
    "--kme", "kme-a", "--kme", "kme-b", "--sae", "alice@kme-a", "--sae", "ann@kme-a", "--sae", "bob@kme-b",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass
class Sandbox:
    """A sandbox that runs.

    Attributes:
        process: Its own.
        folder: Where its files are.
        where: What it printed.
    """

    process: "subprocess.Popen[str]"
    folder: Path
    where: dict[str, Any]

    def context(self, sae: str) -> ssl.SSLContext:
        """Return a TLS context with an SAE's certificate."""
        context = ssl.create_default_context(cafile=self.where["ca"])
        context.load_cert_chain(self.where["saes"][sae]["cert"], self.where["saes"][sae]["key"])
        return context

    def connection(
        self, sae: str, kme: str | None = None, *, interface: str = "etsi014", context: ssl.SSLContext | None = None
    ) -> http.client.HTTPSConnection:
        """Return a connection, not made yet, of an SAE to its KME, or to another one."""
        place = self.where["kmes"][kme or self.where["saes"][sae]["kme"]][interface]
        parts = urlsplit(place if "//" in place else f"//{place}")
        return http.client.HTTPSConnection(
            str(parts.hostname), parts.port, context=context or self.context(sae), timeout=20.0
        )

    def ask(
        self, sae: str, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
        interface: str = "etsi014",
    ) -> Answer:  # fmt: skip
        """Send one request over a connection of its own; ``body`` is bytes, or becomes JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = self.connection(sae, interface=interface)
        try:
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def admin(self, kme: str, path: str) -> Answer:
        """Ask a KME's admin endpoint."""
        parts = urlsplit(self.where["kmes"][kme]["admin"])
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20.0)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def pid(self, kme: str) -> int:
        """Return the process of a KME."""
        return int((self.folder / kme / "kme.pid").read_text())

    def log(self, kme: str) -> str:
        """Return what a KME has logged."""
        return (self.folder / kme / "kme.log").read_text()


def bellweave(*arguments: str) -> list[str]:
    """Return a command."""
    return [sys.executable, "-m", "bellweave", *arguments]


@contextmanager
def sandbox(folder: Path, *options: str, network: tuple[str, ...] = NETWORK) -> Iterator[Sandbox]:
    """Run a sandbox inside the ``with``.

    Raises:
        RuntimeError: It does not start.
    """
    command = bellweave("kms", "sandbox", "--dir", str(folder), *network, *options)
    with (folder.parent / f"{folder.name}.err").open("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                said.seek(0)
                raise RuntimeError(f"the sandbox did not start: {said.read()[-2000:]}")
            yield Sandbox(process, folder, json.loads(line))
        finally:
            process.send_signal(signal.SIGTERM)
            if process.stdout:
                process.stdout.close()
            process.wait(START_S)


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        pass
    if Path("/proc").is_dir():
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
