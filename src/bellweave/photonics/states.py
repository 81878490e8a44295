"""What a pair's two photons have in common at the analysers: the joint table of outcomes, noise included."""

import math
from functools import lru_cache

import msgspec
import numpy as np

from bellweave import bell
from bellweave.bell import Complex, Reals
from bellweave.photonics.params import Arm, Noise, OpticalLink, Source, TimeBin

PHASE_STEP_RAD = 0.02
"""A drifting phase is held while it moves by this much: the mean cosine of a slice is then right to 2e-5."""

_EVEN = 1e-9
"""A correlation closer to 0 than this is rounding, not a sign."""


def source_state(source: Source) -> Complex:
    """Return the density matrix of an emitted pair, shape (4, 4)."""
    if source.density_matrix is not None:
        return bell.density_matrix(source.density_matrix, path="source.density_matrix")
    return bell.werner(source.state, source.visibility)


def noise_channel(noise: Noise) -> Complex:
    """Return the Kraus operators of one arm's noise: rotation, depolarising, dephasing, misalignment, in this order."""
    return bell.compose(
        bell.gaussian_rotation(noise.rotation_sigma_rad),
        bell.depolarising(noise.depolarising_probability),
        bell.dephasing(noise.dephasing_probability),
        bell.misalignment(noise.misalignment_rad),
    )


def arriving_state(link: OpticalLink) -> Complex:
    """Return the density matrix of a pair before the analysers; the eavesdropper sits at the beginning of her arm."""
    rho = source_state(link.source)
    if link.eavesdropper is not None:
        attack = bell.intercept_resend(link.eavesdropper.fraction, link.eavesdropper.basis)
        rho = bell.on_alice(rho, attack) if link.eavesdropper.arm == "alice" else bell.on_bob(rho, attack)
    rho = bell.on_alice(rho, noise_channel(link.alice.node.noise))
    return bell.on_bob(rho, noise_channel(link.bob.node.noise))


def slices(link: OpticalLink) -> int:
    """Return into how many slices of constant interferometer phase a block is cut; 1 without drift."""
    drift = sum(abs(analyser.phase_drift_rad_per_s) for analyser in _interferometers(link))
    return max(1, math.ceil(drift * link.block_s / PHASE_STEP_RAD))


def tables(link: OpticalLink, start_s: float) -> Reals:
    """Return the joint table in every slice of a block that starts at ``start_s`` seconds of the run.

    Returns:
        Shape (slices, 2, 2, 2, 2): ``P[slice, basis_a, basis_b, bit_a, bit_b]``, phases as in the middle of the slice.
    """
    count = slices(link)
    middle = 0.5 if drifts(link) else 0.0
    return _tables(link, start_s + (np.arange(count) + middle) * link.block_s / count)


def _tables(link: OpticalLink, now_s: Reals) -> Reals:
    """Return the joint tables at these times, shape (n, 2, 2, 2, 2)."""
    alice, bob = (np.stack([_effects(arm, moment_s) for moment_s in now_s.tolist()]) for arm in (link.alice, link.bob))
    return bell.joint_table(arriving_state(link), alice, bob)


def drifts(link: OpticalLink) -> bool:
    """Return whether an interferometer's phase drifts, so that the table depends on the block."""
    return any(analyser.phase_drift_rad_per_s != 0.0 for analyser in _interferometers(link))


def flips(link: OpticalLink) -> tuple[bool, bool]:
    """Return whether Bob must invert his bit in Z and in X: where source and phases anti-correlate."""
    return _flips(msgspec.msgpack.encode(link))


@lru_cache(maxsize=64)
def _flips(encoded: bytes) -> tuple[bool, bool]:
    link = msgspec.msgpack.decode(encoded, type=OpticalLink)
    correlation = bell.correlation(_tables(link, np.zeros(1))[0])
    return bool(correlation[0, 0] < -_EVEN), bool(correlation[1, 1] < -_EVEN)


def _effects(arm: Arm, now_s: float) -> Complex:
    analyser = arm.node.analyser
    if isinstance(analyser, TimeBin):
        return bell.effects(analyser.phase_rad + analyser.phase_drift_rad_per_s * now_s, analyser.visibility)
    return bell.effects()


def _interferometers(link: OpticalLink) -> list[TimeBin]:
    return [arm.node.analyser for arm in (link.alice, link.bob) if isinstance(arm.node.analyser, TimeBin)]
