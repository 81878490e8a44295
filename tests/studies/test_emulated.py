"""A run beside its simulation: a real simulation stands in for the emulated run, cut and changed as emulations are."""

from functools import cache
from pathlib import Path

import msgspec
import pytest

from bellweave.network.params import Fault
from bellweave.report import emulation_page
from bellweave.results.emulated import Beside
from bellweave.results.network_records import (
    BlockDistilled,
    BlockLost,
    Event,
    FaultChanged,
    Probed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
    SlotBegan,
)
from bellweave.results.records import Shard
from bellweave.roles.run import NetworkRun, describe
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.studies import emulated
from bellweave.studies.emulated_table import report, rows, sentences

SLOTS = 30


@cache
def scenario() -> Scenario:
    """Return the paper's network, short and fast."""
    given = load("datacenter")
    assert given.schedule is not None
    schedule = msgspec.structs.replace(given.schedule, slots=SLOTS, speed=20.0)
    tunnel = {
        name: msgspec.structs.replace(each, period_s=4.0, start_s=0.0, retry_s=1.0)
        for name, each in given.tunnel.items()
    }
    return msgspec.structs.replace(
        given, schedule=schedule, tunnel=tunnel, run=msgspec.structs.replace(given.run, level="coincidences")
    )


@cache
def simulation() -> NetworkRun:
    """Return its simulation."""
    return simulate_network(scenario())


def as_if_emulated(events: tuple[Event, ...], *, channel: str = "aead") -> NetworkRun:
    """Return events as an emulated run would have them, with refreshes and probes."""
    made: list[Event] = [ProcessChanged(at_s=0.0, process="channel", state="ready", detail=channel)]
    for event in events:
        made.append(event)
        if isinstance(event, SessionBegan) and not event.renewed:
            step_s = 0.01 + 0.001 * len(made)
            made.append(
                Refreshed(
                    at_s=event.at_s, tunnel=event.tunnel, key_id=event.key_id,
                    enc_s=step_s, peer_s=step_s, switch_s=step_s, total_s=3.0 * step_s,
                )
            )  # fmt: skip
            made.append(
                Probed(
                    at_s=event.at_s, tunnel=event.tunnel, sent=20, received=19, lost=1, longest_gap_s=0.1,
                    rtt_s=0.001, bits_per_s=1000.0,
                )
            )  # fmt: skip
    manifest = describe(scenario(), Shard(blocks=SLOTS), verb="emulate-network")
    return NetworkRun(manifest, scenario(), tuple(made), simulation().duration_s)


def beside_itself(**changes: str) -> Beside:
    """Return the simulation compared with itself."""
    return emulated.compare(as_if_emulated(simulation().events, **changes), simulation())


def test_equal_runs_are_said_to_be_equal_block_by_block() -> None:
    beside = beside_itself()

    assert beside.equal == beside.compared == SLOTS
    assert beside.missing == 0
    assert all(both.emulated == both.simulated for both in beside.totals.values())
    assert sentences(beside)[0].startswith(f"All {SLOTS} blocks that both runs distilled are equal in every count")


def test_a_block_with_one_bit_less_of_key_is_named() -> None:
    events = list(simulation().events)
    place = next(place for place, event in enumerate(events) if isinstance(event, BlockDistilled))
    block = events[place].block  # type: ignore[union-attr]
    shorter = msgspec.structs.replace(block, ledger=msgspec.structs.replace(block.ledger, final=block.ledger.final - 1))
    events[place] = msgspec.structs.replace(events[place], block=shorter)

    beside = emulated.compare(as_if_emulated(tuple(events)), simulation())

    assert (beside.equal, beside.compared) == (SLOTS - 1, SLOTS)
    assert f"not equal: {block.link} {block.block}" in sentences(beside)[0]


def test_blocks_that_were_lost_are_missing_and_the_loss_is_told() -> None:
    gone = next(event.block for event in simulation().events if isinstance(event, BlockDistilled))
    events = tuple(
        event for event in simulation().events if not (isinstance(event, BlockDistilled) and event.block == gone)
    )
    lost = BlockLost(at_s=1.0, link=gone.link, node="bob", blocks=(gone.block,), reason="alice lacks them")

    beside = emulated.compare(as_if_emulated((lost, *events)), simulation())

    assert beside.missing == 1
    assert next(link for link in beside.links if link.link == gone.link).only_simulated == (gone.block,)
    assert any("1 blocks of the simulation are missing" in text for text in sentences(beside))
    assert any("bob gave up 1 block(s)" in text for text in beside.problems)


