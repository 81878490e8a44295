"""Schedulers: nobody twice in a slot, no more than there are sources, and what each promises."""

import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.network import optimum
from bellweave.network.fairness import gaps_s
from bellweave.network.matching import is_matching
from bellweave.network.params import Schedule, SchedulerName
from bellweave.network.schedulers import make_scheduler
from bellweave.network.scheduling import Scheduler, Situation
from bellweave.network.theory import round_slots
from bellweave.testing.networks import complete, play, situation

FRAME = 24


def made(name: SchedulerName, first: Situation, sources: int) -> Scheduler:
    table = tuple((link,) for link in first.links) if name == "table" else ()
    return make_scheduler(
        Schedule(scheduler=name, sources=sources, table=table, frame_slots=FRAME, slot_s=first.slot_s), first.links
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    links = complete(draw(st.integers(2, 6)))
    demand = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 8.5]), min_size=len(links), max_size=len(links)))
    yields = draw(st.lists(st.sampled_from([0.0, 10.0, 25.0, 500.0]), min_size=len(links), max_size=len(links)))
    return situation(links, demand, yields, slot_s=draw(st.sampled_from([1.0, 10.5])))


@pytest.mark.parametrize("name", get_args(SchedulerName))
@settings(max_examples=25)
@given(first=situations(), sources=st.integers(1, 3), gone=st.integers(0, 5))
def test_no_slot_serves_a_user_twice_or_more_links_than_sources_or_who_is_down(
    name: SchedulerName, first: Situation, sources: int, gone: int
) -> None:
    failed = {f"u{gone:03d}"}

    played = play(made(name, first, sources), first, 30, down={10: failed, 20: set()})

    for slot, chosen in enumerate(played.slots):
        assert len(chosen) <= sources
        assert is_matching(first.links[link] for link in chosen)
        if 10 <= slot < 20:
            assert not any(failed & set(first.links[link]) for link in chosen)


@pytest.mark.parametrize("users", [4, 5, 7])
@pytest.mark.parametrize("sources", [1, 2, 3])
def test_round_robin_serves_every_link_once_a_round(users: int, sources: int) -> None:
    links = complete(users)
    slots = round_slots(users, sources)

    first = situation(links, [1.0] * len(links), [1.0] * len(links))

    played = play(made("round-robin", first, sources), first, 2 * slots)

    for turn in (played.slots[:slots], played.slots[slots:]):
        assert sorted(link for chosen in turn for link in chosen) == sorted(links)


def test_a_table_is_repeated() -> None:
    links = complete(4)
    first = situation(links, [1.0] * 6, [1.0] * 6)
    table = (("u000-u001", "u002-u003"), (), ("u000-u002",))

    played = play(make_scheduler(Schedule(scheduler="table", table=table, sources=2), links), first, 7)

    assert played.slots == [*table, *table, table[0]]


def test_links_of_a_failed_user_lose_their_turn_in_a_round_and_the_others_keep_theirs() -> None:
    first = situation(complete(4), [1.0] * 6, [1.0] * 6)

    played = play(made("round-robin", first, 1), first, 6, down={0: {"u000"}})

    assert played.slots == [(), (), (), ("u001-u002",), ("u001-u003",), ("u002-u003",)]


@pytest.mark.parametrize("name", ["deficit", "optimum"])
def test_a_failed_user_s_time_goes_to_the_others(name: SchedulerName) -> None:
    first = situation(complete(4), [1.0] * 6, [3.0] * 6)

    played = play(made(name, first, 1), first, 60, down={0: {"u000"}})

    assert all(played.slots)
    for link in ("u001-u002", "u001-u003", "u002-u003"):
        assert sum(link in chosen for chosen in played.slots) == 20


def test_deficit_serves_in_proportion_to_demand_where_there_is_too_little_for_all() -> None:
    """Ten times the demand, ten times the slots: the shares of demand that are served are equal."""
    first = situation(complete(3), [10.0, 1.0, 1.0], [3.0, 3.0, 3.0])

    played = play(made("deficit", first, 1), first, 120)

    assert [sum(link in chosen for chosen in played.slots) for link in first.links] == [100, 10, 10]


