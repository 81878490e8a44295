"""Emulated wide-area networks: the presets, with real key servers, hosts and tunnels, and a repeater that is killed."""

import asyncio
import contextlib
import hmac
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bellweave.cli.report import report
from bellweave.edge.doctor import examine
from bellweave.edge.kms_client import KmsClient
from bellweave.emu.control import Wanted, ask
from bellweave.emu.deployment import Happened
from bellweave.emu.messages import Fault
from bellweave.emu.request import Request
from bellweave.emu.wide import emulate_wide
from bellweave.errors import KeyServerError, ScenarioError
from bellweave.results.io import read_wide_events
from bellweave.results.network_records import (
    Delivered,
    FaultChanged,
    LedgerClosed,
    Probed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
)
from bellweave.results.wide_records import Fetched, KeyMade, LanesEnded, LanesSet, PairsClosed
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.wide import WideRun, simulate_wide
from bellweave.sim.wide.summary import summarise

pytestmark = pytest.mark.emu

PATIENCE_S = 60.0

E = TypeVar("E")


def backbone(duration_s: float, **values: object) -> Scenario:
    quick = {"tunnel.alice-bob.period_s": 1.5, "tunnel.alice-bob.start_s": 0.5}
    return changed(load("backbone"), {"run.duration_s": duration_s, **quick, **values})


def of(events: Sequence[Happened], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


class Live:
    """A run that is under way."""

    def __init__(self, request: Request) -> None:
        self.out, self.events = request.out, list[Happened]()
        self.stop = asyncio.Event()
        self._where: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            emulate_wide(request, stop=self.stop, watch=self.events.append, announce=self._where.set_result)
        )

    async def where(self) -> dict[str, Any]:
        """Wait until hosts can ask for keys, and return where."""
        await asyncio.wait((self.task, self._where), return_when=asyncio.FIRST_COMPLETED)
        assert self._where.done(), "the run is over"
        return self._where.result()

    async def until(self, met: Callable[[], object]) -> None:
        """Wait until the events have it."""
        async with asyncio.timeout(PATIENCE_S):
            while not met():
                assert not self.task.done(), "the run is over"
                await asyncio.sleep(0.05)

    async def fault(self, kind: str, target: str, *, on: bool = True) -> None:
        await ask(self.out, Wanted(fault=Fault(kind=kind, target=target, on=on)))

    async def ended(self) -> WideRun:
        self.stop.set()
        return await self.task


@contextlib.asynccontextmanager
async def live(request: Request) -> AsyncIterator[Live]:
    run = Live(request)
    try:
        yield run
    finally:
        run.stop.set()
        await asyncio.gather(run.task, return_exceptions=True)


def client(where: dict[str, Any], sae: str) -> KmsClient:
    own = where["saes"][sae]
    cert, key = Path(own["cert"]), Path(own["key"])
    return KmsClient(where["kmes"][own["kme"]], ca=Path(where["ca"]), cert=cert, key=key, kme=own["kme"])


async def a_key(where: dict[str, Any], master: str, slave: str) -> str:
    """Fetch a key at both ends, once there is one; return its id."""
    async with client(where, master) as hers, client(where, slave) as his, asyncio.timeout(PATIENCE_S):
        while True:
            try:
                (mine,) = await hers.enc_keys(slave)
            except KeyServerError:  # not yet
                await asyncio.sleep(0.1)
                continue
            (same,) = await his.dec_keys(master, [mine.key_id])
            assert hmac.compare_digest(mine.bits, same.bits)
            return mine.key_id


def require_no_key_twice(run: WideRun, own: Sequence[str] = ()) -> None:
    """Check that no key was drawn, or taken into use, more than once."""
    drawn = [each.key_id for each in of(run.events, Delivered) if each.side == "client" and each.key_id]
    assert max(Counter([*drawn, *own]).values()) == 1
    used = Counter(each.key_id for each in of(run.events, SessionBegan) if not each.renewed)
    assert max(used.values(), default=1) == 1


def require_books(run: WideRun) -> None:
    """Check that every pair and every bit is accounted for."""
    pairs, ledgers = of(run.events, PairsClosed), of(run.events, LedgerClosed)
    assert {each.demand for each in pairs} == set(run.scenario.demand)
    for books in pairs:
        assert books.created == books.swapped + books.measured + books.expired + books.held
    assert Counter(each.link for each in ledgers) == dict.fromkeys(run.scenario.demand, 2)
    for ledger in ledgers:
        assert sum(bits for name, bits in ledger.accounts.items() if name != "ingested") == ledger.accounts.get(
            "ingested", 0
        )


def path(run: Live, demand: str) -> tuple[str, ...]:
    """Return the newest path of a demand."""
    return next((each.nodes[0] for each in reversed(of(run.events, LanesSet)) if each.demand == demand), ())


