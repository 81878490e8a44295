"""Schedules that can't be are refused, doubtful ones are warned about, both with the numbers."""

import pytest

from bellweave.errors import ScenarioError
from bellweave.network.checks import check_pairs, check_schedule, doubts, unmet
from bellweave.network.params import Schedule

LINKS = {"a-b": ("a", "b"), "c-d": ("c", "d"), "a-c": ("a", "c")}
NO_DEMAND = dict.fromkeys(LINKS, 0.0)


def table(*slots: tuple[str, ...], sources: int = 2) -> Schedule:
    return Schedule(scheduler="table", table=slots, sources=sources)


@pytest.mark.parametrize(
    ("schedule", "lost_s", "path", "words"),
    [
        (table(("a-b", "c-d"), ("a-b", "a-c")), 0.0, "schedule.table[1]", "a-b and a-c overlap: a is in one session"),
        (table(("a-b", "a-b")), 0.0, "schedule.table[0]", "a-b and a-b overlap"),
        (table(("a-b", "c-d"), sources=1), 0.0, "schedule.table[0]", "serves 2 links at once (a-b, c-d)"),
        (table(("a-b",), ("a-x",)), 0.0, "schedule.table[1]", "there is no link 'a-x'; there are a-b, a-c, c-d"),
        (table(), 0.0, "schedule.table", "at least one slot"),
        (Schedule(slot_s=0.5), 0.5, "schedule.slot_s", "take 0.5 s, so a slot must be longer, got 0.5"),
    ],
)  # fmt: skip
def test_an_impossible_schedule_is_refused(schedule: Schedule, lost_s: float, path: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        check_schedule(schedule, LINKS, lost_s)

    assert caught.value.path == path
    assert words in caught.value.problem


def test_a_second_link_between_two_users_is_refused() -> None:
    links = {"a-b": ("a", "b"), "b-a": ("b", "a")}

    with pytest.raises(ScenarioError, match=r"link.b-a: joins a and b, as link.a-b does") as caught:
        check_schedule(Schedule(), links, 0.0)
    assert caught.value.path == "link.b-a"


def test_a_possible_schedule_passes_without_doubts() -> None:
    schedule = table(("a-b", "c-d"), (), ("a-c",))

    check_schedule(schedule, LINKS, 0.1)

    assert doubts(schedule, LINKS, 0.1, dict.fromkeys(LINKS, 1.0)) == []


def test_a_pair_without_a_link_is_refused_and_told_who_is_near() -> None:
    check_pairs({"tunnel.one": ("b", "a")}, LINKS)

    with pytest.raises(ScenarioError) as caught:
        check_pairs({"tunnel.one": ("b", "a"), "tunnel.two": ("b", "c")}, LINKS)

    assert str(caught.value) == "tunnel.two: no link joins b and c; links join b: a; c: a, d"


@pytest.mark.parametrize(
    ("schedule", "lost_s", "words"),
    [
        (Schedule(sources=3), 0.0, "3 sources, but 4 users make at most 2 pairs at once"),
        (Schedule(slot_s=1.0), 0.6, "take 0.6 s of 1 s, 60%"),
        (table(("a-b",)), 0.0, "c-d is in no slot, but 2 bit/s are asked of it"),
        (Schedule(table=(("a-b",),)), 0.0, "not used by the scheduler `round-robin`"),
    ],
)
def test_what_is_doubtful_is_said_once(schedule: Schedule, lost_s: float, words: str) -> None:
    (found,) = doubts(schedule, LINKS, lost_s, NO_DEMAND | {"c-d": 2.0})

    assert words in found
    assert found.startswith("schedule.")


def test_a_demand_above_what_is_expected_is_said_with_both_rates() -> None:
    found = unmet({"a-b": 4.0, "c-d": 4.0, "a-c": 4.0}, {"a-b": 4.0, "c-d": 1.0})

    assert found == [
        "link.c-d: its tunnels ask for 4 bit/s, 1 are expected: the periods would have to be 4 times as long",
        "link.a-c: its tunnels ask for 4 bit/s, 0 are expected: no key comes",
    ]
