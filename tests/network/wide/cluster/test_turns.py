from collections import Counter
from itertools import islice

import pytest

from bellweave.network.matching import is_matching
from bellweave.network.wide.cluster.turns import Turn, Turns, every_pair


def slots(turns: Turns, count: int) -> list[Turn]:
    return list(islice(iter(turns.following, None), count))


def names(count: int) -> tuple[str, ...]:
    return tuple(f"s{number}" for number in range(count))


@pytest.mark.parametrize("slaves", [2, 3, 4, 5, 8, 9])
def test_half_of_the_slaves_pairs_run_ekert91_at_once_and_one_mdi(slaves: int) -> None:
    pairs = every_pair(names(slaves))
    round_slots = slaves - 1 if slaves % 2 == 0 else slaves

    found = slots(Turns(pairs), round_slots)

    for turn in found:
        assert len(turn.ekert) == slaves // 2
        assert is_matching(pairs[name] for name in turn.ekert)
        assert turn.mdi in pairs
    assert Counter(name for turn in found for name in turn.ekert) == dict.fromkeys(pairs, 1)


def test_every_pair_has_the_masters_measurement_once_before_any_has_it_twice() -> None:
    pairs = every_pair(names(5))

    found = slots(Turns(pairs), 2 * len(pairs))

    assert {turn.mdi for turn in found[: len(pairs)]} == set(pairs)
    assert Counter(turn.mdi for turn in found) == dict.fromkeys(pairs, 2)


def test_a_heavier_pair_is_served_more_often_and_no_pair_never() -> None:
    pairs = every_pair(names(4))
    weights = dict.fromkeys(pairs, 1.0) | {"s0-s1": 4.0}

    found = slots(Turns(pairs, weights), 600)

    served = Counter(name for turn in found for name in turn.ekert)
    mdi = Counter(turn.mdi for turn in found)
    assert set(served) == set(mdi) == set(pairs)
    assert served["s0-s1"] > 1.5 * served["s0-s2"]
    assert mdi["s0-s1"] > 1.5 * mdi["s0-s2"]
    assert all(is_matching(pairs[name] for name in turn.ekert) for turn in found)


def test_only_pairs_that_want_key_get_turns() -> None:
    found = slots(Turns({"a-b": ("a", "b"), "b-c": ("b", "c")}), 4)

    assert [turn.ekert for turn in found] == [("a-b",), ("b-c",), ("a-b",), ("b-c",)]
    assert Turns({}).following() == Turn((), None)
