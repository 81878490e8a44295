"""What a recording shows, put together once the key is distilled, with both ends in hand: for tables and figures."""

import numpy as np

from bellweave.blocks import Detections, Ints
from bellweave.photonics import channel_map, echoes, windows
from bellweave.photonics.alignment import PairPeak
from bellweave.photonics.analyser import ChannelMap, Timing
from bellweave.photonics.calibration import Evidence, public
from bellweave.photonics.correlation import Floats
from bellweave.results.recorded import Channel, Comparison, Findings, Peak, Side, Window
from bellweave.sim.recorded import CONDITIONS, START_WINDOW_PS, Both, Party

BIN_PS = 500
"""Bins of the histograms in the figures."""

SPAN_PS = 40_000
"""How far they reach, either way."""

COMPARED_PS = (1_875, 4_062, 10_000)
"""Windows that the whole record is compared at: +-6, +-13 and +-32 ticks of 156.25 ps, as the recording's notes do."""


def findings(both: Both) -> Findings:
    """Return all that the figures and the table show."""
    alice, bob = both
    evidence = alice.calibrated.evidence
    hers, his = alice.calibrated.roles, bob.calibrated.roles
    if evidence is None or hers is None or his is None:
        raise ValueError("findings need Alice's evidence and both parties' roles")
    alignment = evidence.alignment
    edges = np.arange(-SPAN_PS, SPAN_PS + BIN_PS, BIN_PS, dtype=np.float64)
    peaks = tuple(_peak(pair, evidence, hers, his, edges) for pair in alignment.pairs)
    fitted = [(pair.after.count, pair.after.centre_ps) for pair in alignment.pairs if pair.used]
    weight = sum(count for count, _ in fitted)
    start, end = bob.calibrated.slices_ps[0]
    chosen = bob.calibrated.window_ps
    return Findings(
        alice=_side(alice, hers),
        bob=_side(bob, his),
        slice_s=(end - start) / 1e12,
        offset_ps=bob.calibrated.timing.offset_ps,
        drift=bob.calibrated.timing.drift,
        offset_sigmas=tuple(peak.sigmas for peak in alignment.coarse),
        peaks=peaks,
        width_ps=START_WINDOW_PS,
        edges_ps=tuple(edges.tolist()),
        scan=tuple(_window(point) for point in evidence.scan),
        window_ps=chosen,
        window_chosen=alice.chose_window,
        slices=_window(next(point for point in evidence.scan if point.window_ps == chosen)),
        qber_threshold=bob.params.qber_threshold or bob.params.qber_limit,
        residual_ps=float(np.sqrt(sum(count * centre**2 for count, centre in fitted) / max(weight, 1))),
        efficiency_mismatch=(_mismatch(alice), _mismatch(bob)),
        zero_share=_zero_share(evidence.matrix, hers, his),
        comparison=_comparison(alice, bob, hers, his),
        warnings=evidence.warnings,
        conditions=(*CONDITIONS, *_measured(alice, bob)),
    )


def _peak(pair: PairPeak, evidence: Evidence, hers: ChannelMap, his: ChannelMap, edges: Floats) -> Peak:
    alignment = evidence.alignment
    here = (alignment.of_alice == pair.alice) & (alignment.of_bob == pair.bob)
    before, after = (
        tuple(np.histogram(times[here], edges)[0].tolist()) for times in (alignment.raw_ps, alignment.corrected_ps())
    )
    same_basis = hers.basis[pair.alice] == his.basis[pair.bob]
    equal = hers.bit[pair.alice] == his.bit[pair.bob]
    return Peak(
        alice=pair.alice,
        bob=pair.bob,
        kind="other basis" if not same_basis else "equal bits" if equal else "opposite bits",
        before_ps=pair.before.centre_ps,
        coincidences=pair.after.count,
        expected=pair.after.expected,
        fitted=pair.used,
        before=before,
        after=after,
    )


def _side(party: Party, roles: ChannelMap) -> Side:
    seen = party.recording.seen
    letters = channel_map.describe(roles).split(",")
    channels = tuple(
        Channel(
            number=party.recording.first_channel + echo.channel,
            role=letters[echo.channel].partition("=")[2],
            clicks=echo.clicks,
            echoes=echo.dropped,
            echo_delay_ps=echo.delay_ps,
            dead_time_ps=echo.dead_time_ps,
            delay_ps=party.calibrated.timing.channel_delay_ps[echo.channel],
        )
        for echo in party.found
    )
    return Side(
        file=party.recording.file,
        duration_s=float(seen.time_ps[-1] - seen.time_ps[0]) / 1e12,
        channels=channels,
        sacrificed=party.calibrated.sacrificed,
        clicks=party.clicks,
        rounds=party.rounds,
    )


def _window(point: windows.WindowPoint) -> Window:
    return Window(
        window_ps=point.window_ps,
        matched=point.matched,
        sifted=point.sifted,
        errors=point.errors,
        secret_bits=point.secret_bits,
    )


def _mismatch(party: Party) -> float:
    rates = [echo.clicks - echo.dropped for echo in party.found]
    return max(rates) / max(min(rates), 1)


def _measured(alice: Party, bob: Party) -> tuple[str, ...]:
    """Return conditions that have numbers."""
    sifted, disclosed = alice.outcome.ledger, bob.calibrated.sacrificed
    uneven = sifted.sifted_z / max(sifted.sifted_x, 1)
    rates = f"{_mismatch(alice):.1f} (Alice) and {_mismatch(bob):.1f} times (Bob)"
    return (
        f"A party's detectors click up to {rates} as often as others; Z was sifted {uneven:.1f} times as often as X.",
        f"Calibration disclosed {disclosed} of Bob's {len(bob.recording.seen)} detections; the key has none of them.",
    )


def _zero_share(matrix: Ints, hers: ChannelMap, his: ChannelMap) -> tuple[float, float]:
    shares = []
    for basis in (0, 1):
        block = matrix[:, np.array(his.basis) == basis].sum(axis=1) * (np.array(hers.basis) == basis)
        shares.append(float(block[np.array(hers.bit) == 0].sum() / max(block.sum(), 1)))
    return shares[0], shares[1]


def _comparison(alice: Party, bob: Party, hers: ChannelMap, his: ChannelMap) -> tuple[Comparison, ...]:
    """Match the whole record, as recorded and as corrected: an analyst's view, which no party has."""
    offset_ps = bob.calibrated.timing.offset_ps
    mean_ps = round(float(np.mean(bob.calibrated.timing.channel_delay_ps)))
    mean_ps -= round(float(np.mean(alice.calibrated.timing.channel_delay_ps)))
    raw = (
        public(alice.recording.seen, Timing()),
        public(bob.recording.seen, Timing(offset_ps + mean_ps, bob.calibrated.timing.drift)),
    )
    corrected = public(_clean(alice), alice.calibrated.timing), public(_clean(bob), bob.calibrated.timing)
    result = []
    for window_ps in (*COMPARED_PS, bob.calibrated.window_ps):
        before, after = (_window(windows.count(*times, (hers, his), window_ps)) for times in (raw, corrected))
        result += [
            Comparison(treatment="times as recorded", window=before),
            Comparison(treatment="echoes removed, delays corrected", window=after),
        ]
    return tuple(result)


def _clean(party: Party) -> Detections:
    return echoes.remove(party.recording.seen)[0]
