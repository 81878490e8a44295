"""The test of MDI-QKD with decoy states: bases and intensities are announced, the rounds of basis X opened.

Rounds are heralded by a third party; Bob has inverted his bits as its announcements ask. What is left for a session are
the rounds in which both sent the signal intensity in basis Z. How many of them came from two single photons, and with
how many phase errors, follows from the counts of all other rounds (:mod:`bellweave.distill.finite_key.mdi_finite`).
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from bellweave.blocks import Basis, Bytes, Role, Rounds
from bellweave.dialogue import Dialogue
from bellweave.distill import accounting, announcing
from bellweave.distill.finite_key import mdi_finite
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation

ASSUMPTIONS = (
    "Phases of the pulses are random, their photon numbers Poissonian, and their intensities exactly as set.",
    "Basis, bit and intensity leak by nothing but the pulse, and pulses do not depend on each other.",
    "Nothing is assumed about the third party, its measurement and its detectors.",
)


@dataclass(frozen=True)
class Sending:
    """How both sent; the same at both ends.

    Attributes:
        pulses: Pairs of pulses in all.
        intensities: Mean photon numbers, the signal first.
        shares: How often each is sent.
        z_probability: How often each sender chooses basis Z.
    """

    pulses: int
    intensities: tuple[float, ...]
    shares: tuple[float, ...]
    z_probability: float


class DecoyTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counts by pair of intensities, Alice's first, flat; public, the same at both ends.

    Attributes:
        pulses_z, pulses_x: Pairs of pulses that were sent in each basis by both, on average.
        intensities, shares: As in :class:`Sending`.
        heralded_z, heralded_x: Heralded rounds in each basis.
        wrong_x: Of those in X, with unequal bits.
    """

    pulses_z: float
    pulses_x: float
    intensities: tuple[float, ...]
    shares: tuple[float, ...]
    heralded_z: tuple[int, ...]
    heralded_x: tuple[int, ...]
    wrong_x: tuple[int, ...]

    def lengths(self, ledger: Ledger, estimate: Estimate, params: Distillation) -> dict[str, int]:
        """Return the key length in bits; only ``provable`` exists. The sample takes its share of single photons."""
        z = mdi_finite.Sent(self.pulses_z, self.intensities, self.shares)
        x = mdi_finite.Sent(self.pulses_x, self.intensities, self.shares)
        tag = accounting.tag_strength(ledger, params)
        secrecy = params.epsilon - 2.0**-tag
        if secrecy <= 0.0:
            return {"provable": -ledger.disclosed}
        length = mdi_finite.key_length(
            z,
            x,
            dict(zip(z.pairings, self.heralded_z, strict=True)),
            dict(zip(x.pairings, self.heralded_x, strict=True)),
            dict(zip(x.pairings, self.wrong_x, strict=True)),
            ledger.disclosed - tag,
            secrecy,
            2.0**-tag,
            kept=1.0 - estimate.sample / ledger.sifted,
        )
        return {"provable": int(np.floor(length))}

    def method(self, params: Distillation) -> str:  # noqa: ARG002 (one proof, whatever is set)
        """Return the name of the proof."""
        return mdi_finite.METHOD

    def assumptions(self, params: Distillation) -> tuple[str, ...]:  # noqa: ARG002
        """Return what it is conditional on, one sentence each."""
        return ASSUMPTIONS


def announced(role: Role, rounds: Rounds, sending: Sending) -> Dialogue[tuple[Rounds, DecoyTest]]:
    """Announce, open the rounds of basis X, and return the key rounds and the counts.

    Args:
        role: One's own.
        rounds: One's own heralded rounds, with their intensities.
        sending: How both sent.

    Raises:
        ValueError: If the rounds have no intensities.
    """
    if rounds.intensity is None:
        raise ValueError("decoy states need rounds with intensities")
    kinds = len(sending.intensities)
    own = (2 * rounds.intensity + rounds.basis).astype(np.uint8)
    theirs = yield from announcing.choices(role, own, (2 * kinds, 2 * kinds))
    hers, his = (own >> 1, theirs >> 1) if role == "alice" else (theirs >> 1, own >> 1)
    pairing = hers.astype(np.int64) * kinds + his
    alike = rounds.basis == (theirs & 1)
    in_x = np.flatnonzero(alike & (rounds.basis == Basis.X))
    in_z = alike & (rounds.basis == Basis.Z)
    answers = yield from announcing.opened(role, rounds.bit[in_x])
    differ = rounds.bit[in_x] != answers

    def counts(where: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> tuple[int, ...]:
        return tuple(np.bincount(where, minlength=kinds * kinds).tolist())

    z = sending.z_probability
    shown = DecoyTest(
        pulses_z=sending.pulses * z * z,
        pulses_x=sending.pulses * (1.0 - z) ** 2,
        intensities=sending.intensities,
        shares=sending.shares,
        heralded_z=counts(pairing[in_z]),
        heralded_x=counts(pairing[in_x]),
        wrong_x=counts(pairing[in_x][differ]),
    )
    key = np.flatnonzero(in_z & (pairing == 0))
    return Rounds(id=rounds.id[key], basis=_zeros(key.size), bit=rounds.bit[key]), shown


def _zeros(count: int) -> Bytes:
    return np.zeros(count, np.uint8)
