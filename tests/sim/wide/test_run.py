"""Wide-area runs: rates against theory, every pair and bit accounted for, faults, key servers, hosts."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
import simpy

from bellweave.errors import ScenarioError
from bellweave.network.wide.agreement.messages import Lane
from bellweave.network.wide.params import SemiQuantum
from bellweave.network.wide.semi_quantum import latency_s
from bellweave.plan.wide import plan_wide
from bellweave.results.io import read_wide_events
from bellweave.results.network_records import FaultChanged, LedgerClosed
from bellweave.results.wide_records import Asked, Fetched, KeyMade, LanesSet, PairsClosed, RequestEnded, WideEvent
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load, parse, preset_text
from bellweave.scenario.schema import Scenario
from bellweave.sim.network.journal import Journal
from bellweave.sim.wide import WideRun, simulate_wide
from bellweave.sim.wide.control import _lesser
from bellweave.sim.wide.network import Network
from bellweave.sim.wide.summary import WideSummary, summarise

SIGMA = 4.0


def backbone(faults: str = "", values: Mapping[str, object] = MappingProxyType({})) -> Scenario:
    scenario = parse(preset_text("backbone") + faults)
    return changed(scenario, {"run.duration_s": 3.0, **values})


def ran(scenario: Scenario) -> tuple[WideRun, WideSummary]:
    run = simulate_wide(scenario)
    return run, summarise(run)


def paths(run: WideRun, demand: str) -> list[tuple[str, ...]]:
    return [event.nodes[0] for event in run.events if isinstance(event, LanesSet) and event.demand == demand]


def test_a_cluster_makes_the_key_of_eq_6() -> None:
    _, summary = ran(changed(load("cluster"), {"run.duration_s": 5.0}))
    plan = plan_wide(load("cluster")).clusters[0]
    attempts = math.floor(5.0 / 145e-6)
    deviation = math.sqrt(attempts * (30 * 0.25 * 0.75 + 10 * 0.125 * 0.875))
    bits = sum(each.bits for each in summary.demands.values())

    assert abs(bits - attempts * plan.bits_per_attempt) < SIGMA * deviation + 3 * 2 * 8  # and what is less than a byte
    for each in summary.demands.values():
        assert each.key_bits["mdi"] > 0.9 * attempts * 10 * 0.125 / 3


def test_rates_stay_below_the_bound_and_every_pair_is_accounted_for() -> None:
    scenario = backbone()
    run, summary = ran(scenario)
    for plan in plan_wide(scenario).demands:
        own = summary.demands[plan.demand]
        if plan.kind == "backbone":
            assert 0.5 * plan.timed_per_s < own.pairs_per_s < plan.timed_per_s
    closed = [event for event in run.events if isinstance(event, PairsClosed)]
    assert len(closed) == 3
    for books in closed:
        assert books.created == books.swapped + books.measured + books.expired + books.held
        assert books.purified == 0
        assert books.measured > 0
    assert any(books.held for books in closed)


def test_with_quick_swaps_and_many_units_the_rate_comes_close_to_the_program() -> None:
    quick = {"measurement_s": 0.0, "memory": {"retrieval_s": 0.0}}
    values: dict[str, object] = {f"repeater.{name}": {"swap_probability": 0.9, **quick} for name in ("n1", "n2", "n3")}
    values |= {f"master.{name}.repeater": {"swap_probability": 0.9, **quick} for name in ("west", "east")}
    values |= {
        "slave.*.memory.retrieval_s": 0.0,
        "hop.*.units": 200,
        "slave.*.units": 400,
        "backbone.swap_order": "nested",
    }
    scenario = backbone(values=values)
    _, summary = ran(changed(scenario, {"run.duration_s": 1.0}))
    for plan in plan_wide(scenario).demands[:2]:
        own = summary.demands[plan.demand]
        assert 0.75 * plan.rate_per_s < own.pairs_per_s < plan.rate_per_s + SIGMA * math.sqrt(plan.rate_per_s)


def test_equal_runs_are_equal_byte_for_byte_and_another_seed_is_another_run(tmp_path: Path) -> None:
    scenario = backbone(values={"run.duration_s": 1.0})
    first = simulate_wide(scenario, tmp_path / "a")
    simulate_wide(scenario, tmp_path / "b")
    other = simulate_wide(changed(scenario, {"run.seed": 2}))

    bytes_a, bytes_b = ((tmp_path / name / "events.jsonl").read_bytes() for name in "ab")
    assert bytes_a == bytes_b
    assert read_wide_events(tmp_path / "a") == first.events
    assert other.events != first.events
    with pytest.raises(ScenarioError, match="holds another run"):
        simulate_wide(changed(scenario, {"run.seed": 2}), tmp_path / "a")


def test_a_killed_repeater_is_gone_round_and_come_back_to() -> None:
    run, summary = ran(backbone('[fault.f]\nat_s = 1.0\nuntil_s = 2.0\ndown = "n2"\n'))
    north, south, back = paths(run, "alice-bob")

    assert "n2" in north
    assert "s1" in south
    assert back == north
    assert summary.demands["alice-bob"].losses == 1
    assert summary.demands["alice-bob"].served_s > 2.7
    assert {event.active for event in run.events if isinstance(event, FaultChanged)} == {True, False}
    meanwhile = [e for e in run.events if isinstance(e, KeyMade) and e.demand == "alice-bob" and 1.2 < e.at_s < 2.0]
    assert meanwhile


def test_a_cut_hop_is_gone_round_too() -> None:
    run, summary = ran(backbone('[fault.f]\nat_s = 1.0\ncut = "west-n1"\n'))

    assert [("n1" in path) for path in paths(run, "anna-boris")] == [True, False]
    assert summary.demands["anna-boris"].losses == 1


def test_without_any_path_requests_give_up_and_ask_again_until_one_is_there() -> None:
    faults = '[fault.f]\nat_s = 0.5\nuntil_s = 2.5\ndown = "n2"\n[fault.g]\nat_s = 0.5\nuntil_s = 2.5\ndown = "s2"\n'
    run, summary = ran(backbone(faults, {"backbone.timeout_s": 0.5, "run.duration_s": 4.0}))
    own = summary.demands["alice-bob"]

    assert own.reasons["no path"] >= 1
    assert own.requests > 1
    assert own.runs == 2
    ends = [event for event in run.events if isinstance(event, RequestEnded) and event.reason == "no path"]
    assert all("0.5 s" in event.detail for event in ends)


def test_a_slave_that_fails_and_returns_has_key_again() -> None:
    run, summary = ran(backbone('[fault.f]\nat_s = 1.0\nuntil_s = 1.5\ndown = "alice"\n', {"run.duration_s": 4.0}))
    own = summary.demands["alice-bob"]

    assert own.reasons["node failed"] == 1
    asked = [event.at_s for event in run.events if isinstance(event, Asked) and event.demand == "alice-bob"]
    assert len(asked) == 2
    assert asked[1] >= 1.5
    times = [event.at_s for event in run.events if isinstance(event, KeyMade) and event.demand == "alice-bob"]
    assert not [at_s for at_s in times if 1.01 < at_s < 1.5]
    assert max(times) > 3.5


def test_a_peer_that_fails_is_waited_for_or_asked_anew() -> None:
    run, _ = ran(backbone('[fault.f]\nat_s = 1.0\nuntil_s = 1.5\ndown = "bob"\n', {"run.duration_s": 4.0}))
    times = [event.at_s for event in run.events if isinstance(event, KeyMade) and event.demand == "alice-bob"]

    assert max(times) > 3.5


def test_after_a_run_every_unit_is_free() -> None:
    env = simpy.Environment(initial_time=0.0)
    journal = Journal[WideEvent]()
    network = Network(env, backbone('[fault.f]\nat_s = 1.0\ndown = "n2"\n'), journal)
    env.run(until=env.process(network.live()))

    for name, desk in network.desks.items():
        for edge, number in network.net.edges.items():
            if network.net.topology.ends[number, 0] == network.net.nodes[name]:
                assert desk.units.free(edge, env.now) == network.net.topology.units[number]
        assert not desk.requests


def test_hosts_get_keys_that_their_key_servers_booked() -> None:
    run, summary = ran(backbone())
    own = summary.demands["anna-boris"]
    fetched = [event for event in run.events if isinstance(event, Fetched) and event.demand == "anna-boris"]

    assert own.keys == sum(event.keys for event in fetched) > 0
    assert {(event.master, event.slave, event.origin) for event in fetched} == {("anna-host", "boris-host", "direct")}
    books = [event.accounts for event in run.events if isinstance(event, LedgerClosed) and event.link == "anna-boris"]
    assert [each["delivered"] for each in books] == [own.fetched_bits] * 2
    assert all(each["ingested"] == own.bits for each in books)


def test_hosts_that_are_not_in_the_slaves_room_get_their_keys_later() -> None:
    hand_over = {"length_km": 2.0, "qubit_rate_hz": 1e5}
    run, _ = ran(backbone(values={"slave.boris.hand_over": hand_over}))
    fetched = [event for event in run.events if isinstance(event, Fetched) and event.demand == "anna-boris"]
    made = [event.at_s for event in run.events if isinstance(event, KeyMade) and event.demand == "anna-boris"]

    assert fetched
    for event in fetched:
        own = latency_s(SemiQuantum(length_km=2.0, qubit_rate_hz=1e5), event.bits)
        assert event.hand_over == "semi-quantum"
        assert min(abs(event.at_s - own - at_s) for at_s in made) < 0.01


def test_tunnels_are_keyed_over_the_backbone() -> None:
    _, summary = ran(backbone(values={"tunnel.alice-bob.period_s": 0.5}))

    assert summary.tunnels["alice-bob"].sessions == 4
    assert summary.tunnels["alice-bob"].refused == 0


def test_a_demand_keeps_no_more_than_it_asks_for() -> None:
    _, summary = ran(backbone())

    assert summary.demands["alice-anna"].bits_per_s == pytest.approx(500.0, rel=0.01)


def test_a_demand_begins_and_ends_in_time_and_others_get_its_units() -> None:
    values = {"demand.alice-bob.start_s": 1.0, "demand.alice-bob.until_s": 2.0}
    run, summary = ran(backbone(values=values))
    own = summary.demands["alice-bob"]
    times = [event.at_s for event in run.events if isinstance(event, KeyMade) and event.demand == "alice-bob"]

    assert (own.wanted_s, own.reasons) == (1.0, {"done": 1})
    assert 1.0 <= min(times) <= max(times) <= 2.0 + 1e-9
    units = [event.units[0][1] for event in run.events if isinstance(event, LanesSet) and event.demand == "anna-boris"]
    assert units == [10, 5, 10]


def test_key_servers_stretch_key_for_hosts_and_never_use_a_seed_again() -> None:
    run, summary = ran(backbone(values={"demand.anna-boris.derived_bits": 4096}))
    fetched = [event for event in run.events if isinstance(event, Fetched) and event.demand == "anna-boris"]
    direct = [event.accounts for event in run.events if isinstance(event, LedgerClosed) and event.link == "anna-boris"]

    assert "expanded" in {event.origin for event in fetched}
    assert summary.demands["anna-boris"].fetched_bits > summary.demands["anna-boris"].bits
    for books in direct:
        assert books["expansion"] > 0
        assert books["expansion"] + books["delivered"] + books["available"] + books["reserved"] == books["ingested"]


@pytest.mark.parametrize("order", ["hop-by-hop", "nested", "optimal"])
def test_every_swap_order_runs(order: str) -> None:
    _, summary = ran(backbone(values={"backbone.swap_order": order, "run.duration_s": 1.0}))

    assert summary.demands["alice-bob"].pairs > 100


@pytest.mark.parametrize("router", ["hops", "length", "reliability", "multipath", "online"])
def test_every_router_runs_on_a_mesh(router: str) -> None:
    _, summary = ran(changed(load("mesh"), {"backbone.router": router, "run.duration_s": 0.3}))

    assert all(each.pairs > 0 for each in summary.demands.values())
    assert summary.fairness > 0.5


def test_a_scenario_without_clusters_is_refused() -> None:
    with pytest.raises(ScenarioError, match="a wide-area run needs slaves"):
        simulate_wide(load("datacenter"))


@pytest.mark.parametrize("order", ["asap", "optimal"])
def test_hops_purify_and_the_books_say_so(order: str) -> None:
    values = {"backbone.mode": "physical", "backbone.swap_order": order, "hop.*.fidelity": 0.9, "slave.*.units": 20}
    scenario = backbone(values={**values, "backbone.purification": {"protocol": "dejmps", "rounds": 2}})
    run, summary = ran(scenario)
    for plan in plan_wide(scenario).demands:
        own = summary.demands[plan.demand]
        assert own.books is not None
        assert (own.books.purified > 0) == (plan.kind == "backbone")
        if plan.kind == "backbone":
            assert 0.0 < own.books.measured / 3.0 < plan.timed_per_s
            assert own.books.purified > own.books.swapped
    closed = [event for event in run.events if isinstance(event, PairsClosed)]
    for books in closed:
        assert books.created == books.swapped + books.measured + books.expired + books.purified + books.held


def test_requests_content_with_less_still_can_purify() -> None:
    lane = Lane(("a", "m"), ("a",), ("m",), (10,))

    assert [each[0].units for each in _lesser((lane,), 3)] == [(5,), (3,), (3,), (3,)]
