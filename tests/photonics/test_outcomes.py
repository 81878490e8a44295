"""Categories of pairs, and the pairs of crowded thermal pulses."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellweave import bell
from bellweave.photonics.modes import modes
from bellweave.photonics.outcomes import bunched, categories, chances, sampler
from bellweave.photonics.params import Arm, CwSource, Detector, Node, OpticalLink, Polarisation, PulsedSource
from bellweave.photonics.source import Pairs
from bellweave.rng import stream

TABLE = bell.joint_table(bell.werner("psi-", 0.9), bell.effects(), bell.effects())


def sphere(count: int) -> bell.Reals:
    rng = stream(1, "sphere")
    height, angle = rng.uniform(-1.0, 1.0, count), rng.uniform(0.0, 2.0 * math.pi, count)
    return np.stack([height, np.sqrt(1.0 - height**2) * np.cos(angle)], axis=1)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_categories_are_a_distribution_with_the_right_margins(
    reach_a: float, reach_b: float, efficiency: float
) -> None:
    uneven = Arm(node=Node(detector=Detector(efficiencies=(1.0, efficiency, 0.3, 0.9))), loss_db={})
    plain = Arm(node=Node(analyser=Polarisation(basis_choice="active")), loss_db={})
    shares = categories(TABLE[np.newaxis], modes(uneven), modes(plain), reach_a, reach_b)[0]

    assert shares.shape == (1, 2, 5, 5)
    assert np.all(shares > -1e-12)
    assert np.allclose(shares.sum(axis=(2, 3)), 1.0)
    assert np.allclose(shares[0, 0].sum(axis=1)[:4], reach_a * np.array([0.25, 0.25 * efficiency, 0.075, 0.225]))
    assert np.allclose(shares[0, 0].sum(axis=0)[:2], reach_b * 0.5)
    assert np.allclose(shares[0, 1].sum(axis=0)[2:4], reach_b * 0.5)


def test_bunched_tables_average_to_the_table_and_keep_the_sides_apart() -> None:
    tables = bunched(TABLE, sphere(200_000))

    same = [(0, 0), (1, 1)]
    for bases in same:
        assert np.allclose(
            tables[(slice(None), *bases)].mean(axis=0), TABLE[bases], atol=4.0 * 0.3 / math.sqrt(200_000)
        )
    assert np.all(tables >= 0.0)
    assert np.allclose(tables.sum(axis=(3, 4)), 1.0)
    assert np.allclose(tables.sum(axis=4)[:, :, 0], tables.sum(axis=4)[:, :, 1])
    assert np.allclose(tables.sum(axis=3)[:, 0], tables.sum(axis=3)[:, 1])


def test_the_number_of_ones_of_a_bunched_pulse_is_uniform() -> None:
    """n pairs of a two-mode squeezer in one basis: m ones with probability 1 / (n + 1), in either basis."""
    direction = sphere(300_000)
    for basis in (0, 1):
        one = bunched(TABLE, direction).sum(axis=4)[:, basis, 0, 1]
        for ones in range(4):
            chance = math.comb(3, ones) * one**ones * (1.0 - one) ** (3 - ones)
            assert abs(chance.mean() - 0.25) < 4.0 * chance.std() / math.sqrt(chance.size)


def test_drawing_follows_the_distribution() -> None:
    cumulative = np.array([[0.0, 0.1, 0.1, 0.4, 1.0], [0.25, 0.5, 0.75, 0.875, 1.0]])
    uniform = stream(1, "u").random(80_000)
    row = np.arange(80_000) % 2

    drawn = chances(cumulative).pick(row, uniform)

    for own in (0, 1):
        found = np.bincount(drawn[row == own], minlength=5)
        expected = 40_000 * np.diff(cumulative[own], prepend=0.0)
        assert np.all(np.abs(found - expected) < 4.0 * np.sqrt(expected) + 1e-9)
    assert chances(cumulative[:1]).pick(np.zeros(0, np.int64), np.array([0.0, 0.0999, 0.1, 0.9999])).tolist() == [
        1,
        1,
        3,
        4,
    ]


def test_pairs_of_one_crowded_pulse_share_a_direction_and_others_do_not() -> None:
    """Two pairs seen in full: Alice's Z bits agree with probability 2/3 (0, 1, 2 ones are alike)."""
    node = Node(analyser=Polarisation(z_probability=1.0))
    end = Arm(node=node, loss_db={})
    pulsed = PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=0.1, statistics="thermal", state="psi-")
    optical = OpticalLink(name="a", source=pulsed, alice=end, bob=end, window_ps=1, block_s=1.0)
    twins = 40_000
    pulse = np.repeat(np.arange(twins), 2)

    alice, bob = sampler(optical, 0.0).draw(Pairs(pulse * 1_000_000, pulse), None, None, stream(1, "x"))

    assert np.array_equal(alice, 1 - bob)
    same = int((alice[::2] == alice[1::2]).sum())
    assert abs(same - twins * 2 / 3) < 4.0 * math.sqrt(twins * 2 / 9)
    across = int((alice[1:-1:2] == alice[2::2]).sum())
    assert abs(across - (twins - 1) / 2) < 4.0 * math.sqrt(twins / 4)


def test_equal_links_share_one_sampler() -> None:
    end = Arm(node=Node(), loss_db={"x": 3.0})
    first, second = (
        OpticalLink(name="a", source=CwSource(pair_rate_hz=5.0), alice=end, bob=end, window_ps=1, block_s=1.0)
        for _ in range(2)
    )

    assert sampler(first, 0.0) is sampler(second, 0.0)
