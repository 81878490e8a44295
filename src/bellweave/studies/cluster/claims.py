"""What the cluster paper claims of its figures, and whether it holds: judged by numbers, for theory and simulation.

A claim *holds*, *holds with a correction*, or *does not* hold. Where theory and simulation differ, the words say so.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bellweave.results.panels import Curve, Panel
from bellweave.studies.cluster.curves import TURN_S, slope

Verdict = Literal["holds", "holds with a correction", "does not hold"]

FLAT = 0.1
"""A rate that changes by less than this share has "no significant change"."""


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        figure, words: Where it stands, and what it says, in short.
        measure, unit: The number that decides.
        theory, simulated, stderr: That number; None where there is none.
        n: How many points or repetitions it rests on.
        verdict, because: The judgement, and its reason with numbers.
    """

    figure: str
    words: str
    measure: str
    unit: str
    theory: float | None
    simulated: float | None
    stderr: float | None
    n: int
    verdict: Verdict
    because: str


Panels = Mapping[str, Panel]


def judge(panels: Panels) -> tuple[Claim, ...]:
    """Return every claim, judged."""
    return tuple(claim for judged in _JUDGES for claim in judged(panels))


def _fig5(panels: Panels) -> list[Claim]:
    panel = panels["fig5"]
    few, many = panel["N = 1"], panel["N = 20"]

    def drop(curve: Curve) -> float:
        return 100.0 * -slope(curve, curve.points[0].x, curve.points[-1].x)

    def simulated(curve: Curve) -> tuple[float, float]:
        first, last = curve.points[0], curve.points[-1]
        ratio, relative = _ratio(first.y, first.stderr, last.y, last.stderr)
        return 100.0 * math.log(ratio) / (last.x - first.x), 100.0 * relative / (last.x - first.x)

    (steep, error), (gentle, _) = simulated(few), simulated(many)
    return [
        Claim(
            "fig5", "with few repeaters the rate drops rapidly with distance, with many it drops slowly",
            "decay over 100 km, N = 1 against N = 20", "e-folds", drop(few), steep, error, len(few.points),
            "holds" if steep > 2.0 * gentle and drop(few) > 2.0 * drop(many) else "does not hold",
            f"e^-{drop(few):.1f} per 100 km with one repeater (simulated {steep:.1f}), e^-{drop(many):.2f} with 20 "
            f"({gentle:.2f}): with q = 1 the rate is m p whatever N is, so only the distance between neighbours counts",
        )
    ]  # fmt: skip


def _fig6a(panels: Panels) -> list[Claim]:
    panel = panels["fig6a"]
    near, far = panel["10 km"], panel["40 km"]
    falls = all(a.y > b.y for curve in panel.curves for a, b in zip(curve.points, curve.points[1:], strict=False))
    ratio, relative = _ratio(near.points[0].y, near.points[0].stderr, near.points[-1].y, near.points[-1].stderr)
    gain, gain_near = (curve.points[0].y - curve.points[1].y for curve in (far, near))
    error = (far.points[0].stderr ** 2 + far.points[1].stderr ** 2) ** 0.5
    return [
        Claim(
            "fig6a", "the time to a number of keys falls with memory size",
            "time with 1 unit over time with 50, 10 km", "", near.at(1.0) / near.at(50.0), ratio, ratio * relative,
            near.points[0].n, "holds" if falls else "does not hold",
            "it is n / (m p) attempts: inversely proportional to m at every distance",
        ),
        Claim(
            "fig6a", "the time falls the faster the longer the distance",
            "time saved by 5 units instead of 1, 40 km", "s", far.at(1.0) - far.at(5.0), gain, error,
            far.points[0].n, "holds with a correction" if gain > gain_near else "does not hold",
            f"in seconds, yes: {gain:.2f} s saved at 40 km, {gain_near:.2f} s at 10 km; in proportion the "
            "decline is the same at all distances",
        ),
    ]  # fmt: skip


def _fig6b(panels: Panels) -> list[Claim]:
    near, middle, far = panels["fig6b"].curves
    points = {point.x: point for point in near.points}
    growth = (points[60.0].y - points[20.0].y) / 40.0
    late = (points[140.0].y - points[120.0].y) / 20.0
    linear = abs(growth * TURN_S * 1e3 - 1.0) < 0.05
    error = (points[60.0].stderr ** 2 + points[20.0].stderr ** 2) ** 0.5 / 40.0
    last = [curve.points[-1] for curve in (near, middle, far)]
    return [
        Claim(
            "fig6b", "keys grow linearly with lifetime if all stored qubits can be measured within it",
            "keys per ms of lifetime, 20 to 60 ms, 1 km", "1/ms", 1e-3 / TURN_S, growth, error, points[60.0].n,
            "holds with a correction" if linear else "does not hold",
            "the other way round: keys grow linearly, one per 1.14 ms, as long as not all stored qubits can be "
            "measured within the lifetime; once they can, more lifetime brings nothing",
        ),
        Claim(
            "fig6b", "beyond some lifetime the number of keys grows more slowly",
            "keys per ms of lifetime, 120 to 140 ms, 1 km", "1/ms", (near.at(140.0) - near.at(120.0)) / 20.0, late,
            (points[140.0].stderr ** 2 + points[120.0].stderr ** 2) ** 0.5 / 20.0, points[140.0].n,
            "holds" if late < 0.1 * growth else "does not hold",
            f"it stays at {last[0].y:.1f} keys, all that was stored",
        ),
        Claim(
            "fig6b", "a higher rate of entanglement distribution stores more qubits",
            "keys at 140 ms, 1 km over 10 km", "", near.at(140.0) / far.at(140.0), last[0].y / last[2].y,
            last[0].y / last[2].y * _ratio(last[0].y, last[0].stderr, last[2].y, last[2].stderr)[1], last[0].n,
            "holds" if last[0].y > last[1].y > last[2].y else "does not hold",
            f"{last[0].y:.1f}, {last[1].y:.1f} and {last[2].y:.1f} keys at 1, 5 and 10 km",
        ),
    ]  # fmt: skip


