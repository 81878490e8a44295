"""What is known of a run while it goes on, from its events; hand-made ones, and those of a real run."""

from functools import cache

import msgspec
import pytest

from bellweave.report.live_model import KEPT, LiveState, headline
from bellweave.results.network_records import (
    Alarmed,
    BlockDistilled,
    BlockLost,
    FaultChanged,
    LevelSampled,
    Probed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
    SessionEnded,
    Starved,
)
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.summary import summarise

TUNNEL, LINK = "alice-bob-1", "alice-bob"


@cache
def scenario() -> Scenario:
    """Return the network of the data-centre paper."""
    return load("datacenter")


@cache
def simulated() -> NetworkRun:
    """Return a short run of it."""
    given = scenario()
    assert given.schedule is not None
    return simulate_network(
        msgspec.structs.replace(
            given,
            schedule=msgspec.structs.replace(given.schedule, slots=40),
            run=msgspec.structs.replace(given.run, level="coincidences"),
        )
    )


def test_a_run_that_is_over_counts_what_its_summary_counts() -> None:
    run = simulated()
    summary = summarise(run)
    state = LiveState(run.scenario)

    state.take_all(run.events)

    assert state.delivered == summary.minted.keys_delivered > 0
    for name, link in summary.links.items():
        assert state.links[name].blocks == link.blocks > 0
        assert state.links[name].rejected == link.rejected
        assert state.links[name].level_bits == link.level_bits
    for name, tunnel in summary.tunnels.items():
        assert state.tunnels[name].keys == tunnel.sessions
        assert state.tunnels[name].refused == tunnel.refused


def test_a_session_that_was_replaced_leaves_its_tunnel_up_and_one_that_failed_takes_it_down() -> None:
    state = LiveState(scenario())
    tunnel = state.tunnels[TUNNEL]
    assert (tunnel.state, tunnel.keys) == ("waiting", 0)

    state.take(SessionBegan(at_s=1.0, tunnel=TUNNEL, key_id="old"))
    state.take(SessionBegan(at_s=5.0, tunnel=TUNNEL, key_id="new"))
    state.take(SessionEnded(at_s=5.1, tunnel=TUNNEL, key_id="old", reason="replaced"))
    assert (tunnel.state, tunnel.keys, tunnel.age_s(7.0)) == ("up", 2, 2.0)
    state.take(SessionBegan(at_s=8.0, tunnel=TUNNEL, key_id="new", renewed=True))
    assert (tunnel.keys, tunnel.age_s(9.0)) == (2, 4.0)
    state.take(SessionEnded(at_s=9.0, tunnel=TUNNEL, key_id="new", reason="failed"))

    assert (tunnel.state, tunnel.age_s(10.0)) == ("down", None)
    assert state.up == 0


def test_the_key_rate_is_that_of_the_last_seconds() -> None:
    state = LiveState(scenario())
    block = next(event for event in simulated().events if isinstance(event, BlockDistilled))
    name = block.block.link
    for at_s in (1.0, 12.0, 14.0):
        state.take(msgspec.structs.replace(block, at_s=at_s, ingested_bits=1000))

    assert state.links[name].key_bits == 3000
    assert state.links[name].rate_bps(14.0) == pytest.approx(200.0)
    assert state.links[name].rate_bps(40.0) == 0.0


def test_alarms_faults_and_lost_processes_stay_until_they_are_over() -> None:
    state = LiveState(scenario())
    state.take(Alarmed(at_s=1.0, link=LINK, reason="qber", qber=0.25))
    state.take(FaultChanged(at_s=2.0, fault="eve", active=True))
    state.take(ProcessChanged(at_s=3.0, process="bob", state="killed"))
    assert (state.links[LINK].alarm, state.faults, state.away) == ("qber", {"eve": 2.0}, {"bob": "killed"})

    state.take(Alarmed(at_s=4.0, link=LINK, reason="qber", qber=0.01, over=True))
    state.take(FaultChanged(at_s=5.0, fault="eve", active=False))
    state.take(ProcessChanged(at_s=6.0, process="bob", state="started"))

    assert (state.links[LINK].alarm, state.faults, state.away) == ("", {}, {})


def test_probes_and_refreshes_are_counted_and_make_no_lines() -> None:
    state = LiveState(scenario())
    for at_s in (1.0, 2.0):
        probed = Probed(
            at_s=at_s, tunnel=TUNNEL, sent=20, received=19, lost=1, longest_gap_s=0.1, rtt_s=0.002, bits_per_s=1.0
        )
        state.take(probed)
    state.take(Refreshed(at_s=2.0, tunnel=TUNNEL, key_id="k", enc_s=0.1, peer_s=0.1, switch_s=0.1, total_s=0.3))

    tunnel = state.tunnels[TUNNEL]
    assert (tunnel.sent, tunnel.lost, tunnel.rtt_s, tunnel.refresh_s) == (40, 2, 0.002, 0.3)
    assert not state.text


def test_the_last_lines_are_kept_and_no_more() -> None:
    state = LiveState(scenario())
    for number in range(2 * KEPT):
        state.take(Starved(at_s=float(number), tunnel=TUNNEL, reason="not_enough_key", held=False))

    assert len(state.text) == KEPT
    assert state.text[-1][0] == 2.0 * KEPT - 1.0
    assert state.tunnels[TUNNEL].starved == "not_enough_key"


def test_lines_say_what_matters_and_samples_make_none() -> None:
    lost = BlockLost(at_s=1.0, link=LINK, node="bob", blocks=(3, 4), reason="alice lacks them")

    assert headline(lost) == "alice-bob: bob gives up blocks 3, 4, alice lacks them"
    assert headline(Alarmed(at_s=1.0, link=LINK, reason="qber", qber=0.2)) == "ALARM, alice-bob: qber"
    assert headline(SessionEnded(at_s=1.0, tunnel=TUNNEL, key_id="k", reason="replaced")) == ""
    assert headline(SessionEnded(at_s=1.0, tunnel=TUNNEL, key_id="k", reason="failed")).endswith("over, failed")
    assert headline(LevelSampled(at_s=1.0, link=LINK, level_bits=1, waiting_bits=0)) == ""