def test_deficit_starves_nobody_whose_stock_is_a_residue_too_small_for_a_key() -> None:
    """500 bits in stock are worth nothing to who needs 512; a scheduler that goes by stock alone would pass by."""
    first = situation(complete(3), [17.0] * 3, [300.0] * 3, slot_s=10.5)
    stuck = replace(first, level_bits=dict.fromkeys(first.links, 0.0) | {"u000-u001": 500.0})
    scheduler = made("deficit", stuck, 1)

    chosen = [scheduler.choose(replace(stuck, slot=slot)) for slot in range(12)]

    assert sum("u000-u001" in slot for slot in chosen) >= 3


def test_deficit_does_not_give_all_time_to_a_link_whose_blocks_are_rejected() -> None:
    first = situation(complete(3), [1.0] * 3, [2.0] * 3)
    scheduler = made("deficit", first, 1)
    chosen: list[str] = []
    for slot in range(90):  # u000-u001 never holds anything; the others hold what they were given
        level = {name: 2.0 * chosen.count(name) for name in first.links} | {"u000-u001": 0.0}
        chosen += scheduler.choose(replace(first, slot=slot, level_bits=level))

    assert {name: chosen.count(name) for name in first.links} == dict.fromkeys(first.links, 30)


def test_a_link_that_was_down_does_not_take_all_the_time_when_it_returns() -> None:
    """While it was down nothing was owed to it."""
    first = situation(complete(3), [1.0] * 3, [2.0, 2.0, 1.0])

    played = play(made("deficit", first, 1), first, 100, down={0: {"u000"}, 50: set()})

    assert played.slots[:50] == [("u001-u002",)] * 50
    for name in first.links:
        moments = [float(slot) for slot in range(50, 100) if name in played.slots[slot]]
        assert max(gaps_s(moments, 50.0, 100.0)) <= 5.0


@pytest.mark.parametrize("name", ["round-robin", "deficit", "optimum"])
def test_nobody_starves_where_there_are_more_links_than_slots_in_a_frame(name: SchedulerName) -> None:
    """45 links, one source, frames of 24 slots, and never any stock: every link is served three times in 180 slots."""
    first = situation(complete(10), [10.0] * 45, [5.0] * 45)

    played = play(made(name, first, 1), first, 180)

    served = [sum(link in chosen for chosen in played.slots) for link in first.links]
    assert sum(served) == 180
    assert min(served) >= 3


@pytest.mark.parametrize("name", ["deficit", "optimum"])
def test_a_slot_goes_to_links_without_demand_where_nobody_else_can_use_it(name: SchedulerName) -> None:
    first = situation(complete(4), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [50.0] * 6)

    played = play(made(name, first, 2), first, FRAME)

    assert any("u002-u003" in chosen for chosen in played.slots)


@settings(max_examples=40, deadline=None)
@given(first=situations(), sources=st.integers(1, 3))
def test_the_optimum_serves_no_smaller_share_than_anybody_up_to_rounding_and_nobody_passes_the_bound(
    first: Situation, sources: int
) -> None:
    played = {name: play(made(name, first, sources), first, FRAME) for name in get_args(SchedulerName)}

    asked = {name: rate for name, rate in first.demand_bits_per_s.items() if rate > 0.0}
    if any(first.yield_bits[name] == 0.0 for name in asked):
        return  # nobody can serve all: the share is 0 for everybody
    limit = optimum.bound(first, sources, FRAME).share if asked else 1.0
    # slots are whole, and up to two sessions find no place in the frame
    grain = max(
        (3.0 * first.yield_bits[name] / (rate * FRAME * first.slot_s) for name, rate in asked.items()), default=0
    )
    best = played["optimum"].share(first)
    for each in played.values():
        assert each.share(first) <= limit + 1e-6
        assert best >= min(1.0, each.share(first)) - grain - 1e-9


def test_choices_do_not_depend_on_how_strings_are_hashed() -> None:
    code = """
from bellweave.network.params import Schedule
from bellweave.network.schedulers import make_scheduler
from bellweave.testing.networks import complete, play, situation
links = complete(14)
first = situation(links, [1.0 + n % 3 for n in range(91)], [5.0 + n % 7 for n in range(91)])
for name in ("round-robin", "deficit", "optimum"):
    print(play(make_scheduler(Schedule(scheduler=name, sources=6, frame_slots=20), links), first, 25))
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert runs[0] == runs[1]
    assert runs[0].count("\n") == 3
