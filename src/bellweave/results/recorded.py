"""What a recorded experiment shows: everything that its table and its figures need. Public counts only, no key bits."""

from typing import Literal

import msgspec

Pair = tuple[int, int]
"""Counts in (Z, X)."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the structs of this file."""


class Channel(_Record, frozen=True, kw_only=True):
    """One detector.

    Attributes:
        number: As the file numbers it.
        role: H, V, D or A.
        clicks: In the whole record.
        echoes: Of them, clicks that only repeat an earlier one; dropped.
        echo_delay_ps: How long after it they come; 0 if there are none.
        dead_time_ps: The dead time that drops them; 0 if there are none.
        delay_ps: What its times are late by, as calibrated.
    """

    number: int
    role: str
    clicks: int
    echoes: int
    echo_delay_ps: int
    dead_time_ps: int
    delay_ps: int


class Side(_Record, frozen=True, kw_only=True):
    """One party's record.

    Attributes:
        file: Its name.
        duration_s: From the first to the last detection.
        channels: Its detectors.
        sacrificed: Detections in the calibration slices.
        clicks: What is left for the key: after echoes, slices and double clicks.
        rounds: Of them, matched.
    """

    file: str
    duration_s: float
    channels: tuple[Channel, ...]
    sacrificed: int
    clicks: int
    rounds: int


class Peak(_Record, frozen=True, kw_only=True):
    """The correlation of one of Alice's channels with one of Bob's, in the slices.

    Attributes:
        alice, bob: The channels, counted from 0.
        kind: Whether equal bits are expected, opposite ones, or nothing.
        before_ps: Where the peak stood before channel delays were taken off.
        coincidences: Around zero afterwards, within ``width_ps`` of the findings.
        expected: How many of them chance gives.
        fitted: Whether the delays were fitted to it.
        before, after: Histograms over ``Findings.edges_ps``.
    """

    alice: int
    bob: int
    kind: Literal["equal bits", "opposite bits", "other basis"]
    before_ps: float
    coincidences: int
    expected: float
    fitted: bool
    before: tuple[int, ...]
    after: tuple[int, ...]


class Window(_Record, frozen=True, kw_only=True):
    """What a coincidence window gives.

    Attributes:
        window_ps: Full width.
        matched: Coincidences.
        sifted, errors: Of equal bases; of those, with unequal bits.
        secret_bits: Asymptotic key, what the choice maximises.
    """

    window_ps: int
    matched: int
    sifted: Pair
    errors: Pair
    secret_bits: float

    @property
    def qber(self) -> float:
        """Share of unequal bits, both bases together."""
        return sum(self.errors) / max(sum(self.sifted), 1)


class Comparison(_Record, frozen=True, kw_only=True):
    """What matching the *whole* record would give; seen with both files in hand, so never a key.

    Attributes:
        treatment: What was done to the times first.
        window: The counts.
    """

    treatment: Literal["times as recorded", "echoes removed, delays corrected"]
    window: Window


class Findings(_Record, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        alice, bob: The two records.
        slice_s: Length of each of the two disclosed slices.
        offset_ps, drift: Bob's clock against Alice's.
        offset_sigmas: Significance of the offset's peak in each slice.
        peaks: All pairs of channels, Alice's outermost.
        width_ps: Window of the counts in ``peaks``.
        edges_ps: Edges of the histograms' bins.
        scan: What each window gives on the slices.
        window_ps: The window that was taken.
        window_chosen: Whether it was chosen on the slices, or given.
        slices: What the slices give with it.
        qber_threshold: Error rate up to which ``provable`` counts, fixed on the slices before the sample was drawn.
        residual_ps: Root mean square of the fitted peaks' distances from zero, weighted by their counts.
        efficiency_mismatch: Largest over smallest rate of echo-free clicks among each party's detectors, (Alice, Bob).
        zero_share: Share of bit 0 in the slices' equal-basis coincidences, Alice's in (Z, X).
        comparison: The whole record, with and without what was corrected.
        warnings: What does not fit, one sentence each.
        conditions: What the key's secrecy is conditional on, one sentence each.
    """

    alice: Side
    bob: Side
    slice_s: float
    offset_ps: int
    drift: float
    offset_sigmas: tuple[float, ...]
    peaks: tuple[Peak, ...]
    width_ps: int
    edges_ps: tuple[float, ...]
    scan: tuple[Window, ...]
    window_ps: int
    window_chosen: bool
    slices: Window
    qber_threshold: float
    residual_ps: float
    efficiency_mismatch: tuple[float, float]
    zero_share: tuple[float, float]
    comparison: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    conditions: tuple[str, ...]

    def matrix(self) -> list[list[int]]:
        """Return the coincidences, Alice's channels as rows."""
        rows: dict[int, list[int]] = {}
        for peak in self.peaks:
            rows.setdefault(peak.alice, []).append(peak.coincidences)
        return list(rows.values())
