"""Networks are checked before they run: what can't be is refused by the file, what is doubtful is said."""

import msgspec
import pytest

from bellweave.errors import ScenarioError
from bellweave.network.params import SchedulerName
from bellweave.scenario.demand import demand_bits_per_s, link_of_tunnel, warnings
from bellweave.scenario.load import load, parse, preset_text
from bellweave.scenario.schema import Scenario

PAPER = preset_text("datacenter")


def with_schedule(scenario: Scenario, **values: object) -> Scenario:
    assert scenario.schedule is not None
    return msgspec.structs.replace(scenario, schedule=msgspec.structs.replace(scenario.schedule, **values))


def test_two_tunnels_of_512_bits_a_minute_ask_for_17_bits_a_second_of_every_link() -> None:
    demand = demand_bits_per_s(load("datacenter"))

    assert demand == pytest.approx(dict.fromkeys(load("datacenter").link, 1024 / 60))


def test_a_tunnel_uses_the_link_between_its_nodes_whichever_end_is_the_client() -> None:
    assert link_of_tunnel(load("datacenter"))["bob-charlie-2"] == "bob-charlie"


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ('scheduler = "round-robin"', 'scheduler = "table"', "schedule.table", "at least one slot"),
        (
            'scheduler = "round-robin"',
            'scheduler = "table"\nsources = 2\ntable = [["alice-bob", "bob-diana"]]',
            "schedule.table[0]",
            "bob is in one session at a time",
        ),
        ("insertion_loss_db = 1.5", "insertion_loss_db = 1.5\nsynchronisation_s = 11.0", "schedule.slot_s", "11 s"),
        ("ports = 4", "ports = 3", "switch.ports", "3 ports can't serve 4 nodes"),
    ],
)
def test_a_file_with_an_impossible_schedule_is_refused(old: str, new: str, path: str, words: str) -> None:
    assert old in PAPER

    with pytest.raises(ScenarioError) as caught:
        parse(PAPER.replace(old, new, 1), file="mine.toml")

    assert (caught.value.file, caught.value.path) == ("mine.toml", path)
    assert words in caught.value.problem


def test_a_tunnel_between_nodes_without_a_link_is_refused() -> None:
    start = PAPER.index("[link.bob-diana]")
    text = PAPER[:start] + PAPER[PAPER.index("[link.charlie-diana]") :]

    with pytest.raises(
        ScenarioError, match=r"tunnel\.bob-diana-1: no link joins bob and diana; links join bob: alice, c"
    ):
        parse(text)


@pytest.mark.parametrize("preset", ["datacenter", "datacenter-modern", "vienna2004"])
def test_presets_raise_no_doubts(preset: str) -> None:
    assert warnings(load(preset)) == []


@pytest.mark.parametrize(("slot_bits", "count"), [(1075.0, 6), (1075.3, 0)])
def test_a_period_that_the_round_cannot_feed_is_warned_about(slot_bits: float, count: int) -> None:
    """1024 bits a minute of each link, a slot every 63 s: 1075.2 bits a slot are needed."""
    scenario = load("datacenter")

    found = warnings(scenario, dict.fromkeys(scenario.link, slot_bits))

    assert len(found) == count
    assert all("ask for 17.07 bit/s, 17.06 are expected" in each for each in found)


@pytest.mark.parametrize(("scheduler", "met"), [("round-robin", False), ("deficit", True), ("optimum", True)])
def test_schedulers_that_go_by_demand_are_not_warned_about_where_a_round_would_fail(
    scheduler: SchedulerName, met: bool
) -> None:
    """One link asks for all: the round gives it a sixth of the slots, the others give it every slot."""
    scenario = with_schedule(load("datacenter"), scheduler=scheduler)
    only = {name: tunnel for name, tunnel in scenario.tunnel.items() if name.startswith("alice-bob")}
    scenario = msgspec.structs.replace(scenario, tunnel=only)

    found = warnings(scenario, dict.fromkeys(scenario.link, 500.0))

    assert (found == []) == met
