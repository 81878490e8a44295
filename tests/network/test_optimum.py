"""The optimum plan: never above its bound, as good as trying everything on small networks, and every count placed."""

from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.network.matching import is_matching
from bellweave.network.optimum import bound, slot_counts, spread
from bellweave.network.scheduling import Situation
from bellweave.testing.networks import complete, situation


def share(first: Situation, counts: dict[str, int], slots: int) -> float:
    """Return the smallest share of demand that slot counts serve."""
    asked = {name: rate * slots * first.slot_s for name, rate in first.demand_bits_per_s.items() if rate > 0.0}
    come = {name: first.level_bits[name] + counts.get(name, 0) * first.yield_bits[name] for name in asked}
    return min((min(1.0, come[name] / bits) for name, bits in asked.items()), default=1.0)


def feasible(first: Situation, counts: dict[str, int], sources: int, slots: int) -> bool:
    busy = Counter[str]()
    for name, count in counts.items():
        busy.update(dict.fromkeys(first.links[name], count))
    return sum(counts.values()) <= sources * slots and max(busy.values(), default=0) <= slots


@settings(max_examples=30, deadline=None)
@given(
    demand=st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=3, max_size=3),
    yields=st.lists(st.sampled_from([1.0, 2.0, 7.0]), min_size=3, max_size=3),
    slots=st.integers(2, 7),
)
def test_on_three_users_no_slot_counts_beat_the_bound_and_the_plan_is_within_one_slot_of_the_best(
    demand: list[float], yields: list[float], slots: int
) -> None:
    first = situation(complete(3), demand, yields)
    tried = (dict(zip(first.links, counts, strict=True)) for counts in product(range(slots + 1), repeat=3))
    best = max(share(first, counts, slots) for counts in tried if feasible(first, counts, 1, slots))

    limit = bound(first, 1, slots).share
    counts = slot_counts(first, 1, slots)

    assert best <= limit + 1e-6
    assert feasible(first, counts, 1, slots)
    grain = max(each / (rate * slots) for each, rate in zip(yields, demand, strict=True))
    assert share(first, counts, slots) >= best - grain - 1e-9


def test_stock_counts_and_the_link_that_holds_none_is_served() -> None:
    first = situation(complete(3), [1.0] * 3, [2.0] * 3)
    stocked = Situation(0, first.links, {"u000-u001": 10.0, "u000-u002": 10.0, "u001-u002": 0.0},
                        first.demand_bits_per_s, first.yield_bits, 1.0)  # fmt: skip

    limit = bound(stocked, 1, 10)

    assert limit.share == pytest.approx(1.0)
    assert limit.slots == pytest.approx({"u000-u001": 0.0, "u000-u002": 0.0, "u001-u002": 5.0}, abs=1e-6)


def test_links_that_yield_nothing_are_not_planned() -> None:
    first = situation(complete(3), [1.0] * 3, [2.0, 0.0, 2.0])

    assert "u000-u002" not in slot_counts(first, 1, 10)
    assert slot_counts(situation(complete(3), [1.0] * 3, [0.0] * 3), 1, 10) == {}


@settings(max_examples=40, deadline=None)
@given(users=st.integers(2, 7), seed=st.integers(0, 1000))
def test_with_one_source_every_counted_slot_is_placed(users: int, seed: int) -> None:
    links = complete(users)
    draw = rng.stream(seed, "demand")
    first = situation(links, draw.exponential(1.0, len(links)).tolist(), [5.0] * len(links))

    counts = slot_counts(first, 1, 20)
    frame = spread(counts, links, 1, 20)

    assert sum(counts.values()) == 20
    assert Counter(name for slot in frame for name in slot) == Counter(counts)


@pytest.mark.parametrize(("users", "sources"), [(6, 2), (8, 4), (16, 8), (16, 3), (32, 8)])
def test_with_several_sources_all_but_a_few_counted_slots_are_placed(users: int, sources: int) -> None:
    links = complete(users)
    draw = rng.stream(5, "demand")
    first = situation(links, draw.exponential(1.0, len(links)).tolist(), [5.0] * len(links))

    counts = slot_counts(first, sources, 60)
    frame = spread(counts, links, sources, 60)

    placed = Counter(name for slot in frame for name in slot)
    assert feasible(first, counts, sources, 60)
    assert len(frame) <= 60
    assert all(len(slot) <= sources and is_matching(links[name] for name in slot) for slot in frame)
    assert placed <= Counter(counts)
    assert placed.total() >= 0.97 * sum(counts.values())


def test_a_link_s_slots_are_spread_over_the_frame() -> None:
    links = complete(3)

    frame = spread({"u000-u001": 2, "u000-u002": 4, "u001-u002": 6}, links, 1, 12)

    for name, most in (("u000-u001", 7), ("u000-u002", 4), ("u001-u002", 3)):
        at = [slot for slot, chosen in enumerate(frame) if name in chosen]
        assert max(after - before for before, after in pairwise(at)) <= most
