"""Slots of a network run: accumulation, several sources, what the switch takes."""

import math

import pytest

from bellweave.results.network_records import BlockDistilled, BlockLost, SlotBegan
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.summary import summarise
from bellweave.testing.data_centres import SLOT_S, small


def slots(run: NetworkRun) -> list[SlotBegan]:
    return [event for event in run.events if isinstance(event, SlotBegan)]


def blocks(run: NetworkRun, link: str | None = None) -> list[BlockDistilled]:
    found = [event for event in run.events if isinstance(event, BlockDistilled)]
    return [event for event in found if link in {None, event.block.link}]


def test_blocks_of_several_slots_are_distilled_as_one_after_the_last_of_them() -> None:
    run = simulate_network(small(3, 20, distill={"accumulate_blocks": 3}))

    assert [(event.slot, event.block.start_s, event.block.end_s) for event in blocks(run, "user1-user2")] == [
        (6, 0.0, 73.5), (15, 94.5, 168.0),
    ]  # fmt: skip
    alone = simulate_network(small(3, 20))
    singly = [event.block.ledger.matched for event in blocks(alone, "user1-user2")]
    together = blocks(run, "user1-user2")[0].block.ledger.matched
    assert together == sum(singly[:3]), "the same photons"


def test_a_node_that_fails_takes_with_it_what_was_held_for_a_block() -> None:
    fault = {"dark": {"at_s": 50.0, "until_s": 51.0, "down": "user2"}}
    run = simulate_network(small(2, 12, distill={"accumulate_blocks": 3}, fault=fault))

    # slots 0 to 2 are one block, slot 3 is lost with the rest of the second block, slot 4 is the one of the failure
    assert [(event.block.start_s, event.slot) for event in blocks(run)] == [(0.0, 2), (52.5, 7), (84.0, 10)]


def test_every_block_is_distilled_or_told_as_lost() -> None:
    fault = {"dark": {"at_s": 50.0, "until_s": 51.0, "down": "user2"}}
    run = simulate_network(small(2, 12, distill={"accumulate_blocks": 3}, fault=fault))
    lost = [event for event in run.events if isinstance(event, BlockLost)]

    # slot 4, in which the node failed, has no block
    assert [(event.at_s, event.node, event.blocks) for event in lost] == [
        (50.0, "user2", (3,)),
        (126.0, "user1", (10,)),
    ]
    assert "user2 failed" in lost[0].reason
    link = summarise(run).links["user1-user2"]
    assert (link.slots, 3 * link.blocks + link.lost) == (12, 11)


def test_what_is_distilled_as_one_proves_key_where_single_blocks_prove_none() -> None:
    def final_bits(together: int) -> int:
        wise = {"reconciliation": "low-latency", "qber_threshold": 0.08, "sample_fraction": 0.3}
        run = simulate_network(small(2, 24, kms={"mint": "provable"}, distill={"accumulate_blocks": together} | wise))
        assert all(event.block.provable_bits == event.block.ledger.final for event in blocks(run))
        return sum(event.block.ledger.final for event in blocks(run))

    assert final_bits(1) == 0
    assert final_bits(24) > 100


def test_several_sources_serve_disjoint_pairs_at_once() -> None:
    run = simulate_network(small(4, 6, schedule={"sources": 2}))

    assert all(len(slot.links) == 2 for slot in slots(run))
    assert all(len({user for link in slot.links for user in link.split("-")}) == 4 for slot in slots(run))
    assert len(blocks(run)) == 12
    assert {
        event.block.link: sum(each.block.link == event.block.link for each in blocks(run)) for event in blocks(run)
    } == (dict.fromkeys(run.scenario.link, 2))


def test_a_link_that_was_not_served_before_loses_what_the_switch_takes() -> None:
    run = simulate_network(small(3, 30, switch={"reconfiguration_s": 3.0, "synchronisation_s": 2.25}))
    whole = simulate_network(small(3, 30))

    assert {slot.lost_s for slot in slots(run)} == {5.25}
    assert all(event.block.end_s - event.block.start_s == 5.25 for event in blocks(run))
    assert [event.block.start_s for event in blocks(run)] == [5.25 + SLOT_S * slot for slot in range(30)]
    half, full = (sum(event.block.ledger.matched for event in blocks(each)) for each in (run, whole))
    assert abs(half / full - 0.5) < 5.0 * 0.5 * math.sqrt(1.0 / half + 1.0 / full)


def test_a_link_that_goes_on_loses_nothing() -> None:
    run = simulate_network(small(2, 5, switch={"reconfiguration_s": 3.0}))

    assert [slot.lost_s for slot in slots(run)] == [3.0, 0.0, 0.0, 0.0, 0.0]
    assert [event.block.end_s - event.block.start_s for event in blocks(run)] == [7.5, 10.5, 10.5, 10.5, 10.5]


def test_of_two_links_at_once_only_the_new_one_loses_time() -> None:
    table = (("user1-user2", "user3-user4"), ("user1-user2",), ("user1-user2", "user3-user4"))
    schedule = {"scheduler": "table", "table": table, "sources": 2}
    run = simulate_network(small(4, 3, schedule=schedule, switch={"reconfiguration_s": 3.0}))
    durations = [(e.slot, e.block.link, e.block.end_s - e.block.start_s) for e in blocks(run)]

    assert sorted(durations) == [
        (0, "user1-user2", 7.5), (0, "user3-user4", 7.5),
        (1, "user1-user2", 10.5),
        (2, "user1-user2", 10.5), (2, "user3-user4", 7.5),
    ]  # fmt: skip


def test_links_past_the_switch_lose_nothing() -> None:
    scenario = small(2, 3, switch={"reconfiguration_s": 3.0}, link={"user1-user2": _direct()})

    assert {slot.lost_s for slot in slots(simulate_network(scenario))} == {0.0}


def _direct() -> dict[str, object]:
    return {"source": "eps", "alice": "user1", "bob": "user2", "via_switch": False}


@pytest.mark.parametrize("level", ["coincidences", "tags"])
def test_a_channel_that_is_cut_for_a_while_is_cut_in_the_slots_of_that_while(level: str) -> None:
    cut = {"arm": "alice", "start_s": 63.0, "end_s": 94.5}  # seconds of the run, not of the link's own blocks
    link = {"source": "eps", "alice": "user1", "bob": "user2", "via_switch": True, "cut": cut}
    run = simulate_network(small(3, 12, link={"user1-user2": link}, run={"level": level}))
    matched = {event.slot: event.block.ledger.matched for event in blocks(run, "user1-user2")}

    assert matched[6] < 100 < min(matched[slot] for slot in (0, 3, 9))
