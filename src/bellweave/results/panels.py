"""What a figure of a study shows: curves of theory, simulated points with their errors."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """A simulated value with its standard error, from ``n`` repetitions or batches."""

    x: float
    y: float
    stderr: float
    n: int


@dataclass(frozen=True)
class Curve:
    """A line of theory and the points beside it.

    Attributes:
        label: What distinguishes it.
        x, y: Of the theory.
        points: Simulated.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    points: Sequence[Point] = ()

    def at(self, x: float) -> float:
        """Return theory at one of its own x."""
        return self.y[list(self.x).index(x)]

    def point(self, x: float) -> Point:
        """Return the simulated point there."""
        return next(point for point in self.points if point.x == x)


@dataclass(frozen=True)
class Panel:
    """One figure.

    Attributes:
        name: Such as ``fig7a``.
        title, x_label, y_label: For people; labels carry units.
        curves: In the order of the legend.
        chosen: What is of our choice, because the paper does not print it.
        theory: What the lines are.
        log_y, log_x, limits_y: How the axes are drawn.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    chosen: str
    theory: str
    log_y: bool = False
    log_x: bool = False
    limits_y: tuple[float, float] | None = None

    def __getitem__(self, label: str) -> Curve:
        return next(curve for curve in self.curves if curve.label == label)
