"""Whole emulated networks: processes, TLS, key servers, tunnels; small ones, so that each takes seconds."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from bellweave.emu.supervisor import Request, emulate
from bellweave.errors import ScenarioError
from bellweave.results.io import read_events, read_manifest
from bellweave.results.network_records import (
    BlockDistilled,
    Delivered,
    Happening,
    LedgerClosed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
    SessionEnded,
    SlotBegan,
)
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import summarise
from bellweave.testing.data_centres import small

pytestmark = pytest.mark.emu

SPEED = 21.0
"""Half a second for a slot."""

E = TypeVar("E")


def quick(users: int = 2, slots: int = 12, **tables: object) -> Scenario:
    """Return a small network whose tunnels are refreshed every second."""
    every_tunnel = {"period_s": 1.5, "start_s": 1.0, "retry_s": 0.5, "mode": "ppk"}
    schedule = {"speed": SPEED}
    return small(users, slots, every_tunnel=every_tunnel, schedule=schedule, **tables)  # type: ignore[arg-type]


def of(events: Sequence[Happening], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def require_no_key_twice(events: Sequence[Happening]) -> None:
    """Check that no key was handed out, or taken into use, more than once."""
    for side in ("client", "server"):
        drawn = Counter(event.key_id for event in of(events, Delivered) if event.side == side and event.key_id)
        assert max(drawn.values(), default=0) <= 1
    used = Counter(event.key_id for event in of(events, SessionBegan) if not event.renewed)
    assert max(used.values(), default=0) <= 1


async def test_a_network_of_two_refreshes_its_tunnel_from_distilled_keys(tmp_path: Path) -> None:
    scenario = quick(2, 12)
    said: list[str] = []
    seen: list[Happening] = []
    run = await emulate(
        Request(scenario=scenario, out=tmp_path / "run", channel="aead"), say=said.append, watch=seen.append
    )

    assert tuple(seen) == run.events == read_events(tmp_path / "run")
    assert read_manifest(tmp_path / "run") == run.manifest
    assert run.manifest.verb == "emulate-network"
    assert all(one.at_s <= other.at_s for one, other in zip(run.events, run.events[1:], strict=False))
    assert len(of(run.events, SlotBegan)) == 12
    assert len(of(run.events, SessionBegan)) >= 2
    assert len(of(run.events, Refreshed)) == len(of(run.events, SessionBegan))
    assert of(run.events, SessionEnded)[-1].reason == "end of run"
    require_no_key_twice(run.events)
    ends = {event.process: event.state for event in of(run.events, ProcessChanged)}
    assert {name: ends[name] for name in ("source", "user1", "user2")} == dict.fromkeys(
        ("source", "user1", "user2"), "ended"
    )
    summary = summarise(run)
    assert summary.minted.sessions == len(of(run.events, SessionBegan))


async def test_a_run_whose_events_cannot_be_written_any_more_ends_at_once_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    heard: list[Happening] = []

    def full(event: Happening) -> None:
        heard.append(event)
        if isinstance(event, SessionBegan):
            raise ScenarioError("can't write results: No space left on device", file="run")

    request = Request(scenario=quick(2, 4000), out=tmp_path / "run", channel="aead")
    with pytest.raises(ScenarioError, match="No space left"):
        await emulate(request, say=said.append, watch=full)
    assert any(text.endswith("the run ends") for text in said)
    assert len(of(heard, SlotBegan)) < 4000


async def test_the_same_seed_gives_the_blocks_of_the_simulation_bit_for_bit(tmp_path: Path) -> None:
    scenario = quick(3, 9)
    run = await emulate(Request(scenario=scenario, out=tmp_path / "run", channel="aead"))
    simulated = simulate_network(scenario)

    def blocks(events: Sequence[Happening]) -> dict[tuple[str, int], tuple[bytes, int]]:
        found = {}
        for event in of(events, BlockDistilled):
            found[event.block.link, event.block.block] = msgspec.json.encode(event.block), event.ingested_bits
        return found

    def books(events: Sequence[Happening]) -> dict[tuple[str, str], int]:
        return {(event.link, event.kme): event.accounts.get("ingested", 0) for event in of(events, LedgerClosed)}

    assert blocks(run.events) == blocks(simulated.events)
    assert books(run.events) == books(simulated.events)
    for closed in of(run.events, LedgerClosed):
        spent = sum(bits for name, bits in closed.accounts.items() if name != "ingested")
        assert spent == closed.accounts.get("ingested", 0)
