"""Clusters and a backbone: what a file may say, and the arrays that it becomes."""

import math

import msgspec
import numpy as np
import pytest

from bellweave.errors import ScenarioError
from bellweave.network.wide.params import Hop, Memory, Repeater
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load, parse, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import Timeline
from bellweave.scenario.wide import assembled, attempt_s, backbone_of, is_wide, swap_fidelity

SMALL = """
format = 1
name = "small"
[master.m]
[master.n]
[slave.a]
master = "m"
hosts = ["h"]
[slave.b]
master = "n"
[hop.m-n]
a = "m"
b = "n"
length_km = 10.0
"""


@pytest.mark.parametrize("name", ["cluster", "backbone", "mesh"])
def test_a_preset_is_a_wide_area_network_and_reads_back_as_it_was_written(name: str) -> None:
    scenario = load(name)

    assert is_wide(scenario)
    assert parse(to_toml(scenario)) == scenario
    assert scenario.demand


def test_a_data_centre_is_none() -> None:
    assert not is_wide(load("datacenter"))


def test_the_arrays_hold_what_the_file_says() -> None:
    found = assembled(parse(SMALL))
    net = found.topology

    assert net.names == ("m", "n", "a", "b")
    assert found.edge_names == ("m-n", "a", "b")
    assert net.ends.tolist() == [[0, 1], [0, 2], [1, 3]]
    assert net.success == pytest.approx([10**-0.4, 10**-0.2, 10**-0.2])
    assert net.attempt_s == pytest.approx([145e-6] * 3)
    assert net.swap_probability.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert not found.same_cluster("a", "b")


def test_every_edge_of_a_mesh_joins_the_nodes_that_its_name_says() -> None:
    scenario = load("mesh")
    found = assembled(scenario)
    for name, hop in scenario.hop.items():
        ends = {found.topology.names[node] for node in found.topology.ends[found.edges[name]]}
        assert ends == {hop.a, hop.b}


def test_attempts_take_as_long_as_light_there_and_back() -> None:
    backbone = backbone_of(parse(SMALL))

    assert attempt_s(Hop(a="x", b="y", length_km=100.0), backbone) == pytest.approx(1e-3)
    assert attempt_s(Hop(a="x", b="y", length_km=1.0), backbone) == pytest.approx(145e-6)
    assert attempt_s(Hop(a="x", b="y", length_km=100.0, attempt_s=1.0), backbone) == pytest.approx(1.0)


def test_paper_mode_is_perfect_and_physical_mode_is_not() -> None:
    memory = Memory(coherence_s=0.5, lifetime_s=2.0)
    node = Repeater(gate_fidelity=0.97, readout_error=0.01, memory=memory)
    scenario = msgspec.structs.replace(load("backbone"), repeater={**load("backbone").repeater, "n1": node})
    place = assembled(scenario).nodes["n1"]
    physical = msgspec.structs.replace(
        scenario, backbone=msgspec.structs.replace(backbone_of(scenario), mode="physical")
    )

    paper, real = assembled(scenario).topology, assembled(physical).topology
    assert np.all(paper.fidelity == 1.0)
    assert (paper.coherence_s[place], paper.swap_fidelity[place]) == (math.inf, 1.0)
    assert paper.lifetime_s[place] == real.lifetime_s[place] == 2.0
    assert real.coherence_s[place] == 0.5
    assert real.swap_fidelity[place] == pytest.approx(swap_fidelity(node))
    assert real.fidelity[assembled(physical).edges["alice"]] == pytest.approx((1 + 3 * 0.98) / 4)


