"""The test of Ekert91: settings are announced, outcomes of the test rounds compared, S bounded from below.

S is the mean of a game: in each test round the four pairs of settings are equally likely, and the round is won if the
outcomes are equal (differ, for the pair of negative sign). The chance to win is (4 + S)/8, so that a bound on it is one
on S.

====================  =================================================================================================
``clopper-pearson``   exact for the number of games won, if rounds are alike; the default
``hoeffding``         needs no even choice of settings: each correlation is a mean of its own
====================  =================================================================================================

The bound is a monitor, and an abort, where the key is proven by two mutually unbiased bases. With Ekert's own settings
the key bases overlap too much for that; then it is what the key's length follows from, asymptotically
(:func:`bellweave.distill.theory.chsh_asymptotic`), and nothing is called proven.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from scipy.special import betaincinv

from bellweave.bell import Settings
from bellweave.blocks import Bytes, Ints, Role, Rounds
from bellweave.dialogue import Dialogue
from bellweave.distill import accounting, announcing, theory
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation

Bound = Literal["clopper-pearson", "hoeffding"]
Four = tuple[int, int, int, int]

CLASSICAL = 2.0
"""What S can be at most without entanglement."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What one party knows of each matched round of Ekert91. Both parties' records have the same ids.

    Attributes:
        id: Shape (n,), int64, strictly increasing, the same at both ends.
        setting: Shape (n,), uint8, this party's own.
        bit: Shape (n,), uint8, this party's own outcome.
    """

    id: Ints
    setting: Bytes
    bit: Bytes = field(repr=False)

    def __len__(self) -> int:
        return int(self.id.size)


class ChshTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the test rounds showed; public, the same at both ends.

    Attributes:
        rounds: Test rounds of each of the four pairs of settings.
        equal: Those with equal outcomes.
        signs: The sign of each correlation in S.
        epsilon: Chance that the bound is above the true value.
        bound_by: How it is bounded.
        unbiased: Whether the key bases are mutually unbiased.
    """

    rounds: Four
    equal: Four
    signs: Four
    epsilon: float
    bound_by: Bound = "clopper-pearson"
    unbiased: bool = True

    @property
    def value(self) -> float:
        """S as it came out; 0 if one of the four pairs of settings never came up."""
        if not all(self.rounds):
            return 0.0
        each = zip(self.signs, self.equal, self.rounds, strict=True)
        return sum(sign * (2.0 * equal / count - 1.0) for sign, equal, count in each)

    @property
    def stderr(self) -> float:
        """Standard error of :attr:`value`, by the binomial spread of each correlation."""
        if not all(self.rounds):
            return math.inf
        shares = [(equal / count, count) for equal, count in zip(self.equal, self.rounds, strict=True)]
        return math.sqrt(sum(4.0 * share * (1.0 - share) / count for share, count in shares))

    @property
    def bound(self) -> float:
        """What S is at least, but for a chance of ``epsilon``; -4 if one of the pairs of settings never came up."""
        if not all(self.rounds):
            return -4.0
        if self.bound_by == "hoeffding":
            spread = sum(1.0 / count for count in self.rounds)
            return self.value - math.sqrt(2.0 * math.log(1.0 / self.epsilon) * spread)
        games = sum(self.rounds)
        each = zip(self.signs, self.equal, self.rounds, strict=True)
        won = sum(equal if sign > 0 else count - equal for sign, equal, count in each)
        chance = float(betaincinv(won, games - won + 1, self.epsilon)) if won else 0.0
        return 8.0 * chance - 4.0

    @property
    def passes(self) -> bool:
        """Whether entanglement is shown; if not, the block gives no key."""
        return self.bound > CLASSICAL

    def lengths(self, ledger: Ledger, estimate: Estimate, params: Distillation) -> dict[str, int]:
        """Return the key length in bits by each accounting, those of two unbiased bases only where there are two."""
        key = ledger.sifted - ledger.sample
        secret = math.floor(key * theory.chsh_asymptotic(self.bound, 0.0)) - ledger.disclosed
        if self.unbiased:
            return accounting.lengths(ledger, estimate, params) | {"chsh": secret}
        return {"chsh": secret, "provable": -ledger.disclosed}

    def method(self, params: Distillation) -> str:
        """Return the name of the proof behind accounting ``provable``."""
        return accounting.method(params)

    def assumptions(self, params: Distillation) -> tuple[str, ...]:
        """Return what that proof is conditional on, one sentence each."""
        return accounting.assumptions(params)


def announced(
    role: Role, measured: Measured, settings: Settings, epsilon: float, bound_by: Bound = "clopper-pearson"
) -> Dialogue[tuple[Rounds, ChshTest]]:
    """Announce settings, open the test rounds, and return the key rounds and what the test showed.

    It judges nothing: see :attr:`ChshTest.passes`.

    Args:
        role: One's own.
        measured: One's own rounds.
        settings: The same at both ends.
        epsilon: Chance that the bound on S is above the true value, in (0, 1).
        bound_by: How S is bounded.
    """
    options = len(settings.alice_rad), len(settings.bob_rad)
    theirs = yield from announcing.choices(role, measured.setting, options)
    hers, his = (measured.setting, theirs) if role == "alice" else (theirs, measured.setting)
    pair = np.full(options, -1)
    for number, (a, b, _) in enumerate(settings.test):
        pair[a, b] = number
    game = pair[hers, his]
    games = np.flatnonzero(game >= 0)
    answers = yield from announcing.opened(role, measured.bit[games])
    rounds = np.bincount(game[games], minlength=4)
    equal = np.bincount(game[games][measured.bit[games] == answers], minlength=4)
    shown = ChshTest(
        rounds=_four(rounds.tolist()),
        equal=_four(equal.tolist()),
        signs=_four([sign for _, _, sign in settings.test]),
        epsilon=epsilon,
        bound_by=bound_by,
        unbiased=settings.unbiased,
    )
    basis = np.full(options, 2, np.uint8)
    for number, (a, b) in enumerate(settings.key):
        basis[a, b] = number
    meant = basis[hers, his]
    key = np.flatnonzero(meant < 2)
    return Rounds(id=measured.id[key], basis=meant[key], bit=measured.bit[key]), shown


def _four(values: list[int]) -> Four:
    first, second, third, fourth = values
    return first, second, third, fourth
