"""The data-centre study: counting by hand, hypotheses, schedulers, more users, and the report."""

from functools import cache

import msgspec
import pytest

from bellweave.results.network_records import Delivered
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.summary import summarise
from bellweave.studies import datacenter, datacenter_rows, scaling, schedulers
from bellweave.studies import datacenter_counting as counting
from bellweave.studies.datacenter_hypotheses import hypotheses, session_moments_s, try_all
from bellweave.studies.published import studies


@cache
def preset() -> Scenario:
    scenario = load("datacenter")
    return msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, level="coincidences"))


@cache
def papers_run() -> NetworkRun:
    return simulate_network(preset())


def test_the_printed_block_length_gives_the_counts_of_the_facts_page() -> None:
    """Facts page, section 2: 5 tunnels keyed at 60 s, 28 keys at 300 s, 103 at 1050 s."""
    served = counting.count(preset(), counting.expected(preset(), block_bits=554.0), 1050.0)

    assert [sum(each.at_s <= at_s for each in served) for at_s in (60.0, 300.0, 1050.0)] == [5, 28, 103]


def test_counting_a_run_s_own_blocks_by_hand_gives_its_own_sessions() -> None:
    run = papers_run()

    served = counting.count(run.scenario, counting.measured(run.events), run.duration_s)

    assert [each.at_s for each in served] == pytest.approx(session_moments_s(run.events), abs=0.1)


def test_chunks_hold_key_back_and_chunks_of_a_byte_do_not() -> None:
    run = papers_run()
    supply = counting.measured(run.events)

    sessions = [len(counting.count(run.scenario, supply, 1050.0, chunk_bits=bits)) for bits in (8, 1024, 4096)]

    assert sessions == sorted(sessions, reverse=True)
    assert sessions[-1] < sessions[0]


def test_expected_supply_has_as_many_bits_as_the_slots_and_whole_accumulations_only() -> None:
    four = msgspec.structs.replace(preset(), distill=msgspec.structs.replace(preset().distill, accumulate_blocks=4))

    single, joined = (counting.expected(each, block_bits=100.0) for each in (preset(), four))

    assert sum(bits for blocks in single.values() for _, bits in blocks) == 100 * 100.0
    assert [len(blocks) for blocks in joined.values()] == [4] * 6
    assert joined["alice-bob"][0] == pytest.approx(((3 * 6 + 1) * 10.5, 400.0))


def test_a_hypothesis_is_simulated_and_counted_and_both_agree() -> None:
    names = ("as the text says", "KMS chunks of 2048 bits", "all nodes up at 600 s")
    chosen = [each for each in hypotheses() if each.name in names]
    runs: list[int] = []

    plain, chunks, late = try_all(preset(), (1, 2), chosen, lambda: runs.append(1))

    assert len(runs) == 4  # chunks are counted over the blocks of the first
    assert abs(plain.sessions.value - plain.theory) <= 6
    assert abs(late.sessions.value - late.theory) <= 4
    assert chunks.sessions.value < plain.sessions.value
    assert late.first_s is not None
    assert late.first_s.value > 600.0


def test_nothing_is_minted_as_printed_and_every_accounting_has_its_rows() -> None:
    run = papers_run()

    rows = datacenter_rows.rows(studies()["datacenter"], [(run, summarise(run))], datacenter.expectations(preset()))

    table = {(row.quantity, row.accounting): row for row in rows}
    for accounting in ("paper", "provable", "as-printed"):
        for quantity, _ in datacenter_rows.QUANTITIES:
            assert (quantity, accounting) in table
    assert table["sessions", "paper"].printed == 43.0
    assert table["keys_delivered", "paper"].printed == 86.0
    paper, printed = table["final_bits", "paper"], table["final_bits", "as-printed"]
    assert (paper.mean or 0.0) == pytest.approx(paper.theory, rel=0.08)
    assert (printed.mean or 0.0) > (paper.mean or 0.0)
    keys = [event for event in run.events if isinstance(event, Delivered) and event.key_id]
    assert keys
    assert all(key.provable_bits == 0 for key in keys)


def test_where_some_links_only_have_tunnels_round_robin_wastes_most_slots_and_nobody_beats_the_bound() -> None:
    few = {name: each for name, each in preset().tunnel.items() if name.startswith(datacenter.BUSY)}
    scenario = msgspec.structs.replace(preset(), tunnel=few)

    found = {each.scheduler: each for each in schedulers.compare(scenario)}

    assert found["deficit"].keys > 2 * found["round-robin"].keys
    assert found["optimum"].keys > 2 * found["round-robin"].keys
    assert all(each.of_bound <= 1.05 for each in found.values())
    assert all(each.keys + each.refused == each.wanted for each in found.values())


def test_the_ring_of_four_users_is_the_paper_s_network() -> None:
    four = scaling.ring(preset(), 4)

    pairs = [frozenset((tunnel.client, tunnel.server)) for tunnel in four.tunnel.values()]
    assert len(pairs) == 12
    assert all(pairs.count(pair) == 2 for pair in pairs)
    assert len(scaling.ring(preset(), 16).tunnel) == 48


def test_more_users_get_less_and_round_robin_gives_the_least() -> None:
    found = scaling.scale(preset(), "paper", (4,))

    everyone = [found.devices.per_hour(users, "round-robin") for users in scaling.USERS]
    demand = [found.devices.per_hour(users, "optimum") for users in scaling.USERS]
    assert everyone == sorted(everyone, reverse=True)
    assert all(one <= two for one, two in zip(everyone, demand, strict=True))
    assert everyone[0] == pytest.approx(demand[0])
    simulated = {point.scheduler: point.keys_per_hour for point in found.points}
    assert simulated["round-robin"] == pytest.approx(everyone[0], rel=0.25)  # pools start empty
    assert found.enough_until("round-robin") == 0


def test_one_source_of_today_is_enough_for_a_hundred_users_in_turns() -> None:
    found = scaling.scale(load("datacenter-modern"), "modern", ())

    assert 90 < found.enough_until("round-robin") < 128 < found.enough_until("optimum")
