"""What one pair of slaves gets in ``physical`` mode: the rates that Eq. 6 of the cluster paper takes as given.

Asymptotic key, by theory: Eq. 6 multiplies them by memory units. Blocks of finite length give less
(:mod:`bellweave.plan.wide_key`).
"""

from dataclasses import dataclass

from bellweave.distill import theory
from bellweave.network.wide.theory import ekert_pairs_at_once
from bellweave.photonics import ekert_theory, mdi_theory
from bellweave.scenario.cluster_optics import Pair, ekert_link, mdi_link, settings
from bellweave.units import transmission

EFFICIENCY = 1.16
"""Disclosed bits over the Shannon minimum."""


@dataclass(frozen=True)
class Rates:
    """Of two slaves of one cluster.

    Attributes:
        ekert: Key bits per attempt of one pair of memory units, R_ekr: per pair that the source emits.
        mdi: Key bits per attempt of one of the master's units, R_mdi: per pair of pulses.
        ekert_stored, mdi_stored: Key bits per attempt of which both qubits came through the fibres: what
            :mod:`bellweave.network.wide.cluster.slots` multiplies by, since it counts that loss itself.
        ekert_bits_per_s, mdi_bits_per_s: The same per second of source, and of pulses.
        pairs_per_s: Of Ekert91: matched clicks.
        chsh: S.
        ekert_qber, mdi_qber: Error rates of the key bits.
    """

    ekert: float
    mdi: float
    ekert_stored: float
    mdi_stored: float
    ekert_bits_per_s: float
    mdi_bits_per_s: float
    pairs_per_s: float
    chsh: float
    ekert_qber: float
    mdi_qber: float


def physical_rates(pair: Pair, efficiency: float = EFFICIENCY) -> Rates:
    """Return the rates of two slaves from the source, their fibres, detectors and the protocols.

    Args:
        pair: The slaves and their master.
        efficiency: Disclosed bits over the Shannon minimum, >= 1.
    """
    light, pulses = ekert_link(pair, 1.0), mdi_link(pair, 1.0)
    seen = ekert_theory.expect(light, settings(pair))
    qber = (seen.qber(0) + seen.qber(1)) / 2.0
    if seen.settings.unbiased:
        z, x = (seen.qber(basis) for basis in (0, 1))
        secret = (theory.shor_preskill(x, z, efficiency) + theory.shor_preskill(z, x, efficiency)) / 2.0
    else:
        secret = theory.chsh_asymptotic(seen.chsh, qber, efficiency)
    ekert_hz = seen.key_hz * max(0.0, secret) if seen.chsh > 2.0 else 0.0
    mdi = mdi_theory.key_share(pulses, efficiency)
    ekert = ekert_hz / pair.master.source_pair_rate_hz
    both = transmission(pulses.alice.loss_db + pulses.bob.loss_db)
    return Rates(
        ekert=ekert,
        mdi=mdi,
        ekert_stored=ekert / both,
        mdi_stored=mdi / both,
        ekert_bits_per_s=ekert_hz,
        mdi_bits_per_s=mdi * pulses.pulse_rate_hz,
        pairs_per_s=seen.coincidences_hz,
        chsh=seen.chsh,
        ekert_qber=qber,
        mdi_qber=mdi_theory.expect(pulses).error(0),
    )


def cluster_bits_per_attempt(pairs: list[Pair], slaves: int, efficiency: float = EFFICIENCY) -> float:
    """Return Eq. 6 in ``physical`` mode: the mean over all pairs takes the place of one rate, and of one N_s.

    Args:
        pairs: All pairs of slaves that want key, in one cluster.
        slaves: How many slaves the cluster has.
        efficiency: As for :func:`physical_rates`.
    """
    if not pairs or slaves < 2:
        return 0.0
    each = [physical_rates(pair, efficiency) for pair in pairs]
    units = [min(pair.alice.units, pair.bob.units) for pair in pairs]
    ekert = sum(rates.ekert * own for rates, own in zip(each, units, strict=True)) / len(pairs)
    mdi = sum(rates.mdi for rates in each) / len(pairs)
    return ekert * ekert_pairs_at_once(slaves) + mdi * pairs[0].master.units
