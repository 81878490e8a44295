"""Designs: enough, no more than enough, confirmed by photons; and refusals with their numbers."""

import msgspec
import pytest

from bellweave.errors import ScenarioError
from bellweave.plan.design import QUANTITIES, Quantity, met, solve
from bellweave.plan.network import plan_network
from bellweave.plan.wish import wished
from bellweave.results.network_records import Starved
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load, parse, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network

HEADROOM = 0.2


def paper(**changes: object) -> Scenario:
    """The paper's data centre with 256-bit keys each minute for twelve tunnels."""
    return wished(changed(load("datacenter"), {"run.level": "coincidences"} | changes), key_bits=256, period_s=60.0)


def factor(scenario: Scenario) -> float:
    found = met(scenario)
    assert found is not None
    return found.factor


@pytest.mark.parametrize(
    ("quantity", "paths"),
    [
        ("brightness", ["source.eps.local_pair_rate_hz"]),
        ("period", [f"tunnel.{name}.period_s" for name in load("datacenter").tunnel]),
    ],
)
def test_what_is_solved_for_is_enough_and_a_hundredth_less_is_not(quantity: Quantity, paths: list[str]) -> None:
    found = solve(paper(), quantity, HEADROOM)

    assert found.design.value is not None
    assert found.scenario is not None
    assert factor(found.scenario) >= 1.0 + HEADROOM
    less = changed(found.scenario, {path: 0.99 * found.design.changes[path] for path in paths})
    assert factor(less) < 1.0 + HEADROOM


def test_the_shortest_slot_that_is_enough_is_found() -> None:
    found = solve(load("datacenter-modern"), "slot", HEADROOM)

    assert found.scenario is not None
    assert factor(found.scenario) >= 1.0 + HEADROOM
    slot_s = found.design.changes["schedule.slot_s"]
    assert factor(changed(found.scenario, {"schedule.slot_s": 0.99 * slot_s})) < 1.0 + HEADROOM
    schedule = found.scenario.schedule
    assert schedule is not None
    assert schedule.slots is not None
    assert schedule.slots * schedule.slot_s == pytest.approx(600.0, abs=slot_s)  # the run stays as long


def test_the_fewest_sources_that_are_enough_are_found() -> None:
    found = solve(paper(), "sources", headroom=0.05)

    assert (found.design.value, found.design.changes) == (2.0, {"schedule.sources": 2})
    assert factor(paper()) < 1.05 <= (found.design.factor or 0.0)


def test_the_most_users_that_are_served_are_found() -> None:
    found = solve(load("datacenter-modern"), "users", HEADROOM)

    assert found.scenario is not None
    assert found.design.value == len(found.scenario.node)
    assert len(found.scenario.tunnel) == 2 * len(found.scenario.link)
    assert factor(found.scenario) >= 1.0 + HEADROOM
    assert found.design.factor is not None
    users = found.design.value
    assert (
        found.design.factor * (users - 1) / (users + 1) < 1.0 + HEADROOM
    )  # a round of one user more is that much longer


def test_photons_confirm_a_design() -> None:
    found = solve(paper(), "brightness", HEADROOM)
    assert found.scenario is not None
    scenario = parse(to_toml(changed(found.scenario, {"schedule.slots": 150})))
    steady_s = plan_network(scenario).steady_s
    assert steady_s is not None

    late = [e for e in simulate_network(scenario).events if isinstance(e, Starved) and e.at_s > steady_s]
    before = [e for e in simulate_network(paper(**{"schedule.slots": 150})).events if isinstance(e, Starved)]

    assert not late
    assert len(before) > 100


def test_what_no_brightness_can_give_is_refused_with_the_best_there_is() -> None:
    found = solve(wished(load("datacenter"), key_bits=8192, period_s=1.0), "brightness", HEADROOM)

    design = found.design
    assert (design.value, found.scenario, design.changes) == (None, None, {})
    assert design.best is not None
    assert design.factor is not None
    assert 0.0 < design.factor < 1.0
    assert f"at most {design.factor / 1.2:.1%} of what is needed" in design.why
    assert "accidental coincidences" in design.why


def test_the_best_brightness_is_better_than_a_bit_more_and_a_bit_less() -> None:
    scenario = wished(load("datacenter"), key_bits=8192, period_s=1.0)
    best_hz = solve(scenario, "brightness").design.best
    assert best_hz is not None

    def at(rate_hz: float) -> float:
        return factor(changed(scenario, {"source.eps.local_pair_rate_hz": rate_hz}))

    assert at(best_hz) > max(at(0.7 * best_hz), at(1.4 * best_hz))


@pytest.mark.parametrize("quantity", ["brightness", "sources", "period", "users"])
def test_blocks_without_provable_key_say_how_many_must_be_accumulated(quantity: Quantity) -> None:
    found = solve(paper(**{"kms.mint": "provable"}), quantity, HEADROOM)

    assert (found.design.value, found.design.best, found.design.factor) == (None, None, 0.0)
    assert "1170 sifted bits a slot" in found.design.why
    assert "distill.accumulate_blocks = 43 gives the first" in found.design.why


def test_more_sources_than_pairs_of_users_do_not_help() -> None:
    design = solve(paper(), "sources", headroom=5.0).design

    assert (design.value, design.best) == (None, 2.0)
    assert "4 users make at most 2 pairs at once" in design.why


def test_a_table_of_slots_has_no_more_sources_and_no_more_users() -> None:
    scenario = changed(load("datacenter"), {"schedule.scheduler": "table", "schedule.table": [["alice-bob"]]})

    with pytest.raises(ScenarioError, match=r"schedule\.scheduler: a fixed table"):
        solve(scenario, "sources")
    with pytest.raises(ScenarioError, match=r"tunnel: no tunnel asks for key"):
        solve(msgspec.structs.replace(scenario, tunnel={}), "brightness")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_scenarios_that_have_enough_may_have_less(quantity: Quantity) -> None:
    design = solve(load("datacenter-modern"), quantity, HEADROOM).design

    assert design.value is not None
    assert design.value >= design.now if quantity == "users" else design.value <= design.now


def test_tunnels_are_dealt_out_over_the_links_in_both_directions() -> None:
    scenario = wished(load("datacenter"), tunnels=8, key_bits=128)

    ends = {name: (tunnel.client, tunnel.server) for name, tunnel in scenario.tunnel.items()}
    assert len(ends) == 8
    assert ends["alice-bob-1"] == ("alice", "bob")
    assert {name for name in ends if name.endswith("-2")} == {"alice-bob-2", "alice-charlie-2"}
    assert ends["alice-charlie-2"] == ("charlie", "alice")
    assert {tunnel.key_bits for tunnel in scenario.tunnel.values()} == {128}
    assert wished(load("datacenter"), tunnels=12) == load("datacenter")


def test_keys_of_a_size_that_the_kms_does_not_give_are_refused() -> None:
    with pytest.raises(ScenarioError, match=r"key_bits: the KMS gives a multiple of 8 from 64 to 8192, got 100"):
        wished(load("datacenter"), key_bits=100)
