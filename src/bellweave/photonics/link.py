"""One block of an entangled link, sampled at two levels that agree statistically.

* :func:`tags`: every detector event of both nodes; accidentals, double clicks and dead time arise by themselves.
* :func:`coincidences`: only what survives matching, drawn from the rates of :mod:`bellweave.photonics.theory`.

Each block starts at source time 0, and the times of its emissions lie in [0, block_s). Interferometer phases, channel
cuts and modulator slots depend on the time since the start of the run: that of the block's start + t.
"""

from functools import lru_cache

import msgspec
import numpy as np
from numpy.random import Generator

from bellweave.bell import Reals
from bellweave.blocks import Bytes, Detections, Ints, Rounds
from bellweave.photonics import detector, modulator, outcomes, source, states, theory
from bellweave.photonics.checks import check_link
from bellweave.photonics.params import Arm, OpticalLink, Polarisation, PulsedSource
from bellweave.rng import stream
from bellweave.units import s_to_ps

__all__ = ["bob_flips", "check_link", "coincidences", "tags"]


_PLACES: Bytes = ((np.arange(16) >> np.array([[3], [2], [1], [0]])) & 1).astype(np.uint8)
"""What each of the 16 cells means: basis_a, basis_b, bit_a, bit_b."""


def tags(link: OpticalLink, seed: int, block: int, start_s: float | None = None) -> tuple[Detections, Detections]:
    """Return Alice's and Bob's detections in one block, each by the node's own clock.

    Args:
        link: The link.
        seed: The run's seed.
        block: Index of the block, >= 0.
        start_s: When it starts, for links that do not have the source all the time; None: right after the one before.

    Raises:
        ScenarioError: If the link is impossible (:func:`check_link`).
    """
    begun_s = block * link.block_s if start_s is None else start_s
    start_ps = block * s_to_ps(link.block_s) if start_s is None else s_to_ps(start_s)
    sampler = outcomes.sampler(link, begun_s if states.drifts(link) else 0.0)
    rng = stream(seed, "link", link.name, "block", block, "pairs")
    emitted = source.pairs(link.source, link.block_s, sampler.keep, rng)
    bases = {
        role: _Modulator(link, arm, role, seed, start_ps) for role, arm in (("alice", link.alice), ("bob", link.bob))
    }
    alice_mode, bob_mode = sampler.draw(
        emitted, bases["alice"].at(emitted.time_ps), bases["bob"].at(emitted.time_ps), rng
    )
    seen: list[Detections] = []
    for role, arm, mode in (("alice", link.alice, alice_mode), ("bob", link.bob, bob_mode)):
        own_rng = stream(seed, "link", link.name, "block", block, role)
        time_ps, drawn = _with_crosstalk(link, arm, emitted.time_ps, mode, bases[role], own_rng)
        time_ps, drawn = _uncut(link, role, start_ps, time_ps, drawn)
        seen.append(_detections(link, arm, time_ps, drawn, bases[role], own_rng))
    return seen[0], seen[1]


def coincidences(link: OpticalLink, seed: int, block: int, start_s: float | None = None) -> tuple[Rounds, Rounds]:
    """Return Alice's and Bob's rounds of one block, before sifting; Bob's bits are flipped already.

    Arguments are those of :func:`tags`.

    Raises:
        ScenarioError: If the link is impossible (:func:`check_link`).
    """
    rng = stream(seed, "link", link.name, "block", block, "coincidences")
    check_link(link)
    begun_s = block * link.block_s if start_s is None else start_s
    matters = link.cut is not None or states.drifts(link)  # what is the same in all blocks is computed once,
    nameless = msgspec.msgpack.encode(msgspec.structs.replace(link, name=""))  # and for all links that are alike
    mean, cumulative = _cells(nameless, begun_s if matters else 0.0)
    if isinstance(link.source, PulsedSource):  # a pulse gives one round or none
        pulses = source.pulses(link.source, link.block_s)
        count = int(rng.binomial(pulses, min(1.0, mean / pulses)))
    else:
        count = int(rng.poisson(mean))
    cell = np.searchsorted(cumulative, rng.random(count), side="right")
    ids = np.arange(count)
    basis_a, basis_b, bit_a, bit_b = _PLACES[:, cell]
    return Rounds(ids, basis_a, bit_a), Rounds(ids, basis_b, bit_b)


