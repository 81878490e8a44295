"""Closed forms for a pulsed source: exact inclusion and exclusion over which outcomes click in a pulse.

With H(S) the chance that a pair causes a click in the set S of outcomes (four a side), the chance that a pulse causes
none is the generating function of its pair number at 1 - H: exp(-mu H) for many modes, (1 + mu H / 2)^-2 for one mode
for each polarisation, averaged there over the direction that the pulse's pairs share. Everything is taken relative to 1
(expm1), so that gains far below the rounding error of 1 come out right.
"""

import numpy as np

from bellweave.bell import Reals
from bellweave.photonics.outcomes import bunched, categories
from bellweave.photonics.params import OpticalLink, PulsedSource
from bellweave.photonics.theory_arms import ArmRates
from bellweave.photonics.theory_cw import resolve

_SUBSETS = ((np.arange(16)[:, np.newaxis] >> np.arange(4)) & 1).astype(np.float64)
"""_SUBSETS[s, o] is 1 where outcome o is in subset s."""


def cells_hz(
    link: OpticalLink, source: PulsedSource, table: Reals, alice: ArmRates, bob: ArmRates, shares: Reals
) -> tuple[Reals, Reals]:
    """Return (correlated, accidental) coincidences per second, each shape (4, 4): outcome of Alice, of Bob.

    Accidental is what singles that know nothing of each other would give; correlated the rest, which can be negative
    where the state forbids an outcome.
    """
    tables, weights = _pulse_tables(source, table)
    total, accidental = np.zeros((4, 4)), np.zeros((4, 4))
    rules_a = np.array([resolve(link.alice, seen) for seen in range(16)])
    rules_b = np.array([resolve(link.bob, seen) for seen in range(16)])
    pair = categories(tables, alice.modes, bob.modes, alice.reach * alice.same_time, bob.reach * bob.same_time)
    for setting_a, setting_b in np.ndindex(*shares.shape):
        if shares[setting_a, setting_b] == 0.0:
            continue
        hit = _hits(pair[:, setting_a, setting_b], alice, bob)
        quiet = _log_quiet(link, source, setting_a, alice)[:, None] + _log_quiet(link, source, setting_b, bob)[None, :]
        if source.statistics == "thermal":
            missing = np.einsum("k,kst->st", weights, np.expm1(-2.0 * np.log1p(0.5 * source.mean_pairs * hit) + quiet))
        else:
            missing = np.expm1(-source.mean_pairs * hit[0] + quiet)
        exact = _exactly(missing)
        joint = rules_a.T @ exact @ rules_b
        alone = np.outer(rules_a.T @ exact.sum(axis=1), rules_b.T @ exact.sum(axis=0))
        total += shares[setting_a, setting_b] * joint
        accidental += shares[setting_a, setting_b] * alone
    rate_hz = source.repetition_rate_hz
    return (total - accidental) * rate_hz, accidental * rate_hz


def _pulse_tables(source: PulsedSource, table: Reals) -> tuple[Reals, Reals]:
    """Return (tables, weights): one table, or one for each node of a quadrature over the sphere of directions."""
    if source.statistics == "poisson":
        return table[np.newaxis], np.ones(1)
    height, weight = np.polynomial.legendre.leggauss(12)
    angle = (np.arange(16) + 0.5) * (2.0 * np.pi / 16)
    side = np.sqrt(1.0 - height**2)[:, np.newaxis] * np.cos(angle)
    direction = np.stack([np.broadcast_to(height[:, np.newaxis], side.shape).ravel(), side.ravel()], axis=1)
    return bunched(table, direction), np.repeat(weight / 2.0, angle.size) / angle.size


def _hits(pair: Reals, alice: ArmRates, bob: ArmRates) -> Reals:
    """Return the chance that a pair clicks in a subset of Alice's or of Bob's outcomes, shape (k, 16, 16)."""
    member_a, member_b = _members(alice), _members(bob)
    both = pair[:, :-1, :-1] * np.outer(alice.live[alice.modes.channel], bob.live[bob.modes.channel])
    by_a = (pair[:, :-1].sum(axis=2) * alice.live[alice.modes.channel]) @ member_a.T
    by_b = (pair[:, :, :-1].sum(axis=1) * bob.live[bob.modes.channel]) @ member_b.T
    either: Reals = by_a[:, :, None] + by_b[:, None, :] - member_a @ both @ member_b.T
    return either


def _members(arm: ArmRates) -> Reals:
    """Return which modes belong to a subset of outcomes, shape (16, M)."""
    member: Reals = _SUBSETS[:, 2 * arm.modes.basis + arm.modes.bit]
    return member


def _log_quiet(link: OpticalLink, source: PulsedSource, setting: int, arm: ArmRates) -> Reals:
    """Return the log of the chance that no dark count, afterpulse or strayed photon clicks in a subset, shape (16,)."""
    on = arm.modes.weight[setting] > 0.0
    gates = arm.noise_hz[arm.modes.channel] * on * (link.window_ps + 1) * 1e-12
    strayed = 0.5 * source.mean_pairs * arm.strayed * arm.same_time * arm.modes.weight[setting]
    quiet: Reals = _members(arm) @ -(gates + strayed * arm.live[arm.modes.channel])
    return quiet


def _exactly(missing: Reals) -> Reals:
    """Return P(exactly these outcomes click) from P(none of these clicks) - 1, shape (16, 16)."""
    return _MOEBIUS @ missing @ _MOEBIUS.T + np.outer(_MOEBIUS.sum(axis=1), _MOEBIUS.sum(axis=1))


def _moebius() -> Reals:
    """Return M[clicked, none] = (-1)^|none & clicked| where ``none`` holds all that did not click, else 0."""
    matrix = np.zeros((16, 16))
    for clicked in range(16):
        for none in range(16):
            if none | clicked == 15:
                matrix[clicked, none] = (-1.0) ** (none & clicked).bit_count()
    return matrix


_MOEBIUS = _moebius()
