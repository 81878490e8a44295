"""Faults in a network run: nodes that fail and return, cut links, eavesdroppers, sources that change, drift."""

import math
from statistics import fmean
from typing import Any

import pytest

from bellweave.network import drift
from bellweave.network.params import Drift
from bellweave.results.network_records import (
    Alarmed,
    BlockDistilled,
    Delivered,
    Event,
    FaultChanged,
    SessionBegan,
    SessionEnded,
    SlotBegan,
    Starved,
)
from bellweave.results.records import BlockRecord
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.testing.data_centres import small


def blocks(run: NetworkRun, link: str = "user1-user2") -> list[BlockRecord]:
    return [event.block for event in run.events if isinstance(event, BlockDistilled) and event.block.link == link]


def between(events: tuple[Event, ...], start_s: float, end_s: float) -> list[Event]:
    return [event for event in events if start_s <= event.at_s < end_s]


# ---------------------------------------------------------------------------------------------------- nodes that fail


def failing(at_s: float = 100.0, until_s: float = 160.0, **more: dict[str, Any]) -> NetworkRun:
    fault = {"dark": {"at_s": at_s, "until_s": until_s, "down": "user2"}}
    return simulate_network(small(3, 60, tunnels=2, fault=fault, **more))


def test_when_a_node_fails_its_sessions_end_and_nothing_of_it_is_served_until_it_returns() -> None:
    run = failing()
    dark = between(run.events, 100.0, 160.0)

    assert [(event.at_s, event.active) for event in run.events if isinstance(event, FaultChanged)] == [
        (100.0, True), (160.0, False),
    ]  # fmt: skip
    ended = [event for event in dark if isinstance(event, SessionEnded) and event.reason == "failed"]
    assert [(event.at_s, event.tunnel) for event in ended] == [(100.0, "user1-user2")]
    assert not [
        event for event in dark if isinstance(event, Delivered | SessionBegan) and event.tunnel == "user1-user2"
    ]
    assert not [event for event in dark if isinstance(event, BlockDistilled) and "user2" in event.block.link]
    assert not [link for event in dark if isinstance(event, SlotBegan) for link in event.links if "user2" in link]


def test_the_other_tunnels_go_on_while_a_node_is_down() -> None:
    dark = between(failing().events, 100.0, 160.0)

    assert [event for event in dark if isinstance(event, Delivered) and event.tunnel == "user1-user3" and event.key_id]


def test_a_node_that_returns_goes_on_from_its_store_and_delivers_nothing_twice() -> None:
    run = failing()
    given = [event for event in run.events if isinstance(event, Delivered) and event.key_id]
    late = [event for event in given if event.tunnel == "user1-user2" and event.at_s > 160.0]
    sides = [(event.side, event.key_id) for event in given]

    assert late
    assert len(set(sides)) == len(sides)
    assert late[0].at_s < 180.0, "there was key in stock: it need not wait for a new block"
    assert [event for event in run.events if isinstance(event, SessionBegan) and event.at_s > 160.0]


def test_a_slot_in_which_a_node_fails_or_returns_gives_no_block() -> None:
    inside = failing(at_s=96.0, until_s=97.0)  # within user1-user2's slot from 94.5 s on

    assert not [block for link in inside.scenario.link for block in blocks(inside, link) if block.start_s == 94.5]
    assert len([block for link in inside.scenario.link for block in blocks(inside, link)]) == 59


def test_a_node_that_fails_before_its_block_is_distilled_takes_the_block_with_it() -> None:
    # the slot from 94.5 s on is user1-user2's; with this latency its distillation takes seconds
    run = failing(at_s=105.1, until_s=106.0, data_network={"latency_s": 0.05})
    lost = [event for event in run.events if isinstance(event, BlockDistilled) and event.ingested_bits == 0]

    assert [(event.block.link, event.block.end_s) for event in lost if event.block.ledger.final >= 8] == [
        ("user1-user2", 105.0)
    ]


def test_a_node_that_is_down_from_the_start_joins_later() -> None:
    fault = {"late": {"at_s": 0.0, "until_s": 60.0, "down": "user1"}}
    run = simulate_network(small(2, 20, fault=fault))

    assert not between(run.events, 0.1, 60.0) or all(
        isinstance(event, SlotBegan) and not event.links for event in between(run.events, 0.1, 60.0)
    )
    assert [event for event in run.events if isinstance(event, SessionBegan)]


@pytest.mark.parametrize("latency_s", [0.0, 0.0005, 0.05])
def test_two_nodes_that_fail_and_return_in_each_others_greetings_find_each_other(latency_s: float) -> None:
    fault = {
        "one": {"at_s": 60.0, "until_s": 90.0, "down": "user1"},
        "other": {"at_s": 80.0, "until_s": 90.02, "down": "user2"},
        "again": {"at_s": 90.06, "until_s": 95.0, "down": "user1"},
    }
    run = simulate_network(small(2, 40, fault=fault, data_network={"latency_s": latency_s}))

    assert [event for event in run.events if isinstance(event, SessionBegan) and event.at_s > 95.0]


