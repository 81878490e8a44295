"""One block of a link at both levels."""

import math

import numpy as np
import pytest

from bellweave import bell
from bellweave.photonics import analyser, coincidence, link
from bellweave.photonics.params import (
    Arm,
    Clock,
    Cut,
    CwSource,
    Detector,
    Eavesdropper,
    Node,
    OpticalLink,
    Polarisation,
    PulsedSource,
    Source,
    TimeBin,
)
from bellweave.rng import stream

CW = CwSource(pair_rate_hz=200_000.0)
PULSED = PulsedSource(repetition_rate_hz=10_000_000.0, mean_pairs_per_pulse=0.02)
BIN = TimeBin(bin_separation_ps=10_000)


def optical(source: Source = CW, encoding: Polarisation | TimeBin | None = None, **keys: object) -> OpticalLink:
    node = Node(analyser=encoding or Polarisation(), detector=Detector(efficiency=0.7, jitter_ps=100))
    arm = Arm(node=node, loss_db={"path": 3.0}, delay_ps=1000)
    return OpticalLink(
        **({"name": "a-b", "source": source, "alice": arm, "bob": arm, "window_ps": 2000, "block_s": 0.1} | keys)  # type: ignore[arg-type]
    )


def rounds(case: OpticalLink, block: int = 0, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bases and bits of both ends after matching."""
    seen = link.tags(case, seed, block)
    alice = analyser.clicks(seen[0], case.alice, case.source, case.window_ps, stream(seed, "a", block))
    bob = analyser.clicks(
        seen[1], case.bob, case.source, case.window_ps, stream(seed, "b", block), flips=link.bob_flips(case)
    )
    a, b = coincidence.match(alice.time_ps, bob.time_ps, case.window_ps)
    return alice.basis[a], bob.basis[b], alice.bit[a], bob.bit[b]


@pytest.mark.parametrize("case", [optical(), optical(PULSED, BIN)])
def test_the_same_seed_and_block_give_the_same_bytes_and_others_do_not(case: OpticalLink) -> None:
    first, again, other_block, other_seed = (link.tags(case, *key)[0] for key in ((1, 2), (1, 2), (1, 3), (2, 2)))

    assert np.array_equal(first.time_ps, again.time_ps)
    assert np.array_equal(first.channel, again.channel)
    assert not np.array_equal(first.time_ps[:50], other_block.time_ps[:50])
    assert not np.array_equal(first.time_ps[:50], other_seed.time_ps[:50])
    bits = [link.coincidences(case, *key)[0].bit[:200].tolist() for key in ((1, 2), (1, 2), (1, 3))]
    assert bits[0] == bits[1] != bits[2]


def test_a_change_at_bob_changes_nothing_at_alice() -> None:
    """Named streams: dark counts at Bob draw from Bob's own."""
    plain = optical()
    noisy_node = Node(detector=Detector(efficiency=0.7, jitter_ps=100, dark_rate_hz=1e5))
    noisy = optical(bob=Arm(node=noisy_node, loss_db={"path": 3.0}, delay_ps=1000))

    assert np.array_equal(link.tags(plain, 1, 0)[0].time_ps, link.tags(noisy, 1, 0)[0].time_ps)
    assert len(link.tags(noisy, 1, 0)[1]) > len(link.tags(plain, 1, 0)[1]) + 30_000


@pytest.mark.parametrize("state", ["phi+", "phi-", "psi+", "psi-"])
@pytest.mark.parametrize("encoding", [Polarisation(), Polarisation(basis_choice="keyed"), BIN])
def test_a_noiseless_link_has_no_errors(state: bell.BellName, encoding: Polarisation | TimeBin) -> None:
    """Narrow jitter, no dark counts, single pairs: whatever the state, Bob's flips put it right, at both levels."""
    case = optical(PulsedSource(repetition_rate_hz=1e7, mean_pairs_per_pulse=1e-3, state=state), encoding, block_s=0.3)
    table = np.zeros((2, 2))

    basis_a, basis_b, bit_a, bit_b = rounds(case)
    same = basis_a == basis_b
    np.add.at(table, (basis_a[same], (bit_a ^ bit_b)[same]), 1)

    # Two pairs in one pulse (1 in 1,000) are no noise of the link; they cost at most a few errors of some 180.
    assert table[:, 1].sum() <= 2
    assert table[:, 0].min() > 50
    silent = optical(CwSource(pair_rate_hz=1000.0, state=state), Polarisation(), block_s=1.0)
    basis_a, basis_b, bit_a, bit_b = rounds(silent)
    assert np.array_equal(bit_a[basis_a == basis_b], bit_b[basis_a == basis_b])
    alice, bob = link.coincidences(silent, 1, 0)
    kept = alice.basis == bob.basis
    assert int((alice.bit[kept] != bob.bit[kept]).sum()) == 0
    assert kept.sum() > 40


def test_keyed_bases_always_match() -> None:
    basis_a, basis_b, *_ = rounds(optical(encoding=Polarisation(basis_choice="keyed", slot_ps=10**9)))

    assert basis_a.size > 1000
    assert np.mean(basis_a == basis_b) > 0.999
    assert 0.3 < basis_a.mean() < 0.7


def test_a_cut_stops_one_arm_in_its_time_only() -> None:
    case = optical(cut=Cut(start_s=0.15, end_s=0.17, arm="bob"))

    whole, cut = (rounds(case, block)[0].size for block in (0, 1))
    alice, bob = link.tags(case, 1, 1)
    inside = [((seen.time_ps > 0.0501 * 1e12) & (seen.time_ps < 0.0699 * 1e12)).sum() for seen in (alice, bob)]

    assert abs(cut - 0.8 * whole) < 4.0 * math.sqrt(1.8 * whole)
    assert inside[0] > 1000
    assert inside[1] == 0
    assert abs(len(link.coincidences(case, 1, 1)[0]) - cut) < 4.0 * math.sqrt(2.0 * cut)


def test_an_eavesdropper_shows_at_both_levels() -> None:
    case = optical(eavesdropper=Eavesdropper())
    for basis_a, basis_b, bit_a, bit_b in (rounds(case), _columns(case)):
        same = basis_a == basis_b
        errors = int((bit_a ^ bit_b)[same].sum())
        assert abs(errors - 0.25 * same.sum()) < 4.0 * math.sqrt(same.sum() * 3 / 16)


def _columns(case: OpticalLink) -> tuple[np.ndarray, ...]:
    alice, bob = link.coincidences(case, 1, 0)
    return alice.basis, bob.basis, alice.bit, bob.bit


def test_rounds_have_the_same_consecutive_ids_at_both_ends() -> None:
    alice, bob = link.coincidences(optical(), 1, 0)

    assert alice.id.tolist() == bob.id.tolist() == list(range(len(alice)))


def test_detections_say_channels_duration_and_setting() -> None:
    arm = Arm(node=Node(analyser=Polarisation(basis_choice="active"), clock=Clock(drift=1e-6)), loss_db={})
    alice, bob = link.tags(optical(alice=arm), 1, 0)

    assert (alice.channels, bob.channels) == (2, 4)
    assert (alice.duration_ps, bob.duration_ps) == (10**11 + 10**5, 10**11)
    assert alice.setting is not None
    assert bob.setting is None
    assert abs(alice.setting.mean() - 0.5) < 4.0 * 0.5 / math.sqrt(len(alice))


def test_channel_delays_move_tags_and_keep_them_sorted() -> None:
    node = Node(detector=Detector(efficiency=0.7), clock=Clock(channel_delay_ps=(0, 10**9, 0, 0)))
    alice, _ = link.tags(optical(alice=Arm(node=node, loss_db={})), 1, 0)

    assert np.all(np.diff(alice.time_ps) >= 0)
    assert int(alice.time_ps[alice.channel == 1].min()) >= 10**9


def test_nothing_arrives_through_infinite_loss() -> None:
    dead = Arm(node=Node(), loss_db={"path": 400.0})
    case = optical(alice=dead, bob=dead)

    assert [len(seen) for seen in link.tags(case, 1, 0)] == [0, 0]
    assert len(link.coincidences(case, 1, 0)[0]) == 0
