"""The cluster paper's figures: theory as printed, simulation beside it, and claims that are judged by numbers."""

import math

import msgspec
import numpy as np
import pytest
from scipy import stats

from bellweave.network.wide.theory import distribution_rate, success_probability
from bellweave.results.records import Report
from bellweave.studies.cluster import claims, curves
from bellweave.studies.cluster.run import ClusterStudy, run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ClusterStudy:
    return run(tmp_path_factory.mktemp("cluster"), seed=7)


def test_simulated_rates_lie_below_eq_9_and_not_far(study: ClusterStudy) -> None:
    for name in ("fig5", "fig6c", "fig7a"):
        for curve in study.panels[name].curves:
            for point in curve.points:
                bound = curve.y[int(np.argmin(np.abs(np.asarray(curve.x) - point.x)))]
                assert point.y - 5.0 * point.stderr < bound, (name, curve.label, point)
                assert point.y + 5.0 * point.stderr > 0.3 * bound, (name, curve.label, point)


def test_a_single_hop_meets_its_closed_form(study: ClusterStudy) -> None:
    for curve in study.panels["fig6a"].curves:
        for point in curve.points:
            success = success_probability(float(curve.label.removesuffix(" km")))
            exact = _mean_time_s(int(point.x), success, curves.KEYS)
            assert abs(point.y - exact) < 5.0 * point.stderr, (curve.label, point, exact)


def _mean_time_s(units: int, success: float, keys: int) -> float:
    """Return the mean end of the period in which the n-th success of m-at-a-time attempts falls."""
    slots = np.arange(int(2.0 * keys / (units * success)) + 50)
    mean = float(np.sum(stats.binom.cdf(keys - 1, units * slots, success)))
    return mean * 145e-6


def test_keys_of_a_slot_meet_their_closed_form(study: ClusterStudy) -> None:
    for curve in study.panels["fig6b"].curves:
        for point in curve.points:
            expected = curve.y[round(point.x / 0.5)]
            assert abs(point.y - expected) <= 5.0 * point.stderr + 1e-9 + 0.01 * (point.stderr == 0.0)


def test_rates_come_closer_to_eq_9_with_more_memory(study: ClusterStudy) -> None:
    for curve in study.approach.curves:
        shares = [point.y for point in curve.points]
        assert shares == sorted(shares)
        assert shares[-1] < 1.0 + 5.0 * curve.points[-1].stderr
    assert study.approach["k = 2"].points[-1].y > 0.95


def test_lines_are_eq_9(study: ClusterStudy) -> None:
    curve = study.panels["fig7a"]["q = 0.6"]

    assert curve.at(30.0) == distribution_rate(31, 10, success_probability(200.0 / 31), 0.6)


def test_every_claim_of_every_figure_is_judged_with_a_reason(study: ClusterStudy) -> None:
    assert [claim.figure for claim in study.claims] == [
        "fig5", "fig6a", "fig6a", "fig6b", "fig6b", "fig6b", "fig6c", "fig7a", "fig7a", "fig7a", "fig7b", "fig7b",
    ]  # fmt: skip
    verdicts = {(claim.figure, claim.words[:7]): claim.verdict for claim in study.claims}
    assert verdicts["fig7a", "q = 0.6"] == "does not hold"
    assert verdicts["fig7a", "q = 0.3"] == "holds with a correction"
    assert verdicts["fig5", "with fe"] == "holds"


def test_theory_and_simulation_agree_on_what_decides(study: ClusterStudy) -> None:
    """A ratio of rates hardly depends on how full the memories are, so both tell the same."""
    for claim in study.claims:
        if claim.theory is not None and claim.simulated is not None:
            near = math.isclose(claim.theory, claim.simulated, rel_tol=0.4, abs_tol=0.03)
            assert near, (claim.measure, claim.theory, claim.simulated)


def test_a_claim_would_fail_if_the_numbers_were_otherwise() -> None:
    verdict, because = claims._judge_7a(0.6, 31.0, 1.02, 0.97)
    assert verdict == "holds"
    assert "+2%" in because
    assert claims._judge_7a(0.9, 20.0, 0.9, 0.8)[0] == "does not hold"


def test_the_report_prints_nothing_that_the_paper_does_not(study: ClusterStudy) -> None:
    assert all(row.printed is None for row in study.report.rows)
    assert msgspec.json.decode(msgspec.json.encode(study.report), type=Report) == study.report


def test_equal_seeds_give_equal_points(study: ClusterStudy) -> None:
    for name in ("fig6a", "fig7b"):
        assert curves.PANELS[name](7) == study.panels[name]
    assert curves.fig7b(8) != study.panels["fig7b"]