def _fig6c(panels: Panels) -> list[Claim]:
    panel = panels["fig6c"]
    curve = panel["l = 10 km"]
    rises = all(a.y < b.y for each in panel.curves for a, b in zip(each.points, each.points[1:], strict=False))
    rises &= all(a < b for each in panel.curves for a, b in zip(each.y, each.y[1:], strict=False))
    first, last = curve.points[0], curve.points[-1]
    ratio, relative = _ratio(last.y, last.stderr, first.y, first.stderr)
    return [
        Claim(
            "fig6c", "with N and l fixed the rate grows with q", "rate at q = 1 over q = 0.5, 10 km", "",
            curve.at(last.x) / curve.at(first.x), ratio, ratio * relative, last.n,
            "holds" if rises else "does not hold",
            "21 hops need five swaps one after the other, so the rate grows about as q^5",
        )
    ]  # fmt: skip


def _fig7a(panels: Panels) -> list[Claim]:
    panel = panels["fig7a"]
    found = []
    for swap, words in (
        (0.9, "q = 0.9: the rate grows with the number of repeaters"),
        (0.6, "q = 0.6: no significant change beyond N = 30"),
        (0.3, "q = 0.3: as for 0.6 up to N = 30, then the rate falls"),
    ):
        curve = panel[f"q = {swap}"]
        peak = max(curve.x, key=curve.at)
        theory = curve.at(63.0) / curve.at(30.0)
        high, low = curve.point(63.0), curve.point(30.0)
        ratio, relative = _ratio(high.y, high.stderr, low.y, low.stderr)
        verdict, because = _judge_7a(swap, peak, theory, ratio)
        found.append(
            Claim("fig7a", words, "rate with 63 repeaters over 30", "", theory, ratio, ratio * relative, low.n,
                  verdict, because)
        )  # fmt: skip
    return found


def _judge_7a(swap: float, peak: float, theory: float, simulated: float) -> tuple[Verdict, str]:
    numbers = (
        f"Eq. 9 changes by {theory - 1.0:+.0%} from 30 to 63 repeaters, the simulation by {simulated - 1.0:+.0%}; "
    )
    if swap == 0.9:
        grows = theory > 1.0 and simulated > 1.0
        return (
            "holds with a correction" if grows else "does not hold",
            numbers
            + f"but Eq. 9 has its maximum at N = {peak:.0f}: beyond, shorter hops no longer pay for another swap",
        )
    if swap == 0.6:
        flat = abs(theory - 1.0) < FLAT and abs(simulated - 1.0) < FLAT
        return (
            "holds" if flat else "does not hold",
            numbers
            + f"the maximum is at N = {peak:.0f}, where the claim sees the end of the growth; then the rate falls",
        )
    falls = theory < 1.0 and simulated < 1.0
    return (
        "holds with a correction" if falls else "does not hold",
        numbers + f"but the maximum of Eq. 9 is at N = {peak:.0f} already, not near 30",
    )


def _fig7b(panels: Panels) -> list[Claim]:
    panel = panels["fig7b"]
    one, two, four, far = panel.curves
    at = one.points[1].x

    def compared(curve: Curve, other: Curve) -> tuple[float, float, float]:
        a, b = curve.point(at), other.point(at)
        ratio, relative = _ratio(a.y, a.stderr, b.y, b.stderr)
        return curve.at(at) / other.at(at), ratio, ratio * relative

    theory, ratio, error = compared(two, one)
    far_theory, far_ratio, far_error = compared(far, two)
    of_four = compared(four, two)[1]
    return [
        Claim(
            "fig7b", "more slaves need more time, but the difference is small", "time of 2 slaves over 1, 10 km", "",
            theory, ratio, error, two.point(at).n, "holds" if ratio < 1.0 + 2.0 * FLAT else "does not hold",
            f"slaves that share a path share its pairs: twice as many take {ratio:.2f} times as long ({of_four:.2f} "
            "from 2 to 4), more than twice because each has fewer units; the difference is small only if each slave's "
            "path has units of its own",
        ),
        Claim(
            "fig7b", "distance matters more than the number of slaves", "time at 20 km over 10 km, 2 slaves", "",
            far_theory, far_ratio, far_error, two.point(at).n,
            "holds with a correction" if far_ratio > ratio else "does not hold",
            f"another 10 km between neighbours cost a factor {far_ratio:.2f}, twice the slaves {ratio:.2f}; but four "
            f"times as many slaves cost {ratio * of_four:.2f}",
        ),
    ]  # fmt: skip


def _ratio(a: float, a_error: float, b: float, b_error: float) -> tuple[float, float]:
    """Return a / b and its relative error."""
    return a / b, ((a_error / a) ** 2 + (b_error / b) ** 2) ** 0.5


_JUDGES: tuple[Callable[[Panels], list[Claim]], ...] = (_fig5, _fig6a, _fig6b, _fig6c, _fig7a, _fig7b)
