"""An emulated run beside the simulation of the same scenario, with the same seed and speed: what is compared.

Counts and moments, written as ``comparison.json`` into the run directory. Made by :mod:`bellweave.studies.emulated`.
"""

import math
from collections.abc import Sequence

import msgspec


class Both(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of the emulated run, and the simulation's; None: it never came to that, or there is no simulation."""

    emulated: float | None
    simulated: float | None


class LinkBeside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One link.

    Attributes:
        blocks, sifted_bits, key_bits, rejected, alarms: Of each run.
        equal: Blocks that both runs distilled and that are equal in every count.
        unequal: Numbers of those that are not.
        only_simulated, only_emulated: Numbers of blocks that only one of them distilled.
    """

    link: str
    blocks: Both
    sifted_bits: Both
    key_bits: Both
    rejected: Both
    alarms: Both
    equal: int
    unequal: tuple[int, ...]
    only_simulated: tuple[int, ...]
    only_emulated: tuple[int, ...]


class TunnelBeside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tunnel.

    Attributes:
        mode: ``ppk``, or ``psk``: authentication only.
        keys, sessions, refused, first_session_s, key_age_max_s, down_s: Of each run.
        refreshes_s: How long each refresh of the emulated run took, from asking for the key to the old one's end.
        sent, lost: Probes.
        longest_gap_s: Longest time between two echoes.
        rtt_s: Median over the intervals' medians; None without an echo.
    """

    tunnel: str
    mode: str
    keys: Both
    sessions: Both
    refused: Both
    first_session_s: Both
    key_age_max_s: Both
    down_s: Both
    refreshes_s: tuple[float, ...]
    sent: int
    lost: int
    longest_gap_s: float
    rtt_s: float | None


class Beside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole run.

    Attributes:
        channel: What protected the tunnels, such as ``ipsec (kernel-libipsec)`` or ``aead``; empty: there were none.
        totals: Quantity to both runs' numbers.
        links, tunnels: In the scenario's order.
        steps_s: Steps of a refresh (``enc_keys``, ``peer``, ``switch``) to how long they took, one for each refresh.
        unknown_faults: Faults that the simulation does not know: on command, or such that only an emulation can have.
        undisturbed: How many blocks from before the first of these faults are equal in both runs, of how many.
        cut: Whether the run was ended before its last slot; the simulation then has as many slots.
        alone: Whether there is no simulation beside it.
        problems: What processes told that should not be, such as their ends.
    """

    channel: str
    totals: dict[str, Both]
    links: tuple[LinkBeside, ...]
    tunnels: tuple[TunnelBeside, ...]
    steps_s: dict[str, tuple[float, ...]]
    unknown_faults: tuple[str, ...]
    undisturbed: tuple[int, int] | None
    cut: bool
    alone: bool
    problems: tuple[str, ...]

    @property
    def refreshes_s(self) -> list[float]:
        """How long each refresh of all tunnels took."""
        return [each for tunnel in self.tunnels for each in tunnel.refreshes_s]

    @property
    def equal(self) -> int:
        """Blocks that are equal in every count."""
        return sum(link.equal for link in self.links)

    @property
    def compared(self) -> int:
        """Blocks that both runs distilled."""
        return self.equal + sum(len(link.unequal) for link in self.links)

    @property
    def missing(self) -> int:
        """Blocks that only the simulation distilled."""
        return sum(len(link.only_simulated) for link in self.links)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least this share of the values does not exceed; None without any.

    >>> quantile([3.0, 1.0, 2.0, 4.0], 0.5), quantile([3.0, 1.0, 2.0, 4.0], 0.99), quantile([], 0.5)
    (2.0, 4.0, None)
    """
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
