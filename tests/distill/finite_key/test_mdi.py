"""MDI-QKD against the check values of facts/distillation.md, section 7."""

import pytest

from bellweave.distill.finite_key import mdi


@pytest.mark.parametrize(
    ("length_km", "y11", "e11", "gain", "error", "rate"),
    [
        (0, 1.051549e-2, 1.514353e-2, 1.543221e-3, 1.540846e-2, 4.648476e-4),
        (50, 1.052304e-3, 1.549145e-2, 1.640646e-4, 1.627647e-2, 4.409312e-5),
        (100, 1.054692e-4, 1.658878e-2, 1.681271e-5, 1.900392e-2, 4.009985e-6),
        (150, 1.062255e-5, 2.003040e-2, 1.721547e-6, 2.745454e-2, 2.931598e-7),
    ],
)
def test_infinitely_many_decoys(
    length_km: float, y11: float, e11: float, gain: float, error: float, rate: float
) -> None:
    link = mdi.Setting(length_km=length_km)
    singles, seen = mdi.single_photons(link), mdi.gains(0.4, 0.4, link)

    assert singles == pytest.approx((y11, e11), rel=2e-6)
    assert (seen.z, seen.z_wrong / seen.z) == pytest.approx((gain, error), rel=2e-6)
    assert mdi.rate(link, singles) == pytest.approx(rate, rel=2e-6)


@pytest.mark.parametrize(
    ("length_km", "y11", "e11", "rate"),
    [
        (0, 9.605217e-3, 0.082644, 2.008934e-4),
        (50, 9.425510e-4, 0.092014, 1.489735e-5),
        (100, 9.384042e-5, 0.096453, 1.010254e-6),
    ],
)
def test_two_decoys(length_km: float, y11: float, e11: float, rate: float) -> None:
    link = mdi.Setting(length_km=length_km)
    found = mdi.two_decoys(link)

    assert found.gain == pytest.approx(y11, rel=2e-6)
    assert found.error == pytest.approx(e11, abs=1e-6)
    assert mdi.rate(link, found) == pytest.approx(rate, rel=2e-6)


def test_single_photons() -> None:
    assert mdi.single_photon_rate(0.5, 0.01, 1.05) == pytest.approx(0.10429676, rel=2e-6)


@pytest.mark.parametrize("length_km", [0.0, 50.0, 120.0])
def test_two_decoys_never_claim_more_than_the_truth(length_km: float) -> None:
    link = mdi.Setting(length_km=length_km)
    truth, bound = mdi.single_photons(link), mdi.two_decoys(link)

    assert bound.gain < truth.gain
    assert bound.error > truth.error
