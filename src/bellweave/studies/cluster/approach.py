"""How close a chain with finite memories comes to Eq. 9, which is the optimum for memories that never fill."""

from bellweave.network.wide.theory import distribution_rate, success_probability
from bellweave.results.panels import Curve, Panel, Point
from bellweave.results.records import Row
from bellweave.studies.cluster.rates import LOSS_DB_PER_KM, rate

LENGTH_KM = 10.0
SWAP = 0.9
SIZES = (2, 5, 10, 20, 50, 100, 200, 500)


def approach(seed: int) -> Panel:
    """Return the simulated rate over Eq. 9 against the number of memory units."""
    success = success_probability(LENGTH_KM, LOSS_DB_PER_KM)
    curves = []
    for hops in (2, 8, 21):
        points = []
        for units in SIZES:
            found = rate(seed, ("approach", hops, units), hops, LENGTH_KM, units, SWAP, float(units))
            bound = distribution_rate(hops, units, success, SWAP)
            points.append(Point(found.x, found.y / bound, found.stderr / bound, found.n))
        curves.append(Curve(f"k = {hops}", [float(each) for each in SIZES], [1.0] * len(SIZES), points))
    return Panel(
        "approach", "How close finite memories come to Eq. 9", "memory units m", "rate / Eq. 9", tuple(curves),
        chosen=f"{LENGTH_KM:.0f} km, q = {SWAP}, spans halved", theory="Eq. 9", log_x=True, limits_y=(0.0, 1.05),
    )  # fmt: skip


def rows(panel: Panel) -> tuple[Row, ...]:
    """Return the last point of every curve as a row."""
    return tuple(
        Row(
            quantity=f"rate over Eq. 9, {curve.label}, m = {curve.points[-1].x:.0f}",
            unit="",
            theory=1.0,
            mean=curve.points[-1].y,
            stderr=curve.points[-1].stderr,
            n=curve.points[-1].n,
            note="from below: units wait for partners" if curve.label != "k = 21" else
            "21 is no power of two: halving is not the optimum's mix of spans",
        )
        for curve in panel.curves
    )  # fmt: skip