def test_a_run_that_was_cut_is_compared_with_as_many_slots() -> None:
    begun = [event for event in simulation().events if isinstance(event, SlotBegan)]
    cut = as_if_emulated(tuple(event for event in simulation().events if event.at_s < begun[11].at_s))

    schedule = emulated.counterpart(cut).schedule
    assert schedule is not None
    assert schedule.slots == 11
    assert emulated.as_run(cut).duration_s == pytest.approx(11 * schedule.wall_slot_s)
    assert emulated.compare(cut, None).cut


def test_what_a_simulation_cannot_have_is_left_out_and_named() -> None:
    faults = {
        "store": Fault(at_s=1.0, until_s=2.0, store="alice"),
        "cut": Fault(at_s=1.0, until_s=2.0, cut="alice-bob"),
    }
    run = as_if_emulated((FaultChanged(at_s=6.0, fault="store", active=True), *simulation().events))
    run = NetworkRun(run.manifest, msgspec.structs.replace(run.scenario, fault=faults), run.events, run.duration_s)

    assert list(emulated.counterpart(run).fault) == ["cut"]
    beside = emulated.compare(run, simulation())
    assert beside.unknown_faults == ("store",)
    assert beside.undisturbed is not None
    equal, compared = beside.undisturbed
    assert 0 < equal == compared < SLOTS


def test_key_servers_without_tunnels_are_simulated_without_tunnels() -> None:
    events = tuple(event for event in simulation().events if isinstance(event, SlotBegan | BlockDistilled))
    manifest = describe(scenario(), Shard(blocks=SLOTS), verb="emulate-network")
    run = NetworkRun(manifest, scenario(), events, simulation().duration_s)

    assert emulated.counterpart(run).tunnel == {}
    assert emulated.channel(run) == ""


def test_channels_are_named_with_what_they_show() -> None:
    def words(channel: str) -> str:
        return " ".join(sentences(beside_itself(channel=channel)))

    assert "IKE and ESP were not involved" in words("aead")
    assert "encrypted in user space" in words("ipsec (kernel-libipsec, bridge)")
    assert "authentication only" in words("ipsec (kernel-libipsec, bridge)")
    assert "their traffic was not measured" in words("ipsec (attached gateways)")


def test_rows_hold_both_runs_and_the_refreshes() -> None:
    beside = beside_itself()
    found = {row.quantity: row for row in rows(beside, "individual")}

    assert found["blocks, simulated"].mean == SLOTS
    assert found["blocks, simulated"].accounting == "individual"
    assert found["refresh_p50_s"].mean == pytest.approx(sorted(beside.refreshes_s)[(len(beside.refreshes_s) - 1) // 2])
    assert found["probes_lost"].mean == len(beside.refreshes_s)
    assert "psk: authentication only" in found["refresh_p50_s"].note
    quantities = [row.quantity for row in report(as_if_emulated(simulation().events), beside).rows]
    assert {"blocks", "blocks_equal", "refresh_p99_s"} <= set(quantities)


def test_an_earlier_simulation_is_read_and_one_that_was_cut_is_run_again(tmp_path: Path) -> None:
    run = as_if_emulated(simulation().events)
    ran: list[Event] = []

    first = emulated.simulated(run, tmp_path, watch=ran.append)
    assert ran
    ran.clear()
    second = emulated.simulated(run, tmp_path, watch=ran.append)
    assert not ran
    assert first == second
    (tmp_path / "simulated" / "complete").unlink()
    emulated.simulated(run, tmp_path, watch=ran.append)
    assert ran


def test_the_page_has_both_runs_and_stands_without_a_simulation_too(tmp_path: Path) -> None:
    run, beside = as_if_emulated(simulation().events), beside_itself()
    alone = emulated.compare(run, None)

    both = emulation_page.run_page(
        run, simulation(), beside, sentences(beside), report(run, beside), tmp_path / "both"
    ).read_text()
    one = emulation_page.run_page(run, None, alone, sentences(alone), report(run, alone), tmp_path / "one").read_text()

    assert both.count("<img ") == 7
    assert f"<dd>{SLOTS} of {SLOTS}</dd>" in both
    assert "psk, authentication only" in both
    assert one.count("<img ") == 6
    assert "not simulated for comparison" in one
    assert "equal blocks" not in one
