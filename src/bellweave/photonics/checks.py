"""Which links can't be: combinations of values, each allowed on its own, that make no sense together."""

from typing import NoReturn

from bellweave import bell
from bellweave.errors import ScenarioError
from bellweave.photonics.params import Arm, OpticalLink, Polarisation, PulsedSource, TimeBin
from bellweave.photonics.source import period_ps


def check_link(link: OpticalLink) -> None:
    """Do nothing if the link is possible.

    Raises:
        ScenarioError: With the path ``link.<name>...``, the value and the limit.
    """
    _source(link)
    for role, arm in (("alice", link.alice), ("bob", link.bob)):
        _arm(link, role, arm)
    _encodings(link)
    if isinstance(link.source, PulsedSource):
        _pulses(link, link.source)


def _refuse(link: OpticalLink, path: str, problem: str) -> NoReturn:
    raise ScenarioError(problem, path=f"link.{link.name}.{path}")


def _source(link: OpticalLink) -> None:
    source = link.source
    if source.density_matrix is not None:
        bell.density_matrix(source.density_matrix, path=f"link.{link.name}.source.density_matrix")
        if isinstance(source, PulsedSource) and source.statistics == "thermal":
            _refuse(
                link,
                "source.statistics",
                "thermal statistics are known for Bell states, not for a given density_matrix",
            )
    if not source.emitted_pair_rate_hz < 1e12:
        _refuse(link, "source", f"emits {source.emitted_pair_rate_hz:.4g} pairs/s, the limit is one a picosecond")


def _arm(link: OpticalLink, role: str, arm: Arm) -> None:
    channels = arm.node.analyser.channels
    efficiencies, delays = arm.node.detector.efficiencies, arm.node.clock.channel_delay_ps
    if efficiencies is not None and len(efficiencies) != channels:
        _refuse(
            link, f"{role}.detector.efficiencies", f"has {len(efficiencies)} entries, the analyser {channels} channels"
        )
    if delays and len(delays) != channels:
        _refuse(link, f"{role}.clock.channel_delay_ps", f"has {len(delays)} entries, the analyser {channels} channels")


def _encodings(link: OpticalLink) -> None:
    ours, theirs = link.alice.node.analyser, link.bob.node.analyser
    if isinstance(ours, TimeBin) and isinstance(theirs, TimeBin):
        if not isinstance(link.source, PulsedSource):
            _refuse(
                link,
                "source.kind",
                "time-bin needs a pulsed source, not cw: the pulse is what times are measured against",
            )
        if ours.bin_separation_ps != theirs.bin_separation_ps:
            _refuse(
                link,
                "bob.analyser.bin_separation_ps",
                f"is {theirs.bin_separation_ps}, Alice's {ours.bin_separation_ps}: unequal delays never interfere",
            )
    elif isinstance(ours, Polarisation) and isinstance(theirs, Polarisation):
        if (ours.basis_choice == "keyed") != (theirs.basis_choice == "keyed"):
            _refuse(
                link,
                "bob.analyser.basis_choice",
                f"is {theirs.basis_choice}, Alice's {ours.basis_choice}: a key has two ends",
            )
        for name in ("slot_ps", "z_probability"):
            if ours.basis_choice == "keyed" and getattr(ours, name) != getattr(theirs, name):
                _refuse(
                    link,
                    f"bob.analyser.{name}",
                    f"is {getattr(theirs, name)}, Alice's {getattr(ours, name)}: keyed bases differ",
                )
    else:
        _refuse(link, "bob.analyser.encoding", "differs from Alice's: both photons carry the same encoding")


def _pulses(link: OpticalLink, source: PulsedSource) -> None:
    period = period_ps(source)
    if isinstance(link.alice.node.analyser, TimeBin):
        step_ps = link.alice.node.analyser.bin_separation_ps
        if link.window_ps > step_ps:
            _refuse(
                link,
                "window_ps",
                f"is {link.window_ps}, the limit is bin_separation_ps = {step_ps}: the slots would overlap",
            )
        if 3 * step_ps > period:
            _refuse(
                link,
                "alice.analyser.bin_separation_ps",
                f"is {step_ps}; three slots must fit a pulse period of {period:.6g} ps: limit is {period / 3:.6g}",
            )
    elif link.window_ps > period:
        _refuse(
            link,
            "window_ps",
            f"is {link.window_ps}, the limit is the pulse period of {period:.6g} ps: gates would overlap",
        )
