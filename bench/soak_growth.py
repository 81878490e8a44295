"""How much the processes of a soak grew, from samples of their memory and open files."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[float, float, float, int]
"""Moment, PSS and private memory in MiB, open files."""

MOST_POINTS = 120


@dataclass(frozen=True)
class Growth:
    """What one process did over its life; medians of its first and its last fifth are compared.

    Attributes:
        lived_s: How long it was watched.
        private_mib, pss_mib, files: In the last fifth.
        growth_mib, growth_files: Since the first; private memory.
        slope_mib_per_h: Of private memory, the median of all pairs of samples (Theil and Sen).
    """

    lived_s: float
    private_mib: float
    pss_mib: float
    files: float
    growth_mib: float
    growth_files: float
    slope_mib_per_h: float


def growth(samples: Sequence[Mapping[str, Any]], warm_up_s: float, long_s: float) -> dict[str, Growth]:
    """Return how those grew that lived so long after the warm-up."""
    return {
        name: _grown(life) for name, life in _lives(samples, warm_up_s).items() if life[-1][0] - life[0][0] >= long_s
    }


def by_kind(grown: Mapping[str, Growth]) -> dict[str, dict[str, float]]:
    """Return the most of each kind of process: daemons together, each node by itself."""
    kinds: dict[str, list[Growth]] = {}
    for name, each in grown.items():
        kinds.setdefault(name.split()[0], []).append(each)
    return {
        kind: {
            "processes": len(each),
            "lived_s": max(one.lived_s for one in each),
            "private_mib": statistics.median(one.private_mib for one in each),
            "most_growth_mib": max(one.growth_mib for one in each),
            "median_slope_mib_per_h": statistics.median(one.slope_mib_per_h for one in each),
            "most_growth_files": max(one.growth_files for one in each),
        }
        for kind, each in sorted(kinds.items())
    }


def _lives(samples: Sequence[Mapping[str, Any]], warm_up_s: float) -> dict[str, list[Point]]:
    """Return what is known of each process from the warm-up on, or from its second sample."""
    lives: dict[str, list[Point]] = {}
    born: set[str] = set()
    for sample in samples:
        for name, (pss, private, files) in sample["processes"].items():
            warm = sample["at_s"] >= samples[0]["at_s"] + warm_up_s
            if warm and name in born:
                lives.setdefault(name, []).append((sample["at_s"], pss, private, files))
            born.add(name)
    return lives


def _grown(life: Sequence[Point]) -> Growth:
    fifth = max(1, len(life) // 5)
    start, end = life[:fifth], life[-fifth:]

    def middle(of: Sequence[Point], what: int) -> float:
        return statistics.median(point[what] for point in of)

    return Growth(
        lived_s=life[-1][0] - life[0][0],
        private_mib=middle(end, 2),
        pss_mib=middle(end, 1),
        files=middle(end, 3),
        growth_mib=middle(end, 2) - middle(start, 2),
        growth_files=middle(end, 3) - middle(start, 3),
        slope_mib_per_h=3600.0 * _slope([(point[0], point[2]) for point in life]),
    )


def _slope(points: Sequence[tuple[float, float]]) -> float:
    points = points[:: max(1, len(points) // MOST_POINTS)]
    slopes = [(y - b) / (x - a) for (a, b), (x, y) in itertools.combinations(points, 2) if x > a]
    return statistics.median(slopes) if slopes else 0.0
