"""Closed forms of a network that takes turns, against counting it out."""

import math
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.network.expectation import bits_per_s, slot_shares
from bellweave.network.params import Schedule
from bellweave.network.theory import (
    Demand,
    Supply,
    first_key_s,
    keys_with_waiting,
    keys_without_waiting,
    largest_refresh_hz,
    link_bits_per_s,
    most_users,
    round_bound,
    round_slots,
    shortest_period_s,
    sources_needed,
    steady_s,
    turns,
    utilisation,
    wait_s,
)
from bellweave.testing.networks import complete

SUPPLIES = st.builds(
    Supply,
    first_s=st.integers(1, 50).map(float),
    every_s=st.integers(1, 50).map(float),
    bits=st.integers(1, 900).map(float),
)
DEMANDS = st.builds(
    Demand,
    start_s=st.integers(0, 60).map(float),
    period_s=st.integers(1, 60).map(float),
    key_bits=st.sampled_from([64.0, 256.0, 512.0]),
    tunnels=st.integers(1, 3),
)


@given(supply=SUPPLIES, demand=DEMANDS, until_s=st.integers(0, 400))
def test_keys_are_those_of_a_ledger_that_is_kept_second_by_second(supply: Supply, demand: Demand, until_s: int) -> None:
    stock, waiting, patient = 0.0, 0, 0
    lost_stock, impatient = 0.0, 0
    for now_s in range(until_s + 1):
        if now_s >= supply.first_s and (now_s - supply.first_s) % supply.every_s == 0:
            stock, lost_stock = stock + supply.bits, lost_stock + supply.bits
        if now_s >= demand.start_s and (now_s - demand.start_s) % demand.period_s == 0:
            waiting += demand.tunnels
            given_now = min(demand.tunnels, math.floor(lost_stock / demand.key_bits))
            impatient, lost_stock = impatient + given_now, lost_stock - given_now * demand.key_bits
        while waiting and stock >= demand.key_bits:
            waiting, stock, patient = waiting - 1, stock - demand.key_bits, patient + 1

    assert keys_with_waiting(supply, demand, float(until_s)) == patient
    assert keys_without_waiting(supply, demand, float(until_s)) == impatient


@given(supply=SUPPLIES, demand=DEMANDS, key=st.integers(0, 60))
def test_a_key_s_wait_ends_at_the_block_that_completes_it(supply: Supply, demand: Demand, key: int) -> None:
    there_s = demand.asked_s(key) + wait_s(supply, demand, key)

    assert supply.bits_until(there_s) >= (key + 1) * demand.key_bits
    if wait_s(supply, demand, key) > 0.0:
        assert supply.bits_until(there_s - 0.5) < (key + 1) * demand.key_bits


@given(supply=SUPPLIES, demand=DEMANDS)
def test_from_the_steady_state_on_nobody_waits_and_just_before_somebody_did(supply: Supply, demand: Demand) -> None:
    steady = steady_s(supply, demand)

    if steady is None:
        assert supply.bits_per_s <= demand.bits_per_s
        return
    waits = {key: wait_s(supply, demand, key) for key in range(600)}
    assert all(wait == 0.0 for key, wait in waits.items() if demand.asked_s(key) >= steady)
    if steady > demand.start_s:
        before = [key for key in waits if demand.asked_s(key) == steady - demand.period_s]
        assert not before or any(waits[key] > 0.0 for key in before)


def test_the_first_key_takes_the_first_slot_accumulation_and_enough_blocks() -> None:
    assert first_key_s(turns(0, 6, 10.0, 512.0), 512) == 10.0
    assert first_key_s(turns(2, 6, 10.0, 512.0), 512) == 30.0
    assert first_key_s(turns(2, 6, 10.0, 512.0, blocks=5), 512) == 270.0  # the slot of the fifth round
    assert first_key_s(turns(2, 6, 10.0, 200.0, blocks=5), 512) == 270.0 + 2 * 300.0
    assert first_key_s(turns(0, 6, 10.0, 0.0), 512) == math.inf


def test_the_shortest_period_is_what_supply_and_demand_balance_at() -> None:
    period_s = shortest_period_s(8.0, 512.0, tunnels=2)

    assert Demand(0.0, period_s, 512.0, tunnels=2).bits_per_s == pytest.approx(8.0)
    assert largest_refresh_hz(8.0, 512.0, tunnels=2) == pytest.approx(1.0 / period_s)
    assert shortest_period_s(0.0, 512.0) == math.inf


@pytest.mark.parametrize("sources", [1, 2, 5])
@pytest.mark.parametrize("users", [4, 5, 12])
def test_utilisation_is_what_counting_a_round_gives(users: int, sources: int) -> None:
    slots, links = round_slots(users, sources), list(combinations(range(users), 2))

    busy = utilisation(users, sources, 0.1, 1.0)

    assert busy.source == pytest.approx(0.9 * len(links) / (slots * sources))
    assert busy.user == pytest.approx(0.9 * sum(0 in link for link in links) / slots)


@given(sources=st.integers(1, 20), slot_bits=st.floats(1.0, 1e5), demand=st.floats(0.01, 100.0))
def test_one_user_more_than_the_most_is_too_many(sources: int, slot_bits: float, demand: float) -> None:
    users = most_users(sources, 1.0, slot_bits, demand)

    assert users == 1 or link_bits_per_s(users, sources, 1.0, slot_bits) >= demand * (1.0 - 1e-6)
    assert link_bits_per_s(users + 1, sources, 1.0, slot_bits) < demand * (1.0 + 1e-6)


@given(users=st.integers(2, 100), slot_bits=st.floats(1.0, 1e5), demand=st.floats(0.01, 100.0))
def test_one_source_less_than_needed_is_too_few(users: int, slot_bits: float, demand: float) -> None:
    needed = sources_needed(users, 1.0, slot_bits, demand)

    if needed is None:
        assert link_bits_per_s(users, users, 1.0, slot_bits) < demand * (1.0 + 1e-6)
        return
    assert link_bits_per_s(users, needed, 1.0, slot_bits) >= demand * (1.0 - 1e-6)
    if needed > 1:
        assert link_bits_per_s(users, needed - 1, 1.0, slot_bits) < demand * (1.0 + 1e-6)


def test_a_star_takes_as_many_slots_as_it_has_rays() -> None:
    assert round_bound([("hub", str(ray)) for ray in range(7)], 4) == 7


def test_shares_of_slots_are_counted_for_turns_and_planned_for_demand() -> None:
    links = complete(4)
    slot_bits, demand = dict.fromkeys(links, 12.0), dict.fromkeys(links, 0.0) | {"u000-u001": 1.0}

    def shares(schedule: Schedule) -> dict[str, float]:
        return slot_shares(schedule, links, slot_bits, demand)

    assert shares(Schedule(sources=2)) == pytest.approx(dict.fromkeys(links, 1 / 3))
    table = Schedule(scheduler="table", table=(("u000-u001",), ("u000-u001",), ("u000-u002",), ()))
    assert shares(table) == dict.fromkeys(links, 0.0) | {"u000-u001": 0.5, "u000-u002": 0.25}
    assert shares(Schedule(scheduler="deficit"))["u000-u001"] >= 1.0 / 12.0
    assert bits_per_s(table, links, slot_bits, demand)["u000-u001"] == pytest.approx(0.5 * 12.0 / 10.5)
