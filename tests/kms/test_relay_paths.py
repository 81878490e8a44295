"""Paths of relayed pools."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.errors import ScenarioError
from bellweave.kms.params import Directory, Relay
from bellweave.kms.relay_paths import paths, spares

GRID = (("a", "b"), ("b", "d"), ("a", "c"), ("c", "d"), ("c", "e"), ("e", "d"))


def found(links: Any = GRID, ends: tuple[str, str] = ("a", "d"), **more: Any) -> tuple[tuple[str, ...], ...]:
    return paths(Directory(kme="a", links=tuple(links)), Relay(kmes=ends, **more))


def test_the_shortest_path_is_found_from_the_lead_to_the_other_end() -> None:
    assert found(ends=("e", "a")) == (("a", "c", "e"),)
    assert len(found()[0]) == 3


def test_disjoint_paths_share_no_kme_on_the_way() -> None:
    assert found(disjoint=2) == (("a", "b", "d"), ("a", "c", "d"))


def test_fewer_paths_than_asked_for_are_an_error() -> None:
    with pytest.raises(ScenarioError, match=r"2 disjoint paths, not 3"):
        found(disjoint=3)
    with pytest.raises(ScenarioError, match=r"0 disjoint paths, not 1"):
        found(ends=("a", "nowhere"))


def further(links: Any = GRID, **more: Any) -> tuple[tuple[str, ...], ...]:
    directory, relay = Directory(kme="a", links=tuple(links)), Relay(kmes=("a", "d"), **more)
    return spares(directory, relay, paths(directory, relay))


def test_spare_paths_share_no_kme_with_those_in_use_or_each_other() -> None:
    assert {found()[0], *further()} == {("a", "b", "d"), ("a", "c", "d")}
    assert further((*GRID, ("a", "e")), disjoint=2) == (("a", "e", "d"),)
    assert further(disjoint=2) == ()
    assert further((*GRID, ("a", "d"))) == (("a", "b", "d"), ("a", "c", "d"))
    assert further(paths=(("a", "b", "d"),)) == ()


def test_given_paths_are_taken_in_either_direction() -> None:
    given_paths = (("d", "e", "c", "a"), ("a", "b", "d"))
    assert found(paths=given_paths) == (("a", "c", "e", "d"), ("a", "b", "d"))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ((("a", "b"),), "a - b is no path"),
        ((("b", "d"),), "is no path"),
        ((("a",),), "a is no path"),
        (((),), "is no path"),
        ((("a", "b", "b", "d"),), "is no path"),
        ((("a", "c", "d"), ("a", "c", "e", "d")), "several paths lead through c"),
    ],
)
def test_given_paths_are_checked(wrong: Any, why: str) -> None:
    with pytest.raises(ScenarioError, match=why):
        found(paths=wrong)


@given(
    st.sets(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(lambda link: link[0] < link[1])),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_paths_follow_links_and_do_not_depend_on_the_order_in_which_these_are_listed(
    links: set[tuple[str, str]], disjoint: int, order: Any
) -> None:
    shuffled = [link[::-1] if order.random() < 0.5 else link for link in links]
    order.shuffle(shuffled)
    try:
        one = found(sorted(links), ("a", "g"), disjoint=disjoint)
    except ScenarioError:
        with pytest.raises(ScenarioError):
            found(shuffled, ("a", "g"), disjoint=disjoint)
        return
    assert found(shuffled, ("g", "a"), disjoint=disjoint) == one
    assert len(one) == disjoint
    inner = [kme for path in one for kme in path[1:-1]]
    assert len(inner) == len(set(inner))
    for path in one:
        assert (path[0], path[-1]) == ("a", "g")
        assert all((min(hop), max(hop)) in links for hop in pairwise(path))


def test_a_directory_that_is_read_gives_the_same_paths() -> None:
    relay = Relay(kmes=("a", "d"), disjoint=2)
    directory = Directory(kme="a", links=GRID)
    assert paths(msgspec.convert(msgspec.to_builtins(directory), Directory), relay) == paths(directory, relay)
