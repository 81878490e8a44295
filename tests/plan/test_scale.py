"""Data centres that grow: keys per tunnel against users."""

import pytest

from bellweave.errors import ScenarioError
from bellweave.plan.margin import margin
from bellweave.plan.scale import scale
from bellweave.plan.supply import slot_yields
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.scenario.scaled import scaled


def test_round_robin_falls_with_the_square_and_demand_with_the_number_of_users() -> None:
    found = {(point.users, point.scheduler): point for point in scale(load("datacenter"), [16, 32, 64]).points}

    for scheduler, power in (("round-robin", 2), ("optimum", 1)):
        small, large = (found[users, scheduler].keys_per_hour for users in (32, 64))  # type: ignore[index]
        assert small / large == pytest.approx(2**power, rel=0.05)
    assert found[64, "round-robin"].links == 2016


def test_where_one_source_stops_being_enough_two_are_needed() -> None:
    modern = load("datacenter-modern")
    last = scale(modern, [4]).enough_until["round-robin"]

    by_users = {p.users: p for p in scale(modern, [last, last + 1]).points if p.scheduler == "round-robin"}

    assert [by_users[users].sources_needed for users in (last, last + 1)] == [1, 2]
    assert by_users[last].keys_per_hour == pytest.approx(60.0)
    assert by_users[last + 1].keys_per_hour < 60.0


def test_a_tunnel_between_every_pair_agrees_with_the_margin_of_the_scenario_itself() -> None:
    """One tunnel a user and three users: every pair has one."""
    modern = changed(load("datacenter-modern"), {"source.eps.pair_rate_hz": 185_000.0})
    three = scaled(modern, 3)

    found = {point.scheduler: point for point in scale(three, [3]).points}
    tight = margin(three, slot_yields(three))

    assert tight is not None
    assert found["round-robin"].keys_per_hour == pytest.approx(60.0 * min(1.0, tight.factor))


def test_nothing_serves_devices_that_give_no_key() -> None:
    found = scale(changed(load("datacenter"), {"kms.mint": "provable"}), [4, 128])

    assert {point.sources_needed for point in found.points} == {None}
    assert {point.keys_per_hour for point in found.points} == {0.0}
    assert set(found.enough_until.values()) == {1}


@pytest.mark.parametrize("users", [1, 1025])
def test_impossible_numbers_of_users_are_refused(users: int) -> None:
    with pytest.raises(ScenarioError, match=f"users: a data centre has 2 to 1024 users, got {users}"):
        scale(load("datacenter"), [users])
