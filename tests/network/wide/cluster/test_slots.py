import math

import pytest

from bellweave.network.wide.cluster.slots import Cluster
from bellweave.network.wide.cluster.turns import every_pair
from bellweave.network.wide.params import Master, Memory, Repeater, Slave
from bellweave.network.wide.theory import cluster_key_bits
from bellweave.rng import stream


def cluster(slaves: int, *, memory: Memory | None = None, length_km: float = 0.0, **keys: float) -> Cluster:
    own = memory or Memory()
    names = tuple(f"s{number}" for number in range(slaves))
    every = {name: Slave(master="m", length_km=length_km, memory=own) for name in names}
    return Cluster(Master(repeater=Repeater(memory=own)), every, every_pair(names), **({"slot_s": 1.0} | keys))  # type: ignore[arg-type]


@pytest.mark.parametrize("slaves", [2, 3, 4, 5, 6])
def test_sure_attempts_and_long_lifetimes_give_equation_6(slaves: int) -> None:
    slots = 60  # whole rounds of every size

    bits = sum(cluster(slaves).expected_bits(slots).values()) / slots

    assert bits == pytest.approx(cluster_key_bits(slaves, 10, 10, ekert_rate=0.25, mdi_rate=0.125))


def test_the_simulated_key_of_every_pair_is_the_expected() -> None:
    own, slots = cluster(5, memory=Memory(lifetime_s=5e-3), length_km=3.0), 5_000
    expected = own.expected_bits(slots)

    served = own.simulate(slots, stream(1, "cluster"))

    for name, both in served.items():
        bits = sum(each.bits for each in both)
        assert bits == pytest.approx(expected[name], abs=4.0 * math.sqrt(expected[name] * 3.0))
        assert all(each.dropped >= 0 for each in both)


def test_key_per_slot_is_linear_in_the_lifetime_and_then_flat() -> None:
    service_s = 1.14e-3
    bits = [
        sum(cluster(2, memory=Memory(lifetime_s=count * service_s)).expected_bits(1).values()) for count in range(1, 16)
    ]

    assert bits[:10] == pytest.approx([0.375 * count for count in range(1, 11)])
    assert bits[9:] == pytest.approx([3.75] * 6)


def test_a_slave_in_two_pairs_is_never_served_twice_in_a_slot() -> None:
    ekert, mdi = cluster(5).turns(1_000)

    assert sum(ekert.values()) == 2 * 1_000
    assert sum(mdi.values()) == 1_000
