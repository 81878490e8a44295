"""One block of Ekert91 over an entangled link: as :mod:`bellweave.photonics.link`, with more settings than two.

Each node has a modulator that holds one of its settings for a slot, chosen by its own random numbers, and a detector
for each outcome. The source, the arms, the noise on them and the detectors are those of a link's polarisation.

* :func:`tags`: every detector event of both nodes.
* :func:`coincidences`: only what survives matching, from the rates of :mod:`bellweave.photonics.ekert_theory`.
* :func:`measured_pairs`: pairs that both ends hold already, whatever made them.
"""

from dataclasses import dataclass, field
from typing import NoReturn

import numba
import numpy as np
from numpy.random import Generator

from bellweave.bell import Reals, Settings
from bellweave.blocks import Bytes, Detections, Ints
from bellweave.errors import ScenarioError
from bellweave.photonics import analyser, detector, ekert_theory, modulator, outcomes, source
from bellweave.photonics.ekert_theory import arm_modes, joint_table
from bellweave.photonics.params import Arm, CwSource, OpticalLink, Polarisation
from bellweave.rng import stream
from bellweave.units import s_to_ps

CHANNELS = 2
"""A detector for each outcome; the modulator decides what they mean."""


@dataclass(frozen=True, eq=False)
class SettingClicks:
    """One node's clicks, ready to be matched.

    Attributes:
        time_ps: Shape (n,), int64, non-decreasing, public.
        setting: Shape (n,), uint8, public once matched.
        bit: Shape (n,), uint8, secret.
    """

    time_ps: Ints
    setting: Bytes
    bit: Bytes = field(repr=False)

    def __len__(self) -> int:
        return int(self.time_ps.size)


def check(link: OpticalLink) -> None:
    """Do nothing if Ekert91 can run over the link.

    Raises:
        ScenarioError: With the path ``link.<name>...``, the value and what is asked.
    """

    def refuse(path: str, problem: str) -> NoReturn:
        raise ScenarioError(problem, path=f"link.{link.name}.{path}")

    if not isinstance(link.source, CwSource):
        refuse("source.kind", "Ekert91 needs a cw source")
    for role, arm in (("alice", link.alice), ("bob", link.bob)):
        own = arm.node.analyser
        if not isinstance(own, Polarisation) or own.basis_choice != "active":
            refuse(f"{role}.analyser", "Ekert91 needs polarisation with basis_choice = active: more settings than two")
        each = arm.node.detector.efficiencies
        if each is not None and len(each) != CHANNELS:
            refuse(f"{role}.detector.efficiencies", f"has {len(each)} entries, the analyser {CHANNELS} channels")
    if link.crosstalk != 0.0 or link.cut is not None or link.calibration is not None:
        refuse("crosstalk, cut, calibration", "are not known to Ekert91's blocks")


def tags(link: OpticalLink, settings: Settings, seed: int, block: int) -> tuple[Detections, Detections]:
    """Return Alice's and Bob's detections in one block, each by the node's own clock, with the setting of each.

    Args:
        link: The link.
        settings: Of the analysers.
        seed: The run's seed.
        block: Index of the block, >= 0.

    Raises:
        ScenarioError: If Ekert91 can't run over the link.
    """
    check(link)
    start_ps = block * s_to_ps(link.block_s)
    rng = stream(seed, "ekert", link.name, "block", block, "pairs")
    sampler = _sampler(link, settings)
    emitted = source.pairs(link.source, link.block_s, sampler.keep, rng)
    modulators = [
        _Modulator(link, arm, role, shares, seed, start_ps)
        for arm, role, shares in (
            (link.alice, "alice", settings.alice_share),
            (link.bob, "bob", settings.bob_share),
        )
    ]
    modes = sampler.draw(emitted, modulators[0].at(emitted.time_ps), modulators[1].at(emitted.time_ps), rng)
    seen = [
        _detections(link, each, emitted.time_ps, mode, stream(seed, "ekert", link.name, "block", block, each.role))
        for each, mode in zip(modulators, modes, strict=True)
    ]
    return seen[0], seen[1]


