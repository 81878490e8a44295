"""Finite-key MDI-QKD: its bounds hold where the truth is known, and its limits are the asymptotic ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.distill.finite_key import mdi, mdi_finite

LINK = mdi.Setting(length_km=0.0)
SHARES = (0.5, 0.3, 0.2)


def test_long_runs_tend_to_the_asymptotic_rates() -> None:
    """Linear programming uses two decoys no worse than the analytic bounds, and no better than infinitely many."""
    rates = [mdi_finite.expected_rate(LINK, 10.0**power) for power in (11, 12, 13, 14, 16, 18)]

    assert rates == sorted(rates)
    assert rates[0] > 0
    assert mdi.rate(LINK, mdi.two_decoys(LINK)) < rates[-1] < mdi.rate(LINK, mdi.single_photons(LINK))
    assert rates[-1] == pytest.approx(rates[-2], rel=0.01)


def test_short_runs_give_nothing() -> None:
    assert mdi_finite.expected_rate(LINK, 1e9) < 0
    assert mdi_finite.expected_rate(mdi.Setting(length_km=50.0), 1e12) < 0


@given(count=st.one_of(st.just(0.0), st.floats(1.0, 1e9)), failure=st.floats(1e-30, 1e-3))
def test_an_interval_holds_its_count_and_solves_the_chernoff_bound(count: float, failure: float) -> None:
    low, high = mdi_finite.mean_interval(count, failure)

    assert 0.0 <= low <= count <= high
    for mean in (low, high):
        if mean > 0.0 and count > 0.0:
            assert count * math.log(count / mean) - count + mean == pytest.approx(math.log(1 / failure), rel=1e-3)


def test_intervals_miss_the_mean_no_more_often_than_they_say() -> None:
    """20 000 counts around 30 at a failure of 1 % a side: fewer than 200 + 4 sigma on either side."""
    counts = rng.stream(1, "intervals").binomial(3000, 0.01, 20_000)
    bounds = {int(count): mdi_finite.mean_interval(float(count), 0.01) for count in np.unique(counts)}
    above = sum(bounds[int(count)][0] > 30.0 for count in counts)
    below = sum(bounds[int(count)][1] < 30.0 for count in counts)

    assert above < 200 + 57
    assert below < 200 + 57


def test_the_programme_brackets_the_true_single_photon_yield() -> None:
    sent = mdi_finite.Sent(1e12, LINK.intensities, SHARES)
    seen = {(a, b): mdi.gains(LINK.intensities[a], LINK.intensities[b], LINK) for a, b in sent.pairings}
    counts = {pairing: sent.weight(pairing) * each.z for pairing, each in seen.items()}
    truth = mdi.single_photons(LINK).gain

    low = mdi_finite.single_photon_yield(sent, counts, 1e-10)
    high = mdi_finite.single_photon_yield(sent, counts, 1e-10, highest=True)

    assert 0.8 * truth < low < truth < high < 1.2 * truth


def test_counts_that_no_yields_explain_prove_nothing() -> None:
    sent = mdi_finite.Sent(1e9, LINK.intensities, SHARES)
    counts = dict.fromkeys(sent.pairings, 0.0) | {(2, 2): 0.1 * sent.weight((2, 2))}

    assert mdi_finite.single_photon_yield(sent, counts, 1e-10) == 0.0
    assert mdi_finite.single_photon_yield(sent, counts, 1e-10, highest=True) == 1.0
    assert mdi_finite.key_length(sent, sent, counts, counts, counts, 0.0) < 0


def test_few_rounds_are_counted_from_below() -> None:
    assert mdi_finite.count_at_least(5.0, 1e-10) == 0.0
    assert mdi_finite.count_at_least(1e6, 1e-10) == pytest.approx(1e6 - math.sqrt(2e6 * math.log(1e10)), rel=1e-4)
