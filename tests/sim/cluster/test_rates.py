import math

import pytest

from bellweave.network.wide.params import Ekert91, Master, MdiQkd, Slave
from bellweave.network.wide.theory import cluster_key_bits
from bellweave.plan.cluster_rates import cluster_bits_per_attempt
from bellweave.sim.cluster import Pair, physical_rates


def pair(length_km: float = 0.0, **master: object) -> Pair:
    slave = Slave(master="m", length_km=length_km)
    return Pair(Master(**master), "a", slave, "b", slave)  # type: ignore[arg-type]


def test_more_fibre_costs_both_protocols_its_loss_twice() -> None:
    near, far = (physical_rates(pair(length_km)) for length_km in (0.0, 5.0))

    loss = 10.0 ** (-2.0 * 5.0 * 0.4 / 10.0)
    assert far.ekert / near.ekert == pytest.approx(loss, rel=0.01)
    assert far.mdi / near.mdi == pytest.approx(loss, rel=0.15)
    assert far.ekert_stored == pytest.approx(far.ekert / loss)
    assert far.mdi_stored == pytest.approx(far.mdi / loss)


def test_the_chsh_value_and_error_rate_follow_from_the_sources_visibility() -> None:
    rates = physical_rates(pair(visibility=0.9))

    assert rates.chsh == pytest.approx(2.0 * math.sqrt(2.0) * 0.9, rel=2e-3)
    assert rates.ekert_qber == pytest.approx(0.05, abs=1e-3)


def test_a_source_without_a_violation_gives_no_key_by_ekert91() -> None:
    assert physical_rates(pair(visibility=0.7)).ekert == 0.0
    assert physical_rates(pair(visibility=0.7, ekert=Ekert91(settings="ekert"))).ekert == 0.0


def test_equal_pairs_give_equation_6_with_their_own_rates() -> None:
    own = pair(5.0, mdi=MdiQkd(light="single-photon"))
    rates = physical_rates(own)

    bits = cluster_bits_per_attempt([own] * 6, 4)

    assert bits == pytest.approx(cluster_key_bits(4, 10, 10, ekert_rate=rates.ekert, mdi_rate=rates.mdi))
    assert cluster_bits_per_attempt([], 4) == 0.0
