"""Emulation = simulation: the same scenario, seed and speed, once as live processes and once in virtual time.

Blocks are equal in every count and every bit of key, whatever the machine does. Tunnels live by the clock: a refresh
may miss a key that the simulation just got, so sessions are equal but for one or two, and begin when they are due.
"""

import asyncio
from collections import Counter

import pytest

from bellweave.emu.supervisor import Request, emulate
from bellweave.results.network_records import BlockDistilled, Delivered, Event, LedgerClosed, SessionBegan, SlotBegan
from bellweave.results.records import BlockRecord
from bellweave.roles.run import NetworkRun
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.testing.data_centres import small, with_seed

pytestmark = [pytest.mark.agreement, pytest.mark.emu]

PERIOD_S = 3.0
START_S = 4.0
LATE_S = 2.5
"""A session that is due begins so soon, on a machine that does other things too."""


def scenario(seed: int) -> Scenario:
    """Return three nodes, three links, three tunnels, thirty slots of half a second."""
    tunnels = {"period_s": PERIOD_S, "start_s": START_S, "retry_s": 0.5}
    return with_seed(small(3, 30, tunnels=3, every_tunnel=tunnels, schedule={"speed": 21.0}), seed)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[NetworkRun, NetworkRun]:
    """Return the emulated run and the simulated one."""
    same = scenario(seed=6)
    emulated = asyncio.run(emulate(Request(scenario=same, out=tmp_path_factory.mktemp("run"), channel="aead")))
    return emulated, simulate_network(same)


def distilled(run: NetworkRun) -> dict[tuple[str, int], tuple[int, int, BlockRecord]]:
    found = [event for event in run.events if isinstance(event, BlockDistilled)]
    return {(event.block.link, event.block.block): (event.slot, event.ingested_bits, event.block) for event in found}


def sessions(events: tuple[Event, ...]) -> dict[str, list[float]]:
    began: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, SessionBegan):
            began.setdefault(event.tunnel, []).append(event.at_s)
    return began


def drawn(run: NetworkRun) -> list[str]:
    """Return the tunnel of each key that a client got."""
    found = [event for event in run.events if isinstance(event, Delivered) and event.side == "client"]
    return [event.tunnel for event in found if event.key_id]


def test_every_block_is_equal_in_every_count(runs: tuple[NetworkRun, NetworkRun]) -> None:
    emulated, simulated = (distilled(run) for run in runs)

    assert len(simulated) == 30
    assert emulated == simulated


def test_slots_serve_the_same_links(runs: tuple[NetworkRun, NetworkRun]) -> None:
    emulated, simulated = (
        [(event.slot, event.links, event.lost_s) for event in run.events if isinstance(event, SlotBegan)]
        for run in runs
    )

    assert emulated == simulated


def test_both_ends_of_each_link_take_in_what_they_take_in_when_simulated(runs: tuple[NetworkRun, NetworkRun]) -> None:
    emulated, simulated = (
        {(event.link, event.kme): event.accounts["ingested"] for event in run.events if isinstance(event, LedgerClosed)}
        for run in runs
    )

    assert len(emulated) == 6
    assert emulated == simulated


def test_tunnels_have_as_many_sessions_and_keys_but_for_what_the_clock_allows(
    runs: tuple[NetworkRun, NetworkRun],
) -> None:
    emulated, simulated = (sessions(run.events) for run in runs)
    keys = [Counter(drawn(run)) for run in runs]

    assert set(emulated) == set(simulated)
    for tunnel in simulated:
        assert abs(len(emulated[tunnel]) - len(simulated[tunnel])) <= 1
        assert abs(keys[0][tunnel] - keys[1][tunnel]) <= 1
        assert emulated[tunnel][0] == pytest.approx(simulated[tunnel][0], abs=LATE_S)
        due_s = [START_S + number * PERIOD_S for number in range(len(emulated[tunnel]))]
        assert all(0.0 <= began_s - due <= LATE_S for began_s, due in zip(emulated[tunnel], due_s, strict=True))
