"""Faults: what is in force when, and which faults are refused."""

import msgspec
import pytest

from bellweave.errors import ScenarioError
from bellweave.network.params import Fault
from bellweave.photonics.params import PulsedSource
from bellweave.scenario.load import load, parse, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import Timeline

DATACENTER = load("datacenter")


def with_faults(**faults: Fault) -> Scenario:
    return msgspec.structs.replace(DATACENTER, fault=faults)


def rate_hz(scenario: Scenario) -> float | None:
    source = scenario.source["eps"]
    assert isinstance(source, PulsedSource)
    return source.local_pair_rate_hz


def test_a_scenario_without_faults_has_one_state() -> None:
    (state,) = Timeline(DATACENTER).states

    assert (state.at_s, state.scenario) == (0.0, DATACENTER)
    assert not state.down | state.cut | set(state.active)


def test_a_value_changes_at_its_moment_and_comes_back() -> None:
    dim = Fault(at_s=100.0, until_s=200.0, set={"source.eps.local_pair_rate_hz": 4000.0})
    timeline = Timeline(with_faults(dim=dim))

    assert [rate_hz(timeline.at(t).scenario) for t in (0.0, 99.9, 100.0, 199.9, 200.0, 1e6)] == [
        8200.0, 8200.0, 4000.0, 4000.0, 8200.0, 8200.0,
    ]  # fmt: skip
    assert [state.active for state in timeline.states] == [(), ("dim",), ()]


def test_a_star_stands_for_every_name_and_a_table_can_be_set_whole() -> None:
    eve = Fault(at_s=10.0, set={"link.*.eavesdropper": {"fraction": 0.5}})

    links = Timeline(with_faults(eve=eve)).at(10.0).scenario.link

    assert [link.eavesdropper and link.eavesdropper.fraction for link in links.values()] == [0.5] * 6


def test_of_two_faults_that_overlap_the_one_whose_name_comes_last_wins() -> None:
    first = Fault(at_s=0.0, set={"source.eps.local_pair_rate_hz": 1000.0})
    second = Fault(at_s=50.0, until_s=60.0, set={"source.eps.local_pair_rate_hz": 2000.0})
    timeline = Timeline(with_faults(second=second, first=first))

    assert [rate_hz(timeline.at(t).scenario) for t in (0.0, 50.0, 60.0)] == [1000.0, 2000.0, 1000.0]


def test_nodes_fail_and_links_are_cut() -> None:
    timeline = Timeline(
        with_faults(power=Fault(at_s=5.0, until_s=9.0, down="bob"), digger=Fault(at_s=7.0, cut="alice-bob"))
    )

    assert [(set(s.down), set(s.cut)) for s in map(timeline.at, (0.0, 5.0, 7.0, 9.0))] == [
        (set(), set()), ({"bob"}, set()), ({"bob"}, {"alice-bob"}), (set(), {"alice-bob"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "path", "words"),
    [
        (Fault(at_s=5.0, until_s=5.0, down="bob"), "fault.x.until_s", "later than at_s 5.0, got 5.0"),
        (Fault(at_s=5.0, down="eve"), "fault.x.down", "there is no node 'eve'"),
        (Fault(at_s=5.0, cut="alice-eve"), "fault.x.cut", "there is no link 'alice-eve'"),
        (Fault(at_s=5.0), "fault.x", "changes nothing"),
        (Fault(at_s=5.0, partition=("bob", "eve")), "fault.x.partition", "there is no node 'eve'"),
        (Fault(at_s=5.0, partition=("bob", "bob")), "fault.x.partition", "two nodes, got 'bob' twice"),
        (Fault(at_s=5.0, store="eve"), "fault.x.store", "there is no node 'eve'"),
        (Fault(at_s=5.0, clock="eve", clock_step_s=60.0), "fault.x.clock", "there is no node 'eve'"),
        (Fault(at_s=5.0, charon="alice-bob-1"), "fault.x.charon", "expected TUNNEL.client or TUNNEL.server"),
        (Fault(at_s=5.0, set={"run.seed": 2}), 'fault.x.set."run.seed"', "can change source, node"),
        (Fault(at_s=5.0, set={"source.epr.visibility": 0.9}), 'fault.x.set."source.epr.visibility"', "no 'epr'"),
        (Fault(at_s=5.0, set={"source.eps.visibility": 1.9}), 'fault.x.set."source.eps.visibility"', "<= 1.0"),
        (Fault(at_s=5.0, set={"source.eps.colour": 1.9}), 'fault.x.set."source.eps.colour"', "unknown key `colour`"),
        (Fault(at_s=5.0, set={"link.alice-bob.fibre.length_km": 1.0}), 'fault.x.set."link.alice-bob.fibre.length_km"',
         "no table that holds 'length_km'"),
    ],
)  # fmt: skip
def test_an_impossible_fault_is_refused_when_the_scenario_is_read(fault: Fault, path: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(to_toml(with_faults(x=fault)), file="x.toml")

    assert caught.value.path == path
    assert words in caught.value.problem


def test_a_tunnel_leads_from_one_node_to_another_with_a_size_that_the_kms_gives() -> None:
    for old, new, path in (
        ('client = "alice"', 'client = "eve"', "tunnel.alice-bob-1.client"),
        ('client = "alice"', 'client = "bob"', "tunnel.alice-bob-1.server"),
        ("key_bits = 512", "key_bits = 100", "tunnel.alice-bob-1.key_bits"),
    ):
        with pytest.raises(ScenarioError) as caught:
            parse(to_toml(DATACENTER).replace(old, new, 1))
        assert caught.value.path == path
