"""Key of finite blocks in ``physical`` mode: what a run mints of a block whose counts are the mean ones.

The proofs and their epsilons are those of the session that a run distils with (:mod:`bellweave.distill`): two unbiased
bases and a CHSH test that must pass, or the bound on the CHSH value with Ekert's own settings, or decoy states. Blocks
of a run scatter around the mean: those hardly long enough for any key give some in one run and none in another.
"""

import numpy as np

from bellweave.bell import Reals, Settings
from bellweave.distill import theory
from bellweave.distill.chsh import ChshTest, Four
from bellweave.distill.decoys import DecoyTest
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation
from bellweave.network.wide import states
from bellweave.photonics import ekert_theory, mdi_theory
from bellweave.photonics.mdi_params import MdiLink
from bellweave.plan.link import authenticated, disclosed_bits, mean_block, provable_bits
from bellweave.scenario.cluster_optics import Pair, ekert_link, mdi_link, settings


def pairs_bits(state: states.Reals, chosen: Settings, epsilon: float, params: Distillation, pairs: float) -> float:
    """Return the key of a block of end-to-end pairs in this state, bits.

    Args:
        state: Populations, shape (4,).
        chosen: Settings of Ekert91.
        epsilon: Chance that the bound on the CHSH value is above the true one.
        params: How to distil.
        pairs: Pairs of the block.
    """
    x, _, z = states.correlations(state)
    alice, bob = np.array(chosen.alice_rad)[:, np.newaxis], np.array(chosen.bob_rad)
    alike = z * np.cos(alice) * np.cos(bob) + x * np.sin(alice) * np.sin(bob)
    shares = np.outer(chosen.alice_share, chosen.bob_share)[:, :, np.newaxis, np.newaxis]
    sign = np.array([[1.0, -1.0], [-1.0, 1.0]])
    chances = shares * (1.0 + alike[:, :, np.newaxis, np.newaxis] * sign) / 4.0
    return _ekert_bits(pairs * chances, chosen, epsilon, params)


def cluster_ekert_bits(pair: Pair, params: Distillation, block_s: float) -> float:
    """Return the key of a block of Ekert91 between two slaves of one cluster, bits."""
    chosen = settings(pair)
    seen = ekert_theory.expect(ekert_link(pair, block_s), chosen)
    return _ekert_bits(block_s * seen.cells_hz, chosen, pair.master.ekert.epsilon, params)


def cluster_mdi_bits(pair: Pair, params: Distillation, block_s: float) -> float:
    """Return the key of a block of MDI-QKD between two slaves of one cluster, bits."""
    link = mdi_link(pair, block_s)
    seen = link.pulses * mdi_theory.expect(link).cells.sum(axis=-1)
    if link.light == "coherent":
        return authenticated(_decoy_bits(link, seen, params), params)
    z, x = (seen[basis, basis, 0, 0] for basis in (0, 1))
    block = mean_block(float(z.sum()), float(x.sum()), (_wrong(z), _wrong(x)), params)
    return authenticated(provable_bits(block, params), params)


def _ekert_bits(cells: Reals, chosen: Settings, epsilon: float, params: Distillation) -> float:
    """Return the key of a block with these counts, shape (settings_a, settings_b, 2, 2)."""
    tested = [cells[a, b] for a, b, _ in chosen.test]
    shown = ChshTest(
        rounds=_four([each.sum() for each in tested]),
        equal=_four([each[0, 0] + each[1, 1] for each in tested]),
        signs=_four([sign for _, _, sign in chosen.test]),
        epsilon=epsilon,
        unbiased=chosen.unbiased,
    )
    if not shown.passes:
        return 0.0
    z, x = (cells[each] for each in chosen.key)
    block = mean_block(float(z.sum()), float(x.sum()), (_wrong(z), _wrong(x)), params)
    if chosen.unbiased:
        return authenticated(provable_bits(block, params), params)
    secret = block.bits * theory.chsh_asymptotic(shown.bound, 0.0) - disclosed_bits(block, params)
    return authenticated(max(0.0, secret), params)


def _decoy_bits(link: MdiLink, seen: Reals, params: Distillation) -> float:
    """Return the key of a block with these counts, shape (2, 2, k, k, 2, 2), before authentication."""
    z, x = seen[0, 0], seen[1, 1]
    signal = float(z[0, 0].sum())
    block = mean_block(signal, 0.0, (_wrong(z[0, 0]), 0.0), params)
    sample, errors = sum(block.sample), sum(block.sample) * block.sample_error_rate
    disclosed = disclosed_bits(block, params)
    shown = DecoyTest(
        pulses_z=link.pulses * link.z_probability**2,
        pulses_x=link.pulses * (1.0 - link.z_probability) ** 2,
        intensities=link.intensities,
        shares=link.shares,
        heralded_z=_whole(z.sum(axis=(-1, -2))),
        heralded_x=_whole(x.sum(axis=(-1, -2))),
        wrong_x=_whole(x[..., 0, 1] + x[..., 1, 0]),
    )
    ledger = Ledger(
        sifted_z=round(signal),
        sample=round(sample),
        top=round(disclosed - params.verification_bits),
        tag=params.verification_bits,
    )
    if not ledger.sample or signal < params.minimum_sifted_bits or block.error_rate > params.qber_limit:
        return 0.0
    estimate = Estimate(sample_z=ledger.sample, errors_z=round(errors))
    return float(max(0, shown.lengths(ledger, estimate, params)["provable"]))


def _wrong(counts: Reals) -> float:
    """Return the share of unequal bits, shape (2, 2)."""
    whole = float(counts.sum())
    return float(counts[0, 1] + counts[1, 0]) / whole if whole else 0.0


def _whole(counts: Reals) -> tuple[int, ...]:
    return tuple(int(each) for each in np.rint(counts).ravel())


def _four(values: "list[float] | list[int]") -> Four:
    first, second, third, fourth = (round(each) for each in values)
    return first, second, third, fourth
