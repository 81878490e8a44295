"""Closed forms for a continuous-wave source.

Source: Neumann et al., Phys. Rev. A 104, 022406 (2021): singles, true coincidences times the share erf(w / (2 sqrt 2
sigma)) that jitter leaves in the window, accidentals S_A S_B w. Ours goes on where that paper says "to good
approximation": clicks that already have their true partner give no accidental, one click matches one other, detectors
that are blind together after a common coincidence are counted, and a node's own double clicks follow its rules.
"""

import math

import numpy as np

from bellweave.bell import Reals
from bellweave.photonics.outcomes import categories
from bellweave.photonics.params import Arm, OpticalLink, Polarisation
from bellweave.photonics.theory_arms import ArmRates, within


def cells_hz(link: OpticalLink, table: Reals, alice: ArmRates, bob: ArmRates, shares: Reals) -> tuple[Reals, Reals]:
    """Return (true, accidental) coincidences per second.

    Args:
        link: The link.
        table: Shape (2, 2, 2, 2).
        alice: Alice's arm.
        bob: Bob's arm.
        shares: Shape (S_A, S_B), share of the time at each pair of settings.

    Returns:
        Each shape (4, 4): outcome 2 x basis + bit of Alice, of Bob.
    """
    emitted_hz = link.source.emitted_pair_rate_hz
    jitter_ps = math.hypot(link.alice.node.detector.jitter_ps, link.bob.node.detector.jitter_ps)
    both = categories(table[np.newaxis], alice.modes, bob.modes, alice.reach, bob.reach)[0, :, :, :-1, :-1]
    seen_hz = emitted_hz * np.einsum("st,stij->ij", shares, both)
    seen_hz *= _live_together(link, seen_hz, alice, bob)
    true_hz = np.zeros((4, 4))
    np.add.at(true_hz, (_outcome(alice)[:, None], _outcome(bob)[None, :]), seen_hz * within(link.window_ps, jitter_ps))

    alice_hz, bob_hz = _outcome_rates(link, table, 0, alice), _outcome_rates(link, table, 1, bob)
    half_s = (link.window_ps // 2) * 1e-12
    alice_matrix, alice_hz = _resolved(link.alice, alice_hz, alice.share, half_s)
    bob_matrix, bob_hz = _resolved(link.bob, bob_hz, bob.share, half_s)
    alice_matrix, bob_matrix = _late(link, link.alice, alice) @ alice_matrix, _late(link, link.bob, bob) @ bob_matrix
    true_hz = alice_matrix.T @ true_hz @ bob_matrix
    window_s = (link.window_ps + 1) * 1e-12
    return true_hz, _accidentals(true_hz, alice_hz, bob_hz, shares, window_s)


def _outcome(arm: ArmRates) -> np.ndarray:
    return 2 * arm.modes.basis + arm.modes.bit


def _live_together(link: OpticalLink, seen_hz: Reals, alice: ArmRates, bob: ArmRates) -> Reals:
    """Return the chance that both detectors of each pair of modes are live; a common click blinds both at once."""
    live_a, live_b = alice.live[alice.modes.channel], bob.live[bob.modes.channel]
    common_s = min(link.alice.node.detector.dead_time_ps, link.bob.node.detector.dead_time_ps) * 1e-12
    together = np.zeros((alice.live.size, bob.live.size))
    np.add.at(together, (alice.modes.channel[:, None], bob.modes.channel[None, :]), seen_hz)
    common = together[alice.modes.channel[:, None], bob.modes.channel[None, :]] * common_s
    independent = live_a[:, None] * live_b[None, :]
    return np.minimum(independent * (1.0 + common * independent), 1.0)


def _outcome_rates(link: OpticalLink, table: Reals, side: int, arm: ArmRates) -> Reals:
    """Return the rate of each outcome at each setting, shape (S, 4)."""
    marginal = table.sum(axis=3)[:, 0] if side == 0 else table.sum(axis=2)[0]
    chance = arm.reach * marginal[arm.modes.basis, arm.modes.bit] + 0.5 * arm.strayed
    photon_hz = link.source.emitted_pair_rate_hz * arm.modes.weight * chance * arm.live[arm.modes.channel]
    on = arm.modes.weight > 0.0
    possible = np.maximum(np.stack([np.bincount(arm.modes.channel, row, arm.live.size) for row in on]), 1)
    noise_hz = on * (arm.noise_hz / possible)[:, arm.modes.channel]
    rates = np.zeros((arm.share.size, 4))
    for setting in range(arm.share.size):
        np.add.at(rates[setting], _outcome(arm), photon_hz[setting] + noise_hz[setting])
    return rates


def _late(link: OpticalLink, arm: Arm, rates: ArmRates) -> Reals:
    """Return the chance that jitter moves a click (row: outcome) to a slot of the other setting, shape (4, 4)."""
    analyser = arm.node.analyser
    matrix = np.eye(4)
    if isinstance(analyser, Polarisation) and rates.share.size > 1:
        jitters_ps = [end.node.detector.jitter_ps for end in (link.alice, link.bob)]
        crossing = arm.node.detector.jitter_ps * math.sqrt(2.0 / math.pi) / analyser.slot_ps
        if analyser.basis_choice == "keyed" and any(jitters_ps):  # two clicks that cross together still agree
            crossing *= math.hypot(*jitters_ps) / sum(jitters_ps)
        crossing = min(1.0, crossing)
        for basis in (0, 1):
            moved = crossing * rates.share[1 - basis]
            for bit in (0, 1):
                matrix[2 * basis + bit, 2 * basis + bit] -= moved
                matrix[2 * basis + bit, 2 * (1 - basis) + bit] += moved
    return matrix


def _resolved(arm: Arm, rates_hz: Reals, share: Reals, half_s: float) -> tuple[Reals, Reals]:
    """Return (matrix, rates) after a node's rules for its own double clicks.

    Returns:
        Shape (4, 4), the chance that a click of the row's outcome ends as the column's; and rates, shape (S, 4). Groups
        of three and more are taken as two.
    """
    blind = arm.node.detector.dead_time_ps * 1e-12 >= half_s
    rules = pair_rules(arm)
    matrix, left = np.zeros((4, 4)), np.zeros_like(rates_hz)
    weight = share[:, np.newaxis] * rates_hz
    total = np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
    for setting, rates in enumerate(rates_hz):
        other = np.tile(rates, (4, 1))
        if blind:
            other[np.arange(4), np.arange(4)] = 0.0
        near = other.sum(axis=1)
        alone = np.exp(-2.0 * half_s * near)
        mixture = np.einsum("ij,ijk->ik", other / np.maximum(near, np.finfo(float).tiny)[:, np.newaxis], rules)
        chance = alone[:, np.newaxis] * np.eye(4) + (1.0 - alone)[:, np.newaxis] * mixture
        matrix += (weight[setting] / total)[:, np.newaxis] * chance
        first = np.exp(-half_s * near)
        left[setting] = (rates * alone) + (rates * first * (1.0 - first)) @ mixture
    return matrix, left


def pair_rules(arm: Arm) -> Reals:
    """Return what becomes of two clicks at once, shape (4, 4, 4): chance of the last index's outcome."""
    return np.array([[resolve(arm, (1 << one) | (1 << other)) for other in range(4)] for one in range(4)])


def resolve(arm: Arm, seen: int) -> Reals:
    """Return the chance of each outcome 2 x basis + bit, shape (4,), if those in the bits of ``seen`` clicked."""
    analyser = arm.node.analyser
    chance = np.zeros(4)
    z, x = seen & 3, seen >> 2
    keep = 1.0
    if z and x:
        keep = 0.5 if analyser.cross_basis == "random" else 0.0
    for basis, bits in ((0, z), (1, x)):
        if bits == 3:
            chance[2 * basis : 2 * basis + 2] = 0.5 * keep if analyser.double_click == "random" else 0.0
        elif bits:
            chance[2 * basis + bits - 1] = keep
    return chance


def _accidentals(true_hz: Reals, alice_hz: Reals, bob_hz: Reals, shares: Reals, window_s: float) -> Reals:
    """Return accidental coincidences, shape (4, 4): of clicks without their partner, each matched at most once."""
    share_a, share_b = shares.sum(axis=1), shares.sum(axis=0)
    lonely_a = alice_hz * (1.0 - _ratio(true_hz.sum(axis=1), share_a @ alice_hz))
    lonely_b = bob_hz * (1.0 - _ratio(true_hz.sum(axis=0), share_b @ bob_hz))
    crowd = (float((share_a @ lonely_a).sum()) + float((share_b @ lonely_b).sum())) * window_s
    met_hz: Reals = np.einsum("st,si,tj->ij", shares, lonely_a, lonely_b) * window_s * math.exp(-0.5 * crowd)
    return met_hz


def _ratio(part: Reals, whole: Reals) -> Reals:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