# ------------------------------------------------------------------------------------------------ what befalls a link


def test_an_eavesdropper_raises_the_error_rate_to_a_quarter_and_the_alarm_until_she_goes() -> None:
    quiet: dict[str, dict[str, Any]] = {"every_node": {"noise": {}}, "distill": {"reconciliation": "low-latency"}}
    spy = {"at_s": 63.0, "until_s": 168.0, "set": {"link.user1-user2.eavesdropper": {"fraction": 1.0}}}
    run = simulate_network(small(2, 24, tunnels=None, fault={"spy": spy}, **quiet))
    seen = [block for block in blocks(run) if 63.0 <= block.start_s < 168.0]
    alarms = [event for event in run.events if isinstance(event, Alarmed)]

    assert len(seen) == 10
    sample = sum(block.estimate.sample for block in seen)
    share = sum(block.estimate.errors for block in seen) / sample
    assert abs(share - 0.25) < 5.0 * math.sqrt(0.25 * 0.75 / sample)
    assert {block.rejection for block in seen} == {"qber above limit"}
    assert all(block.rejection is None for block in blocks(run) if block not in seen)
    assert [event.over for event in alarms] == [False, True]
    assert 63.0 < alarms[0].at_s < 84.0
    assert 168.0 < alarms[1].at_s < 189.0


def test_an_eavesdropper_starves_the_tunnel_which_keeps_its_old_key() -> None:
    spy = {"at_s": 63.0, "set": {"link.user1-user2.eavesdropper": {"fraction": 1.0}}}
    run = simulate_network(small(2, 40, fault={"spy": spy}))
    starved = [event for event in run.events if isinstance(event, Starved) and event.at_s > 250.0]

    assert starved
    assert all(event.held and event.reason == "not_enough_key" for event in starved)


def test_a_cut_link_gets_no_slots_and_the_others_keep_theirs() -> None:
    run = simulate_network(small(3, 18, fault={"cut": {"at_s": 52.5, "until_s": 126.0, "cut": "user1-user3"}}))
    cut = [event.links for event in between(run.events, 52.5, 126.0) if isinstance(event, SlotBegan)]

    assert ("user1-user3",) not in cut
    assert cut.count(()) == 2
    assert [block.start_s for block in blocks(run, "user1-user2")] == [31.5 * n for n in range(6)]


def test_a_link_whose_fibre_is_dark_without_anybody_knowing_raises_an_alarm() -> None:
    dark = {"at_s": 31.5, "set": {"node.user1.detector.efficiency": 1e-9}}
    run = simulate_network(small(2, 10, fault={"dark": dark}))
    (alarm,) = [event for event in run.events if isinstance(event, Alarmed)]

    assert "3 blocks in a row gave no key: too few sifted bits" in alarm.reason
    assert alarm.qber is None


def test_a_source_that_dims_gives_fewer_pairs_in_proportion() -> None:
    dim = {"at_s": 105.0, "set": {"source.eps.local_pair_rate_hz": 4100.0}}
    matched = [block.ledger.matched for block in blocks(simulate_network(small(2, 20, fault={"dim": dim})))]
    before, after = sum(matched[:10]), sum(matched[10:])

    assert abs(after / before - 0.5) < 5.0 * 0.5 * math.sqrt(1.0 / before + 1.0 / after)


def test_drift_spoils_the_error_rate_and_feedback_keeps_it_as_low_as_the_closed_form_says() -> None:
    slots, slot_s = 86, 42.0  # an hour; a slot's angle is that of its middle

    def error_rate(**values: float) -> float:
        values = {"rad_per_sqrt_hour": 3.0} | values
        run = simulate_network(small(slots=slots, tunnels=0, schedule={"slot_s": slot_s}, drift=values))
        seen = blocks(run)
        return sum(block.estimate.errors for block in seen) / sum(block.estimate.sample for block in seen)

    still = error_rate(rad_per_sqrt_hour=0.0)
    wild, tame = error_rate(feedback_s=1e9), error_rate(feedback_s=60.0)

    params = Drift(rad_per_sqrt_hour=3.0, feedback_s=60.0)
    variance_rad2 = fmean(drift.variance_rad2(params, (slot + 0.5) * slot_s) for slot in range(slots))
    added = drift.qber(2.0 * variance_rad2)  # two nodes
    assert added > 0.025
    # 172 angles squared: their mean is off by 11 %, so three standard deviations are a third
    assert tame - still == pytest.approx((1.0 - 2.0 * still) * added, rel=0.33)
    assert wild > still + 0.1
