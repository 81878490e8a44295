"""Matchings: the best one is what trying all of them finds."""

from collections.abc import Mapping
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.network.matching import best, is_matching
from bellweave.network.scheduling import Link
from bellweave.testing.networks import complete


def tried(weights: Mapping[str, float], links: Mapping[str, Link], most: int) -> float:
    """Return the largest weight, by trying all sets of links."""
    sets = (names for size in range(most + 1) for names in combinations(weights, size))
    return max(sum(weights[name] for name in names) for names in sets if is_matching(links[name] for name in names))


@given(
    users=st.integers(2, 6),
    most=st.integers(1, 4),
    weights=st.lists(st.one_of(st.integers(-1, 4).map(float), st.floats(0.0, 10.0)), min_size=15, max_size=15),
)
def test_the_best_matching_is_what_trying_all_of_them_finds(users: int, most: int, weights: list[float]) -> None:
    links = complete(users)
    given_weights = dict(zip(links, weights, strict=False))

    found = best(given_weights, links, most)

    assert is_matching(links[name] for name in found)
    assert len(found) <= most
    assert all(given_weights[name] > 0.0 for name in found)
    heaviest = tried({name: max(0.0, weight) for name, weight in given_weights.items()}, links, min(most, users // 2))
    assert sum(given_weights[name] for name in found) == pytest.approx(heaviest)


@pytest.mark.parametrize("most", [5, 6, 9])
def test_with_many_links_at_once_it_is_the_best_too(most: int) -> None:
    """Ten pairs that are certainly best, among lighter links that would block two of them each."""
    links = complete(20)
    users = sorted({user for link in links.values() for user in link})
    pairs = {
        f"{first}-{second}": 10.0 + at for at, (first, second) in enumerate(zip(users[::2], users[1::2], strict=True))
    }
    draw = rng.stream(1, "weights")
    weights = {name: pairs.get(name, float(draw.uniform(0.1, 4.9))) for name in links}

    assert best(weights, links, most) == tuple(sorted(pairs, key=lambda name: -pairs[name]))[:most]


def test_heavy_links_of_one_user_do_not_hide_the_others() -> None:
    links = complete(40)
    weights = {name: 1.0 if "u000" in link else 0.01 + 1e-6 * at for at, (name, link) in enumerate(links.items())}

    found = best(weights, links, 4)

    assert sum(weights[name] for name in found) == pytest.approx(
        1.0 + sum(sorted(weights.values())[-39 - 3 : -39]), rel=1e-3
    )


def test_links_of_hardly_any_weight_take_what_is_left() -> None:
    links = complete(12)
    weights = dict.fromkeys(links, 1e-12) | {"u000-u001": 1.0}

    assert len(best(weights, links, 6)) == 6


def test_of_two_links_between_the_same_users_the_heavier_one_is_taken() -> None:
    links = {"thin": ("a", "b"), "thick": ("a", "b"), "other": ("c", "d")}

    assert best({"thin": 1.0, "thick": 2.0, "other": 1.0}, links, 2) == ("thick", "other")


def test_nothing_of_weight_gives_an_empty_slot() -> None:
    assert best({}, {}, 8) == ()
    assert best({"a-b": 0.0}, {"a-b": ("a", "b")}, 8) == ()
