"""Rounds and colourings: every session once, no user twice, no more at once than there are sources."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.network.colouring import coloured
from bellweave.network.matching import is_matching
from bellweave.network.rounds import rounds
from bellweave.network.scheduling import Link
from bellweave.network.theory import round_bound, round_slots
from bellweave.testing.networks import complete


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Link]:
    pairs = list(combinations([f"u{n}" for n in range(draw(st.integers(2, 9)))], 2))
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=len(pairs), unique=True))
    return {f"{first}-{second}": (first, second) for first, second in chosen}


@given(links=networks(), most=st.integers(1, 6))
def test_a_round_serves_every_link_once_in_at_most_one_slot_more_than_any_could(
    links: dict[str, Link], most: int
) -> None:
    turns = rounds(links, most)

    assert sorted(name for turn in turns for name in turn) == sorted(links)
    assert all(len(turn) <= most and is_matching(links[name] for name in turn) for turn in turns)
    fewest = round_bound(links.values(), most)
    assert fewest <= len(turns) <= fewest + 1


@pytest.mark.parametrize("users", [2, 3, 4, 5, 8, 9, 16, 33])
@pytest.mark.parametrize("most", [1, 2, 3, 4, 8, 16])
def test_where_all_are_joined_to_all_a_round_takes_the_fewest_slots(users: int, most: int) -> None:
    assert len(rounds(complete(users), most)) == round_slots(users, most)


@pytest.mark.parametrize(("users", "slots"), [(4, 3), (5, 5), (8, 7), (9, 9), (64, 63)])
def test_with_sources_for_everybody_it_is_a_tournament(users: int, slots: int) -> None:
    turns = rounds(complete(users), users // 2)

    assert len(turns) == slots
    assert {len(turn) for turn in turns} == {users // 2}


def test_one_source_serves_the_links_in_their_order() -> None:
    links = complete(4)

    assert rounds(links, 1) == tuple((name,) for name in links)


def test_two_links_between_the_same_users_both_get_their_turn() -> None:
    links = {"one": ("a", "b"), "two": ("a", "b"), "three": ("c", "d")}

    assert sorted(name for turn in rounds(links, 2) for name in turn) == ["one", "three", "two"]


@given(links=networks(), most=st.integers(1, 4), slots=st.integers(1, 12), counts=st.data())
def test_a_colouring_places_sessions_or_says_which_it_could_not(
    links: dict[str, Link], most: int, slots: int, counts: st.DataObject
) -> None:
    sessions = counts.draw(st.lists(st.sampled_from(list(links)), max_size=30))

    plan, left = coloured(sessions, links, most, slots)

    assert Counter(name for slot in plan for name in slot) + Counter(left) == Counter(sessions)
    assert len(plan) == slots
    assert all(len(slot) <= most and is_matching(links[name] for name in slot) for slot in plan)


@given(links=networks(), data=st.data())
def test_twice_the_slots_of_the_busiest_user_always_have_room(links: dict[str, Link], data: st.DataObject) -> None:
    sessions = data.draw(st.lists(st.sampled_from(list(links)), min_size=1, max_size=30))
    busiest = max(Counter(user for name in sessions for user in links[name]).values())

    plan, left = coloured(sessions, links, len(links), 2 * busiest)

    assert not left
    sizes = [len(slot) for slot in plan]
    assert max(sizes) - min(sizes) <= 1
