"""Plans of networks: budgets that add up, times to key, and what is doubtful."""

from collections.abc import Callable

import msgspec
import pytest

from bellweave.plan.network import plan_network
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import summarise


def with_schedule(scenario: Scenario, **values: object) -> Scenario:
    assert scenario.schedule is not None
    return msgspec.structs.replace(scenario, schedule=msgspec.structs.replace(scenario.schedule, **values))


def with_tunnels(scenario: Scenario, **values: object) -> Scenario:
    tunnels = {name: msgspec.structs.replace(tunnel, **values) for name, tunnel in scenario.tunnel.items()}
    return msgspec.structs.replace(scenario, tunnel=tunnels)


def test_a_simulation_of_the_papers_network_does_as_its_plan_says() -> None:
    scenario = load("datacenter")
    run = msgspec.structs.replace(scenario.run, level="coincidences")

    plan = plan_network(scenario)
    done = summarise(simulate_network(msgspec.structs.replace(scenario, run=run)))

    assert done.minted.sessions == pytest.approx(plan.run_keys, rel=0.1)
    assert plan.first_key_s is not None
    assert done.minted.first_key_s == pytest.approx(plan.first_key_s, abs=0.1)
    assert done.minted.sifted_bits == pytest.approx(
        sum(link.run_slots * link.slot.sifted_bits for link in plan.links), rel=4 * 1170**-0.5 / 10
    )
    assert done.utilisation == pytest.approx(plan.source_share)


def test_the_papers_tunnels_ask_for_four_times_what_comes_and_half_of_them_starve() -> None:
    plan = plan_network(load("datacenter"))

    assert plan.demand_factor == pytest.approx(0.275, abs=0.005)
    assert (plan.run_asked, plan.steady_s, plan.all_keyed_s) == (204, None, None)
    assert sum("are expected: the periods would have to be 3.64 times as long" in each for each in plan.warnings) == 6
    assert sum("some never get a key" in each for each in plan.warnings) == 6


def test_todays_devices_serve_every_tunnel_from_the_start() -> None:
    plan = plan_network(load("datacenter-modern"))

    assert plan.warnings == ()
    assert plan.run_keys == plan.run_asked == 120
    assert plan.first_key_s == 10.0
    assert plan.steady_s == 20.0  # tunnels begin a second apart: the last link's first one then
    assert plan.all_keyed_s == 21.0  # and its second one
    assert plan.demand_factor is not None
    assert plan.demand_factor > 100


def test_the_largest_sustainable_rate_is_sustained_and_no_more() -> None:
    scenario = load("datacenter")
    period_s = plan_network(scenario).links[0].moments.shortest_period_s
    assert period_s is not None

    sustained = plan_network(with_tunnels(scenario, period_s=period_s * 1.0001))
    too_fast = plan_network(with_tunnels(scenario, period_s=period_s * 0.9999))

    assert not any("are expected" in each for each in sustained.warnings)
    assert sum("are expected" in each for each in too_fast.warnings) == 6
    assert sustained.demand_factor == pytest.approx(1.0001)


def test_shares_of_time_add_up() -> None:
    plan = plan_network(with_schedule(load("datacenter-modern"), sources=2))

    assert plan.source_share + plan.switching_share == pytest.approx(1.0)
    assert sum(plan.user_share.values()) == pytest.approx(2 * 2 * plan.source_share)
    assert sum(link.slot_share for link in plan.links) == pytest.approx(2.0)


def with_turns(scenario: Scenario) -> Scenario:
    return msgspec.structs.replace(scenario, kms=msgspec.structs.replace(scenario.kms, low_keys=1, high_keys=1))


def half_a_period_apart(scenario: Scenario) -> Scenario:
    tunnels = {
        name: msgspec.structs.replace(tunnel, start_s=60.0 + 30.0 * (at % 2))
        for at, (name, tunnel) in enumerate(scenario.tunnel.items())
    }
    return msgspec.structs.replace(scenario, tunnel=tunnels)


def with_patience(scenario: Scenario) -> Scenario:
    return with_tunnels(scenario, retry_s=5.0)


@pytest.mark.parametrize(
    ("changed", "everyone"), [(with_patience, False), (half_a_period_apart, True), (with_turns, True)]
)
def test_who_starves_where_key_is_scarce_is_planned_as_it_is_simulated(
    changed: Callable[[Scenario], Scenario], everyone: bool
) -> None:
    scenario = changed(load("datacenter"))
    run = msgspec.structs.replace(scenario.run, level="coincidences")

    plan = plan_network(scenario)
    done = summarise(simulate_network(msgspec.structs.replace(scenario, run=run)))

    assert (plan.all_keyed_s is not None) == everyone
    assert sum("some never get a key" in each for each in plan.warnings) == (0 if everyone else 6)
    firsts_s = [tunnel.first_key_s for tunnel in done.tunnels.values() if tunnel.first_key_s is not None]
    assert len(firsts_s) == (12 if everyone else 6)
    if plan.all_keyed_s is not None:
        assert max(firsts_s) == pytest.approx(plan.all_keyed_s, abs=60.1)


def test_tunnels_that_retry_all_get_a_key_where_one_period_has_enough_for_all() -> None:
    scenario = with_tunnels(load("datacenter"), retry_s=5.0, period_s=200.0, start_s=60.0)

    plan = plan_network(scenario)

    assert plan.all_keyed_s is not None
    assert not any("some never" in each for each in plan.warnings)


def test_a_run_that_ends_before_anybody_has_a_key_is_warned_about() -> None:
    plan = plan_network(with_turns(with_schedule(load("datacenter"), slots=10)))

    assert any("the run ends after 105 s, every tunnel has had a key from" in each for each in plan.warnings)


def test_a_link_that_is_in_no_slot_gives_nothing() -> None:
    scenario = with_schedule(load("datacenter"), scheduler="table", table=(("alice-bob",),))

    plan = plan_network(scenario)

    served, other = plan.links[0], plan.links[1]
    assert served.supply_bps > 0.0 == other.supply_bps
    assert (other.moments.first_key_s, other.run_provable_bits) == (None, 0.0)
    assert plan.demand_factor == 0.0
    assert any("alice-diana is in no slot" in each for each in plan.warnings)


@pytest.mark.parametrize("scheduler", ["deficit", "optimum"])
def test_schedulers_that_go_by_demand_are_planned_to_serve_demand_alone(scheduler: str) -> None:
    scenario = load("datacenter")
    only = {name: tunnel for name, tunnel in scenario.tunnel.items() if name.startswith("alice-bob")}
    plan = plan_network(with_schedule(msgspec.structs.replace(scenario, tunnel=only), scheduler=scheduler))

    assert plan.links[0].slot_share == pytest.approx(1.0)
    assert plan.demand_factor == pytest.approx(6 * 0.275, abs=0.02)
    assert plan.limited_by == "schedule.sources"
    assert plan.steady_s is not None
    assert not any("are expected" in each for each in plan.warnings)
