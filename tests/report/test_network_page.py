"""Figures and page of a network run, from a real one."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from bellweave.network.params import Fault
from bellweave.report import network_figures, network_page, network_timeline
from bellweave.scenario.load import load
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.summary import summarise
from bellweave.studies.network_table import report


@cache
def attacked() -> NetworkRun:
    """Return a short run of the paper's network in which a node fails."""
    scenario = load("datacenter")
    assert scenario.schedule is not None
    return simulate_network(
        msgspec.structs.replace(
            scenario,
            schedule=msgspec.structs.replace(scenario.schedule, slots=40),
            run=msgspec.structs.replace(scenario.run, level="coincidences"),
            fault={"charlie": Fault(at_s=200.0, until_s=300.0, down="charlie")},
        )
    )


def test_the_page_of_a_run_holds_its_numbers_its_figures_and_every_tunnel(tmp_path: Path) -> None:
    run = attacked()
    summary = summarise(run)

    text = network_page.run_page(run, summary, report(run, summary), tmp_path).read_text()

    assert text.count("<img ") == 4
    assert f"<dd>{summary.minted.sessions}</dd>" in text
    assert "Fault charlie from 200 s on" in text
    assert all(name in text for name in (*run.scenario.link, *run.scenario.tunnel))
    for name in ("timeline", "sessions", "keys-over-time", "blocks-by-qber"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
        assert (tmp_path / f"{name}.svg").stat().st_size > 5_000


def test_equal_runs_give_equal_figures(tmp_path: Path) -> None:
    first, second = (network_timeline.timeline(attacked(), "t", tmp_path / name) for name in ("a", "b"))

    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_sessions_never_overlap_and_cover_what_the_summary_counts() -> None:
    run = attacked()
    summary = summarise(run)

    for name, found in network_timeline.sessions(run).items():
        assert all(one.end_s <= two.begin_s for one, two in pairwise(found))
        assert sum(not each.renewed for each in found) == summary.tunnels[name].sessions
        assert sum(each.end_s - each.begin_s for each in found) == pytest.approx(summary.tunnels[name].up_s)


def test_a_session_is_cut_where_its_key_ages() -> None:
    session = network_timeline.Session(begin_s=100.0, end_s=400.0, key_s=80.0, renewed=True)

    pieces = network_timeline._by_age(session)

    assert pieces == [(0, 100.0, 140.0), (1, 140.0, 200.0), (2, 200.0, 380.0), (3, 380.0, 400.0)]


def test_figures_of_the_study_take_nothing_at_all(tmp_path: Path) -> None:
    served = network_figures.Served("deficit", 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    tried = [network_figures.Tried("none", 1050.0, ((),), 0.0, 0.0, 0.0, 0.0)]

    files = network_figures.schedulers({"nobody": [served]}, "t", tmp_path)
    files += network_figures.keys_over_time([[]], {"none": []}, 10.0, None, "t", tmp_path)
    files += network_figures.hypotheses(tried, 43.0, "t", tmp_path)
    files += network_figures.hypothesis_shapes(tried, 43.0, "t", tmp_path)

    assert all(file.stat().st_size > 1_000 for file in files)
