"""Links that can't be are refused with path, value and limit."""

from typing import Any

import pytest

from bellweave.errors import ScenarioError
from bellweave.photonics import link as links
from bellweave.photonics import theory
from bellweave.photonics.params import (
    Arm,
    Clock,
    CwSource,
    Detector,
    Node,
    OpticalLink,
    Polarisation,
    PulsedSource,
    TimeBin,
)

CW = CwSource(pair_rate_hz=1000.0)
PULSED = PulsedSource(repetition_rate_hz=10_000_000.0, mean_pairs_per_pulse=0.1)
BIN = TimeBin(bin_separation_ps=20_000)


def arm(analyser: Polarisation | TimeBin | None = None, **node: Any) -> Arm:
    return Arm(node=Node(analyser=analyser or Polarisation(), **node), loss_db={})


def optical(source: CwSource | PulsedSource, alice: Arm, bob: Arm, window_ps: int = 1000) -> OpticalLink:
    return OpticalLink(name="a-b", source=source, alice=alice, bob=bob, window_ps=window_ps, block_s=0.001)


def keyed(**keys: Any) -> Arm:
    return arm(Polarisation(basis_choice="keyed", **keys))


ROWS: Any = tuple(tuple((0.5 if i == j == 0 else 0.0, 0.0) for j in range(4)) for i in range(4))
PURE: Any = tuple(tuple((1.0 if i == j == 0 else 0.0, 0.0) for j in range(4)) for i in range(4))
THERMAL = PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=0.1, statistics="thermal", density_matrix=PURE)

IMPOSSIBLE = [
    (optical(CW, arm(BIN), arm(BIN)), "source.kind", "needs a pulsed source"),
    (optical(PULSED, arm(BIN), arm(BIN), 20_001), "window_ps", "is 20001, the limit is bin_separation_ps = 20000"),
    (optical(PULSED, arm(), arm(), 100_001), "window_ps", "pulse period of 100000 ps"),
    (
        optical(PULSED, *(arm(TimeBin(bin_separation_ps=33_334)),) * 2),
        "alice.analyser.bin_separation_ps",
        "is 33334; three slots must fit",
    ),
    (
        optical(PULSED, arm(BIN), arm(TimeBin(bin_separation_ps=10_000))),
        "bob.analyser.bin_separation_ps",
        "is 10000, Alice's 20000",
    ),
    (optical(PULSED, arm(BIN), arm()), "bob.analyser.encoding", "differs"),
    (optical(CW, keyed(), arm()), "bob.analyser.basis_choice", "is passive, Alice's keyed"),
    (optical(CW, keyed(slot_ps=5), keyed(slot_ps=6)), "bob.analyser.slot_ps", "is 6, Alice's 5"),
    (
        optical(CW, keyed(z_probability=0.5), keyed(z_probability=0.6)),
        "bob.analyser.z_probability",
        "is 0.6, Alice's 0.5",
    ),
    (
        optical(CW, arm(detector=Detector(efficiencies=(0.5, 0.5))), arm()),
        "alice.detector.efficiencies",
        "has 2 entries, the analyser 4",
    ),
    (optical(CW, arm(), arm(clock=Clock(channel_delay_ps=(1,)))), "bob.clock.channel_delay_ps", "has 1 entries"),
    (
        optical(CwSource(pair_rate_hz=1.0, density_matrix=ROWS), arm(), arm()),
        "source.density_matrix",
        "trace 1, not 0.5",
    ),
    (optical(THERMAL, arm(), arm()), "source.statistics", "density_matrix"),
    (optical(CwSource(pair_rate_hz=2e12), arm(), arm()), "source", "2e\\+12 pairs/s"),
]


@pytest.mark.parametrize(("case", "path", "words"), IMPOSSIBLE, ids=[row[1] for row in IMPOSSIBLE])
def test_impossible_links_are_refused_everywhere(case: OpticalLink, path: str, words: str) -> None:
    for use in (
        links.check_link,
        theory.expect,
        lambda it: links.tags(it, 1, 0),
        lambda it: links.coincidences(it, 1, 0),
    ):
        with pytest.raises(ScenarioError, match=words) as caught:
            use(case)
        assert caught.value.path == f"link.a-b.{path}"


@pytest.mark.parametrize(
    "case",
    [
        optical(CW, arm(), arm(Polarisation(basis_choice="active")), 10**9),
        optical(PULSED, arm(BIN), arm(BIN), 20_000),
        optical(PULSED, *(arm(TimeBin(bin_separation_ps=33_333)),) * 2),
        optical(CW, keyed(), keyed()),
    ],
)
def test_possible_links_pass(case: OpticalLink) -> None:
    links.check_link(case)