def bob_flips(link: OpticalLink) -> tuple[bool, bool]:
    """Return whether Bob must invert his bit in Z and in X: where the state and the phases anti-correlate."""
    return states.flips(link)


class _Modulator:
    """A node's basis setting at any time of a block; None for passive analysers."""

    def __init__(self, link: OpticalLink, arm: Arm, role: str, seed: int, start_ps: int) -> None:
        analyser = arm.node.analyser
        self._analyser: Polarisation | None = None
        if isinstance(analyser, Polarisation) and analyser.basis_choice != "passive":
            self._analyser = analyser
            self._key = modulator.key(analyser, seed, link.name, role)
            self._start_ps = start_ps
            if isinstance(link.source, PulsedSource):  # modulators switch between two pulses, not during one
                self._start_ps += round(source.period_ps(link.source) / 2.0)

    def at(self, time_ps: Ints) -> Bytes | None:
        """Return the basis at each source time, shape (n,)."""
        if self._analyser is None:
            return None
        slot = np.maximum(time_ps + self._start_ps, 0) // self._analyser.slot_ps
        return modulator.settings(self._key, slot, self._analyser.z_probability)


def _with_crosstalk(
    link: OpticalLink, arm: Arm, time_ps: Ints, mode: Ints, bases: _Modulator, rng: Generator
) -> tuple[Ints, Ints]:
    """Return (source time, mode) of the photons, those strayed from the other arm among them.

    A strayed photon is taken as uncorrelated: its partner, on its own arm, is alone.
    """
    if link.crosstalk == 0.0:
        return time_ps, mode
    rate_hz = link.source.emitted_pair_rate_hz * link.crosstalk * arm.transmission
    strayed_ps = source.times(link.source, link.block_s, rate_hz, rng)
    strayed = outcomes.uncorrelated(arm, bases.at(strayed_ps), strayed_ps.size, rng)
    return np.concatenate([time_ps, strayed_ps]), np.concatenate([mode, strayed])


def _uncut(link: OpticalLink, role: str, start_ps: int, time_ps: Ints, mode: Ints) -> tuple[Ints, Ints]:
    """Return the photons that are emitted while the arm's channel is whole."""
    if link.cut is None or link.cut.arm != role:
        return time_ps, mode
    whole = (time_ps + start_ps < s_to_ps(link.cut.start_s)) | (time_ps + start_ps >= s_to_ps(link.cut.end_s))
    return time_ps[whole], mode[whole]


def _detections(
    link: OpticalLink, arm: Arm, time_ps: Ints, mode: Ints, bases: _Modulator, rng: Generator
) -> Detections:
    """Return what the node's time tagger records of these photons, with everything that its detectors add."""
    node, block_ps = arm.node, s_to_ps(link.block_s)
    channels = node.analyser.channels
    table = outcomes.arm_modes(arm)
    events = detector.photons(time_ps, mode, table, node.detector.jitter_ps, rng)
    events = detector.with_dark_counts(events, node.detector, channels, block_ps, rng)
    events = detector.clicks(events, node.detector, channels, block_ps, rng)
    clicked_ps, channel = detector.unpack(events)
    setting = bases.at(clicked_ps)
    shown_ps = detector.read_clock(clicked_ps, channel, arm)
    if any(node.clock.channel_delay_ps):
        order = np.argsort(shown_ps, kind="stable")
        shown_ps, channel = shown_ps[order], channel[order]
        setting = None if setting is None else setting[order]
    duration_ps = round(block_ps * (1.0 + node.clock.drift))
    return Detections(shown_ps, channel, duration_ps, channels, setting)


@lru_cache(maxsize=256)
def _cells(encoded: bytes, start_s: float) -> tuple[float, Reals]:
    """Return (mean number of rounds, cumulative distribution over the 16 cells basis_a, basis_b, bit_a, bit_b)."""
    link = msgspec.msgpack.decode(encoded, type=OpticalLink)
    cells_hz = theory.cells_hz(link, start_s).ravel()
    total_hz = float(cells_hz.sum())
    cumulative = np.cumsum(cells_hz) / total_hz if total_hz else np.ones(16)
    cumulative[-1] = 1.0
    return total_hz * link.block_s, cumulative
