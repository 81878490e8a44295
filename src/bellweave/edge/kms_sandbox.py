"""A key network on one machine: an authority, and KMEs as processes of their own that serve test key on loopback.

Layout: as :mod:`bellweave.edge.kme_init` makes it, and for each KME ``DIR/KME/kme.log`` and ``kme.pid``. Ports are free
ones; once chosen they stand in ``DIR/KME/kme.toml``, so a KME that was killed can be started again as it was.

A KME learns what it is to fill its store with from its standard input, and ends when that does: so none outlives the
sandbox, however it ends. On its standard output it says where it listens.

With PostgreSQL each KME gets a database of its own, ``sandbox_RANDOM_KME``, made by the user of the URL and dropped at
the end; by the KME itself if the sandbox was killed.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from bellweave.edge import kme_config, sandbox_databases
from bellweave.edge.clock import now_s
from bellweave.edge.files import write_whole
from bellweave.edge.kme_init import init
from bellweave.edge.kme_network import FREE, Network
from bellweave.edge.kms_fill import SEED_BYTES, Filling
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig
from bellweave.kms.params import Kms

HOST = "127.0.0.1"
READY_S = 60.0
"""Longest wait until all KMEs are in step, once they serve."""

STOP_S = 15.0
POLL_S = 0.05

_MEMORY = {"memory", "memory:", "memory://"}
_SQLITE = {"sqlite", "sqlite:", "sqlite://", "sqlite:///"}

Addresses = dict[str, tuple[str, int]]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What is asked for.

    Attributes:
        directory: Where files go; new or empty.
        kmes: Their names.
        saes: Name of each SAE to its KME.
        store: ``memory:``, ``sqlite`` (in the folder), ``sqlite:///PATH`` (a file beside it for each KME: ``PATH`` with
            the KME's name before its suffix), or the URL of a PostgreSQL server.
        keys: Keys of the default size for each pair of SAEs, each way.
    """

    directory: Path
    kmes: tuple[str, ...]
    saes: Mapping[str, str]
    store: str = "sqlite"
    keys: int = 1000


@dataclass
class Child:
    """A KME's process."""

    kme: str
    config: Path
    process: asyncio.subprocess.Process
    addresses: Addresses = field(default_factory=dict)


async def run(sandbox: Sandbox, stop: asyncio.Event, announce: Callable[[dict[str, Any]], None], say: Say) -> None:
    """Run a sandbox until ``stop`` is set.

    Args:
        sandbox: What.
        stop: Ends it.
        announce: Gets, once, where everything is: see :func:`described`.
        say: Gets what people may want to know.

    Raises:
        ScenarioError: What is asked for can't be; or a KME does not start, or ends: its log says why.
        StoreFailed: The databases can't be made.
    """
    async with contextlib.AsyncExitStack() as stack:
        stores = await stack.enter_async_context(_stores(sandbox))
        network = Network(kmes=dict.fromkeys(sandbox.kmes, HOST), saes=sandbox.saes)
        kms = Kms(quota_keys=max(Kms().quota_keys, sandbox.keys))
        configs = init(sandbox.directory, network, ports=FREE, store=stores, kms=kms)
        server = sandbox.store if sandbox.store.startswith(sandbox_databases.SERVERS) else ""
        filling = Filling(keys=sandbox.keys, seed=secrets.token_bytes(SEED_BYTES), now_s=now_s(), server=server)
        say(f"starting {', '.join(configs)}; each pair of SAEs gets {sandbox.keys} keys each way")
        children = [await stack.enter_async_context(_running(kme, path, filling)) for kme, path in configs.items()]
        stopping = asyncio.ensure_future(stop.wait())
        stack.callback(stopping.cancel)
        await _unless(stopping, _ready(children))
        if stop.is_set():
            return
        announce(described(sandbox, {child.kme: child.addresses for child in children}))
        ends = {asyncio.ensure_future(child.process.wait()): child for child in children}
        while ends and not stop.is_set():
            done, _ = await asyncio.wait((stopping, *ends), return_when=asyncio.FIRST_COMPLETED)
            for each in done - {stopping}:
                child = ends.pop(each)
                say(f"{child.kme} ended: {_code(child)}. Start it again: bellweave kms serve --config {child.config}")
        for each in ends:
            each.cancel()
        if not stop.is_set():
            raise ScenarioError("all KMEs have ended", path=str(sandbox.directory))


def described(sandbox: Sandbox, addresses: Mapping[str, Addresses]) -> dict[str, Any]:
    """Return where everything is, as it is printed."""
    directory = sandbox.directory.absolute()
    kmes = {}
    for kme, found in addresses.items():
        at = {name: f"{host}:{port}" for name, (host, port) in found.items()}
        kmes[kme] = {
            "etsi014": f"https://{at['etsi014']}",
            "etsi004": at["etsi004"],
            "skip": at["skip"],
            "admin": f"http://{at['admin']}",
        }
    saes = {
        sae: {"kme": kme, "cert": str(directory / f"{quote(sae, safe='')}.crt"),
              "key": str(directory / f"{quote(sae, safe='')}.key")}
        for sae, kme in sandbox.saes.items()
    }  # fmt: skip
    return {"ca": str(directory / "ca.crt"), "kmes": kmes, "saes": saes}


