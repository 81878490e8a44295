"""Theory = the network in virtual time: slots exactly, bits within 4 sigma, keys exactly for the bits that came.

Blocks vary from one to the next (photons, errors, parities); what is done with them does not. So throughput is compared
within its standard error, and waiting by the closed forms' own rule, cumulated supply against cumulated demand, on the
blocks of the run. The key of a mean block is a closed form with an error of its own: Cascade's parities are known
within 3 %, so a block's key is known within 3 % of them.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

import msgspec
import numpy as np
import pytest

from bellweave.network.theory import (
    Demand,
    Supply,
    keys_with_waiting,
    keys_without_waiting,
    overhead_share,
    round_slots,
    turns,
    utilisation,
    wait_s,
)
from bellweave.plan import expected_block
from bellweave.results.network_records import BlockDistilled, Delivered, SlotBegan
from bellweave.roles.run import NetworkRun
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import summarise
from bellweave.tunnel.theory import periods

pytestmark = pytest.mark.agreement

SIGMAS = 4.0
PARITIES = 0.03
SLOT_S = 10.5
LATE_S = 0.1
"""Longest that post-processing and the classical network take."""


def blocks(run: NetworkRun, link: str) -> list[BlockDistilled]:
    return [event for event in run.events if isinstance(event, BlockDistilled) and event.block.link == link]


def keys(run: NetworkRun) -> list[Delivered]:
    return [event for event in run.events if isinstance(event, Delivered) and event.side == "client" and event.key_id]


def single(slots: int, **tunnel: object) -> Scenario:
    """Return the paper's network with one link and its two tunnels."""
    whole = load("datacenter")
    assert whole.schedule is not None
    return msgspec.structs.replace(
        whole,
        node={name: whole.node[name] for name in ("alice", "bob")},
        link={"alice-bob": whole.link["alice-bob"]},
        tunnel={
            name: msgspec.structs.replace(each, **tunnel)
            for name, each in whole.tunnel.items()
            if name.startswith("alice-bob")
        },
        schedule=msgspec.structs.replace(whole.schedule, slots=slots),
        run=msgspec.structs.replace(whole.run, level="coincidences"),
    )


@pytest.fixture(scope="module")
def saturated() -> NetworkRun:
    """The paper's network for twenty rounds of its six links."""
    scenario = load("datacenter")
    assert scenario.schedule is not None
    scenario = msgspec.structs.replace(
        scenario,
        schedule=msgspec.structs.replace(scenario.schedule, slots=120),
        run=msgspec.structs.replace(scenario.run, level="coincidences"),
    )
    return simulate_network(scenario)


def test_a_saturated_round_serves_every_link_at_its_turn(saturated: NetworkRun) -> None:
    began = [event for event in saturated.events if isinstance(event, SlotBegan)]
    round_length = round_slots(4, 1)

    for position, link in enumerate(saturated.scenario.link):
        supply = turns(position, round_length, SLOT_S, 1.0)
        ends_s = [event.at_s + SLOT_S for event in began if link in event.links]
        assert ends_s == pytest.approx([supply.first_s + n * supply.every_s for n in range(20)])
        arrived_s = [event.at_s for event in blocks(saturated, link)]
        assert all(0.0 < at_s - end_s < LATE_S for at_s, end_s in zip(arrived_s, ends_s, strict=True))


def test_a_saturated_round_gives_every_link_the_throughput_of_the_closed_form(saturated: NetworkRun) -> None:
    summary = summarise(saturated)
    for link, found in summary.links.items():
        expected = expected_block(saturated.scenario, link)
        sifted, final = expected.quantities["sifted_bits"], expected.quantities["final_bits"]
        made = [event.block.ledger.final for event in blocks(saturated, link)]
        assert abs(found.ledger.sifted - 20 * sifted) <= SIGMAS * math.sqrt(20 * sifted)
        slack = 20 * PARITIES * expected.quantities["disclosed_bits"] + SIGMAS * math.sqrt(20) * float(np.std(made))
        assert abs(found.ledger.final - 20 * final) <= slack
        assert found.wait_max_s == pytest.approx(63.0)
    assert summary.utilisation == pytest.approx(utilisation(4, 1, 0.0, SLOT_S).source)