async def test_a_killed_repeater_is_gone_round_while_hosts_and_a_tunnel_go_on_getting_keys(tmp_path: Path) -> None:
    async with live(Request(scenario=backbone(90.0), out=tmp_path / "run", channel="aead")) as run:
        where = await run.where()
        ids = [await a_key(where, "alice-host", "bob-host")]
        await run.until(lambda: of(run.events, SessionBegan))
        assert "n2" in path(run, "alice-bob")

        await run.fault("down", "n2")
        await run.until(lambda: "s1" in path(run, "alice-bob") and "s1" in path(run, "anna-boris"))
        sessions, fetched = len(of(run.events, SessionBegan)), len(of(run.events, Fetched))
        ids += [await a_key(where, "alice-host", "bob-host"), await a_key(where, "boris-host", "anna-host")]
        await run.until(lambda: len(of(run.events, SessionBegan)) > sessions)
        await run.until(lambda: len(of(run.events, Fetched)) > fetched)

        await run.fault("down", "n2", on=False)
        await run.until(lambda: "n2" in path(run, "alice-bob"))
        await run.fault("cut", "n1-n2")
        await run.until(lambda: "n2" not in path(run, "alice-bob"))
        with pytest.raises(ScenarioError, match="there are alice, anna"):
            await run.fault("down", "nobody")
        done = await run.ended()

    assert done.duration_s < 90.0  # it was stopped
    assert {each.lost for each in of(done.events, LanesEnded)} >= {"n2", "n1-n2"}
    changes = [(each.fault, each.active) for each in of(done.events, FaultChanged)]
    assert changes == [("down n2", True), ("down n2", False), ("cut n1-n2", True)]
    assert read_wide_events(tmp_path / "run") == done.events
    assert len(of(done.events, Refreshed)) == len(of(done.events, SessionBegan))
    assert sum(each.received for each in of(done.events, Probed)) > 0
    require_no_key_twice(done, ids)
    require_books(done)


async def test_a_slave_that_is_killed_asks_again_when_it_is_back(tmp_path: Path) -> None:
    async with live(Request(scenario=backbone(90.0), out=tmp_path / "run", channel="aead")) as run:
        where = await run.where()
        ids = [await a_key(where, "alice-host", "bob-host")]
        await run.fault("down", "alice")
        await run.until(lambda: any(each.state == "killed" for each in of(run.events, ProcessChanged)))
        ids.append(await a_key(where, "anna-host", "boris-host"))
        lanes = len([each for each in of(run.events, LanesSet) if each.demand == "alice-bob"])
        await run.fault("down", "alice", on=False)
        await run.until(lambda: len([e for e in of(run.events, LanesSet) if e.demand == "alice-bob"]) > lanes)
        began_s = max(each.at_s for each in of(run.events, LanesSet))
        await run.until(
            lambda: any(
                each.demand == "alice-bob" and each.ingested_bits and each.at_s > began_s
                for each in of(run.events, KeyMade)
            )
        )
        ids.append(await a_key(where, "alice-host", "bob-host"))
        done = await run.ended()
    require_no_key_twice(done, ids)
    require_books(done)


async def test_with_ipsec_the_tunnel_of_two_gateways_carries_its_probes_across_a_new_path(tmp_path: Path) -> None:
    if examine().channel != "ipsec":
        pytest.skip("IPsec can't run here; bellweave doctor says why")
    async with live(Request(scenario=backbone(90.0), out=tmp_path / "run", channel="ipsec")) as run:
        await run.where()
        await run.until(lambda: of(run.events, SessionBegan))
        await run.fault("down", "n2")
        await run.until(lambda: "s1" in path(run, "alice-bob"))
        sessions = len(of(run.events, SessionBegan))
        await run.until(lambda: len(of(run.events, SessionBegan)) >= sessions + 2)
        done = await run.ended()

    probes = of(done.events, Probed)
    assert sum(each.received for each in probes) > 0
    daemons = {each.process for each in of(done.events, ProcessChanged) if each.process.startswith("charon ")}
    assert daemons == {"charon alice-bob.client", "charon alice-bob.server"}
    require_no_key_twice(done)
    require_books(done)


@pytest.mark.agreement
@pytest.mark.parametrize(("name", "mode"), [("cluster", "paper"), ("backbone", "paper"), ("backbone", "physical")])
async def test_what_nobody_disturbs_makes_the_key_of_the_simulation_block_by_block(
    name: str, mode: str, tmp_path: Path
) -> None:
    values: dict[str, object] = {"backbone.mode": mode, "backbone.block_pairs": 1500}
    scenario = changed(load(name), {"run.duration_s": 4.0, **values})
    emulated = await emulate_wide(Request(scenario=scenario, out=tmp_path / "run", channel="aead"))
    simulated = simulate_wide(scenario)

    def blocks(run: WideRun) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
        found: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
        for each in of(run.events, KeyMade):
            block = each.pairs, each.final_bits, each.ingested_bits
            found.setdefault((each.demand, each.method), []).append(block)
        return {name: sorted(blocks) for name, blocks in found.items()}

    assert blocks(emulated) == blocks(simulated)
    ours, theirs = summarise(emulated), summarise(simulated)
    assert ours.pairs == theirs.pairs
    for demand, each in ours.demands.items():
        own = theirs.demands[demand]
        assert (each.pairs, each.bits, each.chsh) == (own.pairs, own.bits, own.chsh)
        assert each.keys > 0 or name != "cluster"  # a backbone's keys are few, and some are left
    assert sum(each.bits for each in ours.demands.values()) > 0
    report(tmp_path / "run")
    assert "key_bits_per_s" in (tmp_path / "run" / "report.html").read_text()
    require_books(emulated)


def test_of_a_supervisor_that_is_killed_nothing_is_left(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bellweave", "emulate", "cluster", "--duration-s", "60", "--out", tmp_path / "run")
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([*map(str, command)], stdout=said, stderr=said)
    try:
        children = wait_for(lambda: len(found := processes(process.pid)) == 7 and found)
        wait_for(lambda: "bit" in (tmp_path / "said").read_text())
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


def processes(parent: int) -> list[int]:
    """Return a process's children."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def wait_for(met: Callable[[], Any]) -> Any:
    until_s = time.monotonic() + PATIENCE_S
    while not (found := met()):
        assert time.monotonic() < until_s
        time.sleep(0.1)
    return found