def clicks(seen: Detections, arm: Arm, window_ps: int, rng: Generator) -> SettingClicks:
    """Return what a node makes of its own detections.

    Clicks in a chain with gaps of half a window at most are one: the time and the setting are the first one's, the bit
    is random where they differ.

    Args:
        seen: The node's own.
        arm: The node's own; its clock and delays are known.
        window_ps: Full width of the coincidence window.
        rng: The node's own.
    """
    if seen.setting is None:
        raise ValueError("the detections of Ekert91 have settings")
    time_ps = analyser.corrected_times(seen, analyser.known_timing(arm))
    setting, channel = seen.setting, seen.channel
    if any(arm.node.clock.channel_delay_ps):  # these can change the order
        order = np.argsort(time_ps, kind="stable")
        time_ps, setting, channel = time_ps[order], setting[order], channel[order]
    first, bit = _first_of_chain(time_ps, channel, window_ps // 2, rng)
    return SettingClicks(time_ps[first], setting[first], bit)


def coincidences(
    link: OpticalLink, settings: Settings, seed: int, block: int
) -> tuple[Ints, tuple[Bytes, Bytes], tuple[Bytes, Bytes]]:
    """Return the ids of one block's matched rounds, both ends' settings, and both ends' bits.

    Arguments and errors are those of :func:`tags`. Each end may look at its own column only.
    """
    check(link)
    rng = stream(seed, "ekert", link.name, "block", block, "coincidences")
    cells = ekert_theory.expect(link, settings).cells_hz
    count = int(rng.poisson(cells.sum() * link.block_s))
    setting_a, setting_b, bit_a, bit_b = outcomes.drawn_cells(cells, count, rng)
    return np.arange(count), (setting_a, setting_b), (bit_a, bit_b)


def measured_pairs(
    correlations: Reals, settings: Settings, rng: Generator
) -> tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]:
    """Return both ends' settings and bits of pairs that they share already, each of its own state.

    Args:
        correlations: Shape (n, 3): the correlations of X, Y and Z of each pair, relative to those of ``phi+``.
        settings: Of the measurements.
        rng: Draws settings and outcomes.
    """
    count = int(correlations.shape[0])
    a: Bytes = np.searchsorted(np.cumsum(settings.alice_share)[:-1], rng.random(count), side="right").astype(np.uint8)
    b: Bytes = np.searchsorted(np.cumsum(settings.bob_share)[:-1], rng.random(count), side="right").astype(np.uint8)
    angle_a, angle_b = np.array(settings.alice_rad), np.array(settings.bob_rad)
    together_z, together_x = np.outer(np.cos(angle_a), np.cos(angle_b)), np.outer(np.sin(angle_a), np.sin(angle_b))
    correlation = together_z[a, b] * correlations[:, 2] + together_x[a, b] * correlations[:, 0]
    bit_a: Bytes = rng.integers(0, 2, count, np.uint8)
    differ: Bytes = (rng.random(count) >= 0.5 * (1.0 + correlation)).astype(np.uint8)
    bit_b: Bytes = bit_a ^ differ
    return (a, b), (bit_a, bit_b)


class _Modulator:
    """A node's setting at any time of a block."""

    def __init__(
        self, link: OpticalLink, arm: Arm, role: str, shares: tuple[float, ...], seed: int, start_ps: int
    ) -> None:
        self.arm, self.role = arm, role
        self._slot_ps = arm.node.analyser.slot_ps if isinstance(arm.node.analyser, Polarisation) else 1
        self._shares, self._start_ps, self.settings = shares, start_ps, len(shares)
        self._key = stream(seed, "ekert", link.name, "modulator", role).bytes(modulator.KEY_BYTES)

    def at(self, time_ps: Ints) -> Bytes:
        """Return the setting at each source time, shape (n,)."""
        return modulator.choices(self._key, np.maximum(time_ps + self._start_ps, 0) // self._slot_ps, self._shares)


def _sampler(link: OpticalLink, settings: Settings) -> outcomes.Sampler:
    alice, bob = arm_modes(link.alice, len(settings.alice_rad)), arm_modes(link.bob, len(settings.bob_rad))
    reach = outcomes.reach(link, link.alice), outcomes.reach(link, link.bob)
    best_a, best_b = reach[0] * float(alice.weight.max()), reach[1] * float(bob.weight.max())
    keep = best_a + best_b - best_a * best_b
    table = joint_table(link, settings)[np.newaxis]
    shares: Reals = outcomes.categories(table, alice, bob, *reach)
    cumulative = np.cumsum(shares.reshape(alice.weight.shape[0] * bob.weight.shape[0], -1), axis=-1)
    cumulative /= max(keep, np.finfo(float).tiny)
    cumulative[:, -1] = 1.0  # what is left is lost on both sides
    return outcomes.Sampler(keep, link, (alice, bob), table, outcomes.chances(cumulative))


def _detections(link: OpticalLink, at: _Modulator, time_ps: Ints, mode: Ints, rng: Generator) -> Detections:
    """Return what the node's time tagger records of these photons, with everything that its detectors add."""
    node, block_ps = at.arm.node, s_to_ps(link.block_s)
    table = arm_modes(at.arm, at.settings)
    events = detector.photons(time_ps, mode, table, node.detector.jitter_ps, rng)
    events = detector.with_dark_counts(events, node.detector, CHANNELS, block_ps, rng)
    events = detector.clicks(events, node.detector, CHANNELS, block_ps, rng)
    clicked_ps, channel = detector.unpack(events)
    setting = at.at(clicked_ps)
    shown_ps = detector.read_clock(clicked_ps, channel, at.arm)
    if any(node.clock.channel_delay_ps):
        order = np.argsort(shown_ps, kind="stable")
        shown_ps, channel, setting = shown_ps[order], channel[order], setting[order]
    return Detections(shown_ps, channel, round(block_ps * (1.0 + node.clock.drift)), CHANNELS, setting)


@numba.njit(cache=True)
def _first_of_chain(time_ps, bit, reach_ps, rng):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return (index of the first click of each chain, its bit)."""
    first, told = np.empty(time_ps.size, np.int64), np.empty(time_ps.size, np.uint8)
    size = start = 0
    while start < time_ps.size:
        end = start + 1
        differ = False
        while end < time_ps.size and time_ps[end] - time_ps[end - 1] <= reach_ps:
            differ = differ or bit[end] != bit[start]
            end += 1
        first[size] = start
        told[size] = bit[start] if not differ else np.uint8(rng.random() < 0.5)
        size += 1
        start = end
    return first[:size], told[:size]