# ------------------------------------------------------------------------------------------------------------ processes
@contextlib.asynccontextmanager
async def _running(kme: str, config: Path, filling: Filling) -> AsyncIterator[Child]:
    """Run a KME's process; it ends with the ``async with``."""
    command = [sys.executable, "-m", "bellweave", "kms", "serve", "--config", str(config), "--in-sandbox"]
    with (config.parent / "kme.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            start_new_session=True,  # Ctrl-C is for the sandbox, which then ends its KMEs
        )  # fmt: skip
    child = Child(kme, config, process)
    try:
        write_whole(config.parent / "kme.pid", f"{process.pid}\n".encode(), mode=0o644)
        _input(child).write(msgspec.json.encode(filling) + b"\n")
        yield child
    finally:
        _input(child).close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def _input(child: Child) -> asyncio.StreamWriter:
    if child.process.stdin is None:
        raise AssertionError("started with a pipe")
    return child.process.stdin


async def _ready(children: list[Child]) -> None:
    """Wait until every KME serves and is in step with all others."""
    for child in children:
        child.addresses = await _addresses(child)
        _fix_ports(child)
    timeout = aiohttp.ClientTimeout(total=5.0)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for child in children:
            await _in_step(child, session)


async def _addresses(child: Child) -> Addresses:
    if child.process.stdout is None:
        raise AssertionError("started with a pipe")
    line = await child.process.stdout.readline()
    if not line:
        await child.process.wait()
        raise ScenarioError(f"{child.kme} did not start, {_code(child)}: {_last_words(child)}")
    return msgspec.json.decode(line, type=Addresses)


async def _in_step(child: Child, session: aiohttp.ClientSession) -> None:
    host, port = child.addresses["admin"]
    problem = "it does not answer"
    try:
        async with asyncio.timeout(READY_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://{host}:{port}/readyz") as answer:
                        if answer.status == 200:
                            return
                        problem = (await answer.read()).decode(errors="replace")
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise ScenarioError(f"{child.kme} is not ready after {READY_S:g} s: {problem}") from None


async def _unless(stopping: "asyncio.Future[Any]", work: Any) -> None:
    """Do some work, or give it up when it is time to stop."""
    task = asyncio.ensure_future(work)
    await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return
    await task


def _fix_ports(child: Child) -> None:
    """Write the ports that a KME has found into its configuration."""
    raw = msgspec.toml.decode(child.config.read_bytes())
    for name, (host, port) in child.addresses.items():
        raw[name]["listen"] = f"{host}:{port}"
    write_whole(child.config, kme_config.to_toml(msgspec.convert(raw, KmeConfig)).encode())


def _code(child: Child) -> str:
    code = child.process.returncode
    return f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _last_words(child: Child) -> str:
    """Return the end of a KME's log."""
    path = child.config.parent / "kme.log"
    with path.open("rb") as log:
        log.seek(max(0, os.fstat(log.fileno()).st_size - 1000))
        lines = log.read().decode(errors="replace").splitlines()
    return lines[-1] if lines else f"nothing in {path}"


# --------------------------------------------------------------------------------------------------------------- stores
@contextlib.asynccontextmanager
async def _stores(sandbox: Sandbox) -> AsyncIterator[dict[str, str]]:
    """Give the URL of each KME's store; databases on a server are dropped in the end."""
    store = sandbox.store
    if store in _MEMORY:
        yield dict.fromkeys(sandbox.kmes, "memory:")
    elif store in _SQLITE:
        yield dict.fromkeys(sandbox.kmes, "sqlite:///kme.db")
    elif store.startswith("sqlite:///"):
        yield {kme: _beside(store, kme) for kme in sandbox.kmes}
    elif store.startswith(sandbox_databases.SERVERS):
        made = await asyncio.to_thread(sandbox_databases.make, store, sandbox.kmes)
        try:
            yield made
        finally:
            await asyncio.to_thread(sandbox_databases.drop, store, made.values())
    else:
        kind = store.partition(":")[0]  # the rest may hold a password
        raise ScenarioError(f"expected memory:, sqlite, sqlite:///PATH or postgresql://..., got {kind}", path="--store")


def _beside(url: str, kme: str) -> str:
    """Return a KME's own file: the one that was named, with the KME's name before its suffix."""
    path = Path(url.removeprefix("sqlite:///")).absolute()
    own = f"{path.stem}-{quote(kme, safe='')}{path.suffix}"
    return f"sqlite:///{path.with_name(own)}"