def test_what_the_switch_takes_is_missing_from_every_block() -> None:
    scenario = load("datacenter")
    assert scenario.schedule is not None
    assert scenario.switch is not None
    scenario = msgspec.structs.replace(
        scenario,
        switch=msgspec.structs.replace(scenario.switch, reconfiguration_s=2.0, synchronisation_s=1.15),
        schedule=msgspec.structs.replace(scenario.schedule, slots=60),
        run=msgspec.structs.replace(scenario.run, level="coincidences"),
    )

    summary = summarise(simulate_network(scenario))

    share = overhead_share(3.15, SLOT_S)
    sifted = 60 * (1.0 - share) * expected_block(scenario, "alice-bob").quantities["sifted_bits"]
    assert abs(summary.minted.sifted_bits - sifted) <= SIGMAS * math.sqrt(sifted)
    assert summary.lost_share == pytest.approx(share)
    assert summary.utilisation == pytest.approx(utilisation(4, 1, 3.15, SLOT_S).source)


def stock(run: NetworkRun, link: str) -> Iterator[tuple[float, int]]:
    """Yield when blocks came and what had come by then, in whole bytes."""
    made = blocks(run, link)
    yield from zip(
        (event.at_s for event in made), accumulate(event.block.ledger.final // 8 * 8 for event in made), strict=True
    )


@pytest.mark.parametrize("period_s", [30.0, 60.0])
def test_a_single_link_with_tunnels_that_do_not_ask_again_delivers_the_closed_form_s_keys(period_s: float) -> None:
    """Once with more demand than supply (30 s), once with less (60 s)."""
    slots = 100
    scenario = single(slots, start_s=period_s, period_s=period_s, session_s=None)

    run = simulate_network(scenario)

    demand = Demand(period_s, period_s, 512.0, tunnels=2)
    made = [event.block.ledger.final for event in blocks(run, "alice-bob")]
    assert len(made) == slots
    got = Counter(round(event.at_s) for event in keys(run))
    # exactly, for the blocks that came: at each moment as many keys as tunnels ask for and the stock holds
    taken = 0
    for moment in range(periods(scenario.tunnel["alice-bob-1"], slots * SLOT_S)):
        now_s = demand.start_s + moment * period_s
        held = max((bits for at_s, bits in stock(run, "alice-bob") if at_s < now_s), default=0) - taken
        assert got[round(now_s)] == min(2, held // 512), f"at {now_s} s with {held} bits"
        taken += 512 * got[round(now_s)]
    # within the error of the sum of all blocks, for mean blocks
    sigma = math.sqrt(slots) * float(np.std(made))
    low, mean, high = (
        keys_without_waiting(
            Supply(SLOT_S + LATE_S, SLOT_S, float(np.mean(made)) + off / slots), demand, slots * SLOT_S
        )
        for off in (-SIGMAS * sigma, 0.0, SIGMAS * sigma)
    )
    assert low - 1 <= len(keys(run)) <= high + 1
    assert abs(len(keys(run)) - mean) <= SIGMAS * sigma / 512 + 1


def test_on_a_single_link_a_tunnel_that_keeps_asking_waits_as_long_as_the_closed_form_says() -> None:
    slots, retry_s = 60, 0.25
    scenario = single(slots, key_bits=1024, start_s=5.0, period_s=30.0, retry_s=retry_s, session_s=None)
    del scenario.tunnel["alice-bob-2"]

    run = simulate_network(scenario)

    there = list(stock(run, "alice-bob"))
    came_s = [event.at_s for event in keys(run)]
    # exactly, for the blocks that came: key n is there once n + 1 keys' worth of bits are
    for number, at_s in enumerate(came_s):
        enough_s = next(when_s for when_s, bits in there if bits >= 1024 * (number + 1))
        assert enough_s <= at_s <= enough_s + retry_s + LATE_S
    # mean blocks: the wait of the closed form, within what the blocks so far vary
    made = [event.block.ledger.final for event in blocks(run, "alice-bob")]
    supply = Supply(SLOT_S, SLOT_S, float(np.mean(made)))
    demand = Demand(5.0, 30.0, 1024.0)
    for number, at_s in enumerate(came_s):
        used = max(1.0, (number + 1) * 1024 / supply.bits)
        sigma_s = math.sqrt(used) * float(np.std(made)) / supply.bits_per_s
        waited_s = at_s - demand.asked_s(number)
        assert abs(waited_s - wait_s(supply, demand, number)) <= SIGMAS * sigma_s + SLOT_S + retry_s + LATE_S
    assert abs(len(came_s) - keys_with_waiting(supply, demand, slots * SLOT_S)) <= 1
