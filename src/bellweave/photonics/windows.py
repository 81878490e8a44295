"""The coincidence window: what each width gives on the disclosed slices, and which width to take.

A wide window collects accidental coincidences, a narrow one loses true ones. The width that gives the most asymptotic
key (Shor-Preskill, with a realistic reconciliation) on the slices is taken; the slices are never part of the key.
"""

from dataclasses import dataclass

import numpy as np

from bellweave.blocks import Bytes, Ints
from bellweave.photonics.analyser import ChannelMap
from bellweave.photonics.coincidence import match

RECONCILIATION = 1.16
"""Disclosed bits per Shannon's minimum that the choice reckons with: Cascade on some thousand bits, a few per cent."""

WIDTHS = 24
"""How many widths are tried, in geometric steps from an eighth to eight times the given one."""


@dataclass(frozen=True)
class WindowPoint:
    """What one width gives.

    Attributes:
        window_ps: Full width.
        matched: Coincidences.
        sifted: Of them of equal bases, (Z, X).
        errors: Of those with unequal bits, (Z, X).
    """

    window_ps: int
    matched: int
    sifted: tuple[int, int]
    errors: tuple[int, int]

    @property
    def qber(self) -> float:
        """Share of unequal bits, both bases together; 0 of nothing is 0."""
        return sum(self.errors) / max(sum(self.sifted), 1)

    @property
    def secret_bits(self) -> float:
        """Asymptotic key: each basis's bits less its own reconciliation and the other basis's errors as phase errors.

        Error rates count one half error more than were seen, so that few rounds without errors do not look perfect.
        """
        rate = [(errors + 0.5) / (sifted + 1.0) for errors, sifted in zip(self.errors, self.sifted, strict=True)]
        shares = (1.0 - RECONCILIATION * _entropy(rate[k]) - _entropy(rate[1 - k]) for k in (0, 1))
        return float(sum(sifted * share for sifted, share in zip(self.sifted, shares, strict=True)))


def scan(
    alice: tuple[Ints, Bytes],
    bob: tuple[Ints, Bytes],
    roles: tuple[ChannelMap, ChannelMap],
    widths_ps: list[int],
) -> tuple[WindowPoint, ...]:
    """Return what each width gives.

    Args:
        alice: Her public times (shape (n,), non-decreasing) and channels.
        bob: His.
        roles: What her and his channels mean.
        widths_ps: Full widths to try.
    """
    return tuple(count(alice, bob, roles, width_ps) for width_ps in widths_ps)


def count(
    alice: tuple[Ints, Bytes], bob: tuple[Ints, Bytes], roles: tuple[ChannelMap, ChannelMap], window_ps: int
) -> WindowPoint:
    """Return what one width gives; arguments as for :func:`scan`."""
    own, his = match(alice[0], bob[0], window_ps)
    basis_a, bit_a = (np.array(meaning)[alice[1][own]] for meaning in (roles[0].basis, roles[0].bit))
    basis_b, bit_b = (np.array(meaning)[bob[1][his]] for meaning in (roles[1].basis, roles[1].bit))
    equal = [(basis_a == basis) & (basis_b == basis) for basis in (0, 1)]
    wrong = bit_a != bit_b
    return WindowPoint(
        window_ps=window_ps,
        matched=own.size,
        sifted=(int(equal[0].sum()), int(equal[1].sum())),
        errors=(int((equal[0] & wrong).sum()), int((equal[1] & wrong).sum())),
    )


def widths(around_ps: int) -> list[int]:
    """Return the widths to try around a given one, increasing."""
    steps = np.linspace(-1.0, 1.0, WIDTHS)
    return sorted({around_ps, *(max(1, round(around_ps * 8.0**step)) for step in steps)})


def best(points: tuple[WindowPoint, ...]) -> WindowPoint:
    """Return the point with the most secret bits; of equal ones the narrowest."""
    return max(points, key=lambda point: (point.secret_bits, -point.window_ps))


def _entropy(rate: float) -> float:
    rate = min(rate, 0.5)
    return 0.0 if rate <= 0.0 else float(-rate * np.log2(rate) - (1.0 - rate) * np.log2(1.0 - rate))
