"""Slots that pass faster than the key servers' clock: the same photons in less time, so more key a second."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bellweave.cli import app
from bellweave.errors import ScenarioError
from bellweave.plan.network import plan_network
from bellweave.report.network_timeline import timeline
from bellweave.results.io import read_events
from bellweave.results.network_records import BlockDistilled, Delivered, FaultChanged, SlotBegan
from bellweave.results.records import BlockRecord
from bellweave.scenario.changes import hastened
from bellweave.scenario.load import load, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.summary import summarise
from bellweave.testing.data_centres import small

SWITCH = {"reconfiguration_s": 0.5, "synchronisation_s": 1.0}
FAULT = {
    "spy": {"at_s": 52.5, "until_s": 105.0, "set": {"link.user1-user2.eavesdropper": {"fraction": 1.0}}},
    "dark": {"at_s": 200.0, "until_s": 260.0, "down": "user3"},
}


def blocks(run: NetworkRun) -> list[BlockRecord]:
    return [event.block for event in run.events if isinstance(event, BlockDistilled)]


def eventful(speed: float) -> NetworkRun:
    scenario = small(3, 60, tunnels=0, switch=SWITCH, fault=FAULT, drift={"rad_per_sqrt_hour": 1.0})
    return simulate_network(hastened(scenario, speed))


def test_photons_drift_and_faults_are_the_same_whatever_the_speed() -> None:
    one, ten = eventful(1.0), eventful(10.0)

    assert blocks(one) == blocks(ten)
    assert len(blocks(ten)) > 40
    for kind in (SlotBegan, FaultChanged):
        moments = [[event.at_s for event in run.events if isinstance(event, kind)] for run in (one, ten)]
        assert moments[1] == pytest.approx([at_s / 10.0 for at_s in moments[0]])


def test_a_summary_of_a_fast_run_has_the_shares_of_a_slow_one_and_its_own_seconds() -> None:
    one, ten = summarise(eventful(1.0)), summarise(eventful(10.0))

    assert (one.duration_s, ten.duration_s) == (630.0, 63.0)
    assert ten.utilisation == one.utilisation < 1.0
    assert ten.lost_share == one.lost_share > 0.0
    assert ten.wait_mean_s == pytest.approx(one.wait_mean_s / 10.0)
    assert ten.minted.final_bits == one.minted.final_bits


def saturated(speed: float) -> Scenario:
    """Ask for far more key than there is: so every key that comes is delivered."""
    return hastened(small(2, 240, every_tunnel={"period_s": 0.5, "start_s": 1.0}), speed)


@pytest.mark.agreement
@pytest.mark.parametrize("speed", [4.0, 20.0])
def test_keys_a_second_grow_with_the_speed_as_long_as_more_are_asked_for(speed: float) -> None:
    def keys_per_s(scenario: Scenario) -> float:
        run = simulate_network(scenario)
        given = [event for event in run.events if isinstance(event, Delivered) and event.key_id]
        return sum(event.side == "client" for event in given) / run.duration_s

    slow, fast = keys_per_s(saturated(1.0)), keys_per_s(saturated(speed))
    bits = plan_network(saturated(speed)).links[0].supply_bps

    asked = 2.0  # one tunnel, every half second
    assert fast == pytest.approx(min(asked, slow * speed), rel=0.05)
    assert fast == pytest.approx(min(asked, bits / 128.0), rel=0.1)


def test_a_plan_of_a_fast_network_expects_the_same_key_in_less_time() -> None:
    one, ten = (plan_network(hastened(load("datacenter-modern"), speed)) for speed in (1.0, 10.0))

    assert ten.duration_s == one.duration_s / 10.0
    assert ten.links[0].supply_bps == pytest.approx(10.0 * one.links[0].supply_bps)
    assert ten.source_share == one.source_share


def test_the_timeline_of_a_fast_run_can_be_drawn(tmp_path: Path) -> None:
    run = simulate_network(hastened(small(3, 12, switch=SWITCH), 10.0))

    assert all(path.exists() for path in timeline(run, "fast", tmp_path))


def written(scenario: Scenario, folder: Path) -> str:
    path = folder / "scenario.toml"
    path.write_text(to_toml(scenario))
    return str(path)


def test_the_command_line_takes_a_speed_and_a_report_of_the_directory_knows_it(tmp_path: Path) -> None:
    out, scenario = tmp_path / "run", written(small(2, 12), tmp_path)
    done = CliRunner().invoke(app, ["simulate", scenario, "--out", str(out), "--speed", "5", "--no-figures"])

    assert done.exit_code == 0, done.output
    assert max(event.at_s for event in read_events(out) if isinstance(event, SlotBegan)) == pytest.approx(11 * 2.1)
    schedule = load(out / "scenario.toml").schedule
    assert schedule is not None
    assert schedule.speed == 5.0
    again = CliRunner().invoke(app, ["report", str(out)])
    assert again.exit_code == 0, again.output
    assert "25 s" in (out / "report.html").read_text()


def test_a_link_has_no_speed_and_a_network_none_below_zero(tmp_path: Path) -> None:
    link = CliRunner().invoke(app, ["simulate", "vienna2004", "--speed", "5"])

    assert link.exit_code != 0
    assert "schedule.speed" in str(link.exception or link.output)
    for speed in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ScenarioError, match=r"schedule\.speed: a speed is a number > 0"):
            hastened(small(2, 2), speed)
