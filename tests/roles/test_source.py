"""What the sources do, slot by slot, with nodes that come and go."""

import numpy as np
import pytest

from bellweave.blocks import Rounds
from bellweave.errors import ScenarioError
from bellweave.network.schedulers import make_scheduler
from bellweave.network.scheduling import Scheduler, Situation
from bellweave.roles.randomness import Seeded
from bellweave.roles.source import Knowledge, Presence, Present, Slot, Sources, sampled
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import Timeline
from bellweave.testing.data_centres import small

ONE, TWO, THREE = "user1-user2", "user1-user3", "user2-user3"


def sources(scenario: Scenario, scheduler: Scheduler | None = None) -> Sources:
    assert scenario.schedule is not None
    links = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
    nothing = dict.fromkeys(links, 0.0)
    return Sources(
        scenario,
        scenario.schedule,
        scheduler or make_scheduler(scenario.schedule, links),
        Timeline(scenario),
        Knowledge(nothing, nothing, nothing),
        Seeded(scenario.run.seed),
    )


def there(_: str) -> Presence | None:
    return (1, 1)


def without(away: str) -> Present:
    return lambda link: None if link == away else (1, 1)


SWITCH = {"reconfiguration_s": 0.5, "synchronisation_s": 1.0}


def test_a_slot_serves_links_in_turn_and_collects_a_block_of_each() -> None:
    role = sources(small(3, switch=SWITCH))
    slots = [(role.begin(number, there), role.end(there)) for number in range(4)]

    assert [slot.links for slot, _ in slots] == [(ONE,), (TWO,), (THREE,), (ONE,)]
    assert slots[3][0] == Slot(3, 31.5, {ONE: 1.5})
    (block,) = slots[3][1]
    assert (block.number, block.start_s, block.optical.block_s) == (1, 33.0, 9.0)
    assert block.facts.block_s == 9.0


def test_a_link_that_goes_on_loses_nothing() -> None:
    role = sources(small(2, switch=SWITCH))
    lost = [dict(role.begin(number, there).lost_s) for number in range(3)]

    assert lost == [{ONE: 1.5}, {ONE: 0.0}, {ONE: 0.0}]


def test_links_whose_nodes_are_away_are_not_served() -> None:
    role = sources(small(3))

    assert role.begin(0, without(ONE)).links == ()
    assert role.begin(1, without(ONE)).links == (TWO,)


@pytest.mark.parametrize("later", [None, (1, 2)])
def test_a_node_that_fails_within_a_slot_costs_its_block_and_its_number_is_not_used(later: Presence | None) -> None:
    role = sources(small(2))
    role.begin(0, there)
    assert role.end(lambda _: later) == []
    role.begin(1, there)

    assert [block.number for block in role.end(there)] == [0]


def test_a_fault_of_the_scenario_acts_as_it_is_at_the_middle_of_a_slot() -> None:
    spy = {"at_s": 15.7, "until_s": 26.3, "set": {f"link.{ONE}.eavesdropper": {"fraction": 0.5}}}
    cut = {"at_s": 36.0, "until_s": 37.0, "cut": ONE}
    role = sources(small(2, fault={"spy": spy, "cut": cut}))
    tapped, blocks = [], []
    for number in range(5):
        role.begin(number, there)
        collected = role.end(there)
        blocks.append(len(collected))
        tapped += [block.optical.eavesdropper is not None for block in collected]

    assert blocks == [1, 1, 1, 0, 1]
    assert tapped == [False, True, True, False]


def test_faults_on_command_act_until_they_are_taken_back() -> None:
    role = sources(small(2))
    role.begin(0, there)
    role.tap(ONE, 0.25)
    (block,) = role.end(there)
    assert block.optical.eavesdropper is not None
    assert block.optical.eavesdropper.fraction == 0.25
    role.tap(ONE, 0.0)
    role.begin(1, there)
    role.cut(ONE, on=True)
    assert role.end(there) == []
    assert role.begin(2, there).links == ()
    role.cut(ONE, on=False)
    role.begin(3, there)
    (block,) = role.end(there)
    assert block.optical.eavesdropper is None


def test_commands_that_make_no_sense_are_refused() -> None:
    role = sources(small(2))

    with pytest.raises(ScenarioError, match="no link 'nowhere'; there are user1-user2"):
        role.cut("nowhere", on=True)
    with pytest.raises(ScenarioError, match=r"a share from 0 to 1, got 1\.5"):
        role.tap(ONE, 1.5)


def test_schedulers_see_slots_as_long_as_the_key_servers_do() -> None:
    class Looks:
        def choose(self, situation: Situation) -> tuple[str, ...]:
            self.slot_s = situation.slot_s
            return ()

    looks = Looks()
    sources(small(2, schedule={"speed": 10.0}), looks).begin(0, there)

    assert looks.slot_s == 1.05


def test_drift_turns_both_nodes_from_slot_to_slot() -> None:
    role = sources(small(2, drift={"rad_per_sqrt_hour": 1.0}))
    angles = []
    for number in range(3):
        role.begin(number, there)
        (block,) = role.end(there)
        angles += [arm.node.noise.misalignment_rad for arm in (block.optical.alice, block.optical.bob)]

    assert len(set(angles)) == 6


def test_a_block_is_sampled_for_each_node_and_its_own_streams_give_it_again() -> None:
    scenario = small(2)
    role = sources(scenario)
    role.begin(0, there)
    (block,) = role.end(there)
    hers, his = sampled(scenario, block, Seeded(1))
    again, _ = sampled(scenario, block, Seeded(1))

    assert isinstance(hers, Rounds)
    assert isinstance(his, Rounds)
    assert isinstance(again, Rounds)
    assert len(hers) == len(his) > 0
    assert np.array_equal(hers.bit, again.bit)
