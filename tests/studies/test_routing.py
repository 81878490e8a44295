"""The study of routers: every share is one, the figure shows all of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from bellweave.network.wide.flow.stage import Wanted
from bellweave.network.wide.generators import grid
from bellweave.report import routing_figures
from bellweave.studies.routing import ROUTERS, Compared, Setting, by_case, compare, rows, settings


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    topology = replace(grid(3, 3, swap_probability=0.9))
    return compare(Setting("grid 3 x 3", topology, (Wanted(0, 8), Wanted(2, 6), Wanted(0, 5))))


def test_no_router_passes_the_optimum_and_several_paths_serve_more_than_one(compared: list[Compared]) -> None:
    shares = {(each.goal, each.router): each.share for each in compared}

    assert set(shares) == {(goal, router) for goal in ("max-min", "total") for router in ROUTERS}
    assert all(0.0 < share <= 1.0 + 1e-3 for share in shares.values())
    assert all(each.optimum_per_s <= each.bound_per_s * (1 + 1e-6) for each in compared)
    assert shares["total", "multipath"] > shares["total", "hops"]


def test_rows_hold_a_mean_for_each_case_and_a_spread_where_there_are_several_sets(compared: list[Compared]) -> None:
    one, two = rows(compared), rows([*compared, *compared])

    assert len(one) == len(two) == 2 * len(ROUTERS)
    assert one[0].quantity == "max-min share of the optimum, hops, grid 3 x 3"
    assert one[0].stderr is None
    assert two[0].stderr == pytest.approx(0.0, abs=1e-12)
    assert two[0].n == 2


def test_settings_repeat_and_their_demands_join_different_places() -> None:
    first, second = list(settings(3, sets=1)), list(settings(3, sets=1))

    assert [each.wanted for each in first] == [each.wanted for each in second]
    assert [each.name for each in first] == ["chain of 12", "grid 6 x 6", "random geometric, 60", "European backbone"]
    europe = first[-1]
    cities = {europe.topology.names[node] for each in europe.wanted for node in (each.source, each.target)}
    assert not any(city[-1].isdigit() for city in cities)


def test_the_figure_is_written(compared: list[Compared], tmp_path: Path) -> None:
    png, svg = routing_figures.shares(by_case(compared), tmp_path)

    assert png.read_bytes()[:4] == b"\x89PNG"
    text = svg.read_text()
    assert "clipPath" in text
