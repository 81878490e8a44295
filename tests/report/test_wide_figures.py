"""Figures and page of a wide-area run, from a real one in which a repeater fails."""

from functools import cache
from pathlib import Path

import msgspec
import pytest

from bellweave.network.params import Fault
from bellweave.plan.wide import plan_wide
from bellweave.plan.wide_design import Candidate, WideDesign
from bellweave.plan.wide_trial import Wish
from bellweave.report import wide_design_figures, wide_figures, wide_map, wide_page
from bellweave.results.wide_records import KeyMade, LanesEnded, LanesSet
from bellweave.scenario.load import load
from bellweave.sim.wide import WideRun, simulate_wide
from bellweave.sim.wide.summary import summarise
from bellweave.studies.wide_table import report


@cache
def rerouted() -> WideRun:
    """Return a short run in which the northern path fails for a while."""
    scenario = load("backbone")
    return simulate_wide(
        msgspec.structs.replace(
            scenario,
            run=msgspec.structs.replace(scenario.run, duration_s=2.0),
            fault={"north": Fault(at_s=0.6, until_s=1.4, down="n2")},
        )
    )


def test_the_page_holds_the_numbers_the_figures_and_every_demand(tmp_path: Path) -> None:
    run = rerouted()
    summary = summarise(run)

    text = wide_page.run_page(run, summary, report(run, summary), tmp_path).read_text()

    assert text.count("<img ") == 3
    assert f"<dd>{summary.pairs['measured']:,}</dd>" in text
    assert "Fault north from 0.6 s on" in text
    assert all(name in text for name in (*run.scenario.demand, *run.scenario.tunnel))
    assert {file.name for file in tmp_path.iterdir()} == {
        "report.html", *(f"{name}.{end}" for name in ("map", "served", "timeline") for end in ("png", "svg"))
    }  # fmt: skip


def test_equal_runs_give_equal_figures(tmp_path: Path) -> None:
    run, plan = rerouted(), plan_wide(rerouted().scenario)
    summary = summarise(run)
    for name in ("a", "b"):
        wide_page.draw_run(run, summary, plan, tmp_path / name)

    first, second = (sorted((tmp_path / name).iterdir()) for name in ("a", "b"))

    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_stretches_follow_the_demand_around_the_fault() -> None:
    run = rerouted()

    used = wide_figures.stretches(run.events, run.duration_s)

    assert [each.label for each in used["alice-bob"]] == [
        "west n1 n2 n3 east", "west s1 s2 s3 s4 east", "west n1 n2 n3 east",
    ]  # fmt: skip
    assert used["alice-bob"][0].end_s == pytest.approx(0.6)
    assert [each.label for each in used["alice-anna"]] == ["west"]
    served_s = summarise(run).demands["alice-bob"].served_s
    assert sum(each.end_s - each.begin_s for each in used["alice-bob"]) == pytest.approx(served_s)


def test_other_memory_units_are_no_other_path() -> None:
    path = (("a", "m", "b"),)
    events = (
        LanesSet(at_s=0.0, request=1, demand="d", same_cluster=False, nodes=path, units=((2, 2),), run=1),
        LanesSet(at_s=1.0, request=1, demand="d", same_cluster=False, nodes=path, units=((1, 1),), run=2),
        LanesEnded(at_s=3.0, request=1, demand="d"),
    )

    used = wide_figures.stretches(events, 5.0)

    assert used == {"d": [wide_figures.Stretch(0.0, 3.0, path)]}
    assert wide_figures.changes(used, ["d"]) == []


def test_steps_of_the_rate_hold_every_pair() -> None:
    run = rerouted()
    pairs = sum(each.pairs for each in run.events if isinstance(each, KeyMade) and each.demand == "alice-bob")

    steps = wide_figures.rate_steps(run.events, "alice-bob", 0.35)

    assert sum((end_s - begin_s) * rate for begin_s, end_s, rate in steps) == pytest.approx(pairs)
    assert all(end_s - begin_s >= 0.35 - 1e-6 for begin_s, end_s, _ in steps[:-1])


def test_the_load_of_a_hop_is_the_share_of_its_units_over_time() -> None:
    run = rerouted()

    busy = wide_map.load(run)

    used = wide_figures.stretches(run.events, run.duration_s)["alice-bob"]
    south_s = sum(each.end_s - each.begin_s for each in used if "s1" in each.label)
    assert busy[frozenset(("s1", "s2"))] == pytest.approx(south_s / run.duration_s, abs=0.02)
    assert all(0.0 <= each <= 1.0 + 1e-9 for each in busy.values())


@pytest.mark.parametrize("name", ["cluster", "backbone", "mesh"])
def test_every_node_has_a_place_of_its_own(name: str) -> None:
    scenario = load(name)

    where = wide_map.places(scenario)

    assert set(where) == {*scenario.master, *scenario.slave, *scenario.repeater}
    assert len({(round(x, 3), round(y, 3)) for x, y in where.values()}) == len(where)
    assert all(where[each] == (own.x_km, own.y_km) for each, own in scenario.repeater.items())


def test_fidelity_and_error_rate_undo_each_other() -> None:
    assert wide_figures.fidelity_of(wide_figures.qber_of(0.9)) == pytest.approx(0.9)
    assert wide_figures.qber_of(1.0) == 0.0


def test_a_design_is_drawn_even_if_nothing_will_do(tmp_path: Path) -> None:
    wish = Wish(distance_km=200.0, bits_per_s=500.0)
    none = Candidate(repeaters=0, hop_km=200.0, success=1e-8, attempt_s=2e-3, units_at_least=None, why="too far")
    good = Candidate(repeaters=9, hop_km=20.0, success=0.16, attempt_s=2e-4, units_at_least=3, units=5, total_units=100,
                     lifetime_s=0.01, pairs_per_s=520.0, bits_per_s=520.0, trusted_bits_per_s=4e3)  # fmt: skip

    files = wide_design_figures.draw(WideDesign(wish=wish, candidates=(none,), best=None), tmp_path / "none")
    files += wide_design_figures.draw(WideDesign(wish=wish, candidates=(none, good), best=9), tmp_path / "one")

    assert all(file.stat().st_size > 5_000 for file in files)