def test_a_swap_that_reads_at_random_leaves_nothing() -> None:
    assert swap_fidelity(Repeater(readout_error=0.5)) == pytest.approx(0.25)
    assert swap_fidelity(Repeater(gate_fidelity=0.25, readout_error=0.1)) == pytest.approx(0.25)
    assert swap_fidelity(Repeater()) == 1.0


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        ('[slave.c]\nmaster = "x"\n', "slave.c.master", "there is no 'x'; there are m, n"),
        ('[hop.x]\na = "m"\nb = "a"\nlength_km = 1.0\n', "hop.x.b", "there is no 'a'"),
        ('[hop.x]\na = "m"\nb = "m"\nlength_km = 1.0\n', "hop.x.b", "both are 'm'"),
        ('[hop.a]\na = "m"\nb = "n"\nlength_km = 1.0\n', "hop.a", "a slave or a link has that name"),
        ("[repeater.m]\n", "repeater.m", "there is a master of that name"),
        ('[slave.c]\nmaster = "m"\nhosts = ["h"]\n', "slave.c.hosts", "'h' is a host of a already"),
        ('[demand.d]\na = "a"\nb = "m"\n', "demand.d.b", "there is no 'm'"),
        ('[demand.d]\na = "a"\nb = "a"\n', "demand.d.b", "both are 'a'"),
        ('[demand.d]\na = "a"\nb = "b"\n[demand.e]\na = "b"\nb = "a"\n', "demand.e", "demand.d is between these two"),
        ('[demand.d]\na = "a"\nb = "b"\nstart_s = 2.0\nuntil_s = 1.0\n', "demand.d.until_s", "later than start_s 2.0"),
        (
            '[master.o]\n[slave.c]\nmaster = "o"\n[demand.d]\na = "a"\nb = "c"\n',
            "demand.d",
            "no path of hops joins a (at m) and c (at o)",
        ),
        ('[tunnel.t]\nclient = "a"\nserver = "m"\n', "tunnel.t.server", "there is no 'm'"),
        ('[tunnel.t]\nclient = "a"\nserver = "b"\n', "tunnel.t", "no demand is between a and b"),
        ('[fault.f]\nat_s = 1.0\ndown = "q"\n', "fault.f.down", "there is no node 'q'"),
        ('[fault.f]\nat_s = 1.0\ncut = "q"\n', "fault.f.cut", "there are a, b, m-n"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(more: str, path: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(SMALL + more)

    assert caught.value.path == path
    assert words in caught.value.problem


def test_repeaters_fail_and_hops_are_cut() -> None:
    faults = '[fault.f]\nat_s = 1.0\ndown = "m"\n[fault.g]\nat_s = 2.0\nuntil_s = 3.0\ncut = "m-n"\n'
    timeline = Timeline(parse(SMALL + faults))

    assert [sorted(timeline.at(at_s).down) for at_s in (0.5, 1.5)] == [[], ["m"]]
    assert [sorted(timeline.at(at_s).cut) for at_s in (2.5, 3.5)] == [["m-n"], []]


def purifying(**values: object) -> Scenario:
    changes = {"backbone": {"mode": "physical", "purification": values}, "hop.*.fidelity": 0.9}
    return changed(load("backbone"), changes)


def test_purification_is_left_to_the_run() -> None:
    plain = assembled(changed(purifying(), {"backbone": {"mode": "physical"}})).topology
    seen = assembled(purifying()).topology

    assert np.array_equal(seen.success, plain.success)
    assert np.array_equal(seen.units, plain.units)
    assert np.array_equal(seen.fidelity, plain.fidelity)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"backbone.purification.rounds": 40}, "backbone.purification.rounds", "40 rounds take 41 units, "),
        ({"hop.n1-n2.units": 1}, "backbone.purification.rounds", "1 rounds take 2 units, n1-n2 has 1"),
        ({"hop.n1-n2.fidelity": 0.4}, "backbone.purification.protocol", "makes pairs of fidelity 0.4 worse"),
        ({"backbone.mode": "paper"}, "backbone.purification", "pairs are perfect in paper mode"),
    ],
)
def test_purification_that_lacks_units_or_helps_nobody_is_refused(
    changes: dict[str, object], path: str, words: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        changed(purifying(), changes)

    assert caught.value.path == path
    assert words in caught.value.problem


def test_purification_with_gates_that_spoil_pairs_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"makes pairs of fidelity 0\.9 worse"):
        changed(purifying(), {"repeater.*.gate_fidelity": 0.9})


def test_a_slave_purifies_with_gates_like_its_masters() -> None:
    net = assembled(changed(purifying(), {"master.west.repeater": {"gate_fidelity": 0.999, "readout_error": 0.01}}))

    for name in ("west", "alice", "anna"):
        assert net.topology.gate_fidelity[net.nodes[name]] == 0.999
        assert net.topology.readout_error[net.nodes[name]] == 0.01
    assert net.topology.gate_fidelity[net.nodes["bob"]] == 1.0


@pytest.mark.parametrize(
    ("mdi", "field", "words"),
    [
        ({"shares": (0.9, 0.9, 0.9)}, "shares", "add up to 2.7, not to 1"),
        ({"intensities": (0.4, 0.1)}, "shares", "3 shares for 2 intensities"),
        ({"gate_ps": 20_000}, "gate_ps", "the limit is the pulse period of 10000 ps"),
    ],
)
def test_pulses_that_can_not_be_are_refused_before_a_run(mdi: dict[str, object], field: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        changed(load("cluster"), {"master.m.mdi": mdi})

    assert caught.value.path == f"master.m.mdi.{field}"
    assert words in caught.value.problem
