"""Figures of the data-centre study: keys over time, hypotheses, schedulers, more users. What they show is passed in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from bellweave.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, figure, save

Floats = NDArray[np.float64]

SCHEDULER_COLOURS = {"round-robin": BLUE, "table": GREY, "deficit": ORANGE, "optimum": GREEN}

SLOW_S = 900.0
"""Until when the data-centre paper calls its key delivery slow."""


@dataclass(frozen=True)
class Tried:
    """A hypothesis as it is drawn: moments of sessions by run, mean number with its error, and counted by hand.

    ``theory`` is counted over theory's blocks, ``printed_theory`` over blocks of the printed length.
    """

    name: str
    horizon_s: float
    moments_s: Sequence[Sequence[float]]
    sessions: float
    stderr: float
    theory: float
    printed_theory: float


@dataclass(frozen=True)
class Served:
    """A scheduler as it is drawn; shares are of the keys that were due."""

    scheduler: str
    keys: float
    wanted: float
    smallest_share: float
    wait_mean_s: float
    wait_max_s: float
    fairness: float
    of_bound: float


@dataclass(frozen=True)
class Growth:
    """Devices with more and more users: closed forms, and simulated points by scheduler as (users, keys an hour).

    ``enough``: how many users round robin serves fully; 0: not even four.
    """

    title: str
    wanted: float
    enough: int
    round_robin: Callable[[int], float]
    by_demand: Callable[[int], float]
    points: Mapping[str, Sequence[tuple[int, float]]]


def keys_over_time(
    runs: Sequence[Sequence[float]],
    curves: Mapping[str, Sequence[float]],
    horizon_s: float,
    printed: tuple[float, float] | None,
    title: str,
    out: Path,
) -> list[Path]:
    """Draw the keys delivered so far (Fig. 6, right): each counts at both ends, so a session is two.

    Args:
        runs: Moments of the sessions of each simulated run.
        curves: By label, moments of sessions as theory expects them.
        horizon_s: Where the axis ends.
        printed: (number of keys delivered at the end, number of sessions) in print; None for none.
        title: Of the network.
        out: Directory.
    """
    with figure(8.0, 4.8) as drawing:
        ax = drawing.subplots()
        for at, moments_s in enumerate(runs):
            label = f"simulated, {len(runs)} seed{'s' if len(runs) > 1 else ''}" if at == 0 else None
            _staircase(ax, moments_s, horizon_s, 2.0, color=BLUE, lw=1.1, alpha=0.75, label=label)
        for (label, moments_s), colour, dash in zip(
            curves.items(), (ORANGE, GREEN, GREY), ("--", "-.", ":"), strict=False
        ):
            _staircase(ax, moments_s, horizon_s, 2.0, color=colour, lw=1.6, ls=dash, label=label)
        if printed is not None:
            ax.axvspan(0.0, SLOW_S, color=GREY, alpha=0.10, lw=0.0)
            ax.text(8.0, 0.985, "printed: “noticeable delay” until about 900 s,\nthen near-linear",
                    va="top", fontsize=9, transform=ax.get_xaxis_transform())  # fmt: skip
            ax.plot(horizon_s, printed[0], "D", ms=8, color="black", clip_on=False, zorder=6,
                    label=f"printed at the end: {printed[0]:.0f} keys, {printed[1]:.0f} sessions")  # fmt: skip
        ax.set_xlim(0.0, horizon_s)
        ax.set_ylim(bottom=0.0)
        ax.set_xlabel("time (s)")
        ax.set_ylabel("keys delivered (both ends' answers)")
        right = ax.secondary_yaxis("right", functions=(_halved, _doubled))
        right.set_ylabel("sessions with a fresh key")
        ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.86), fontsize=9)
        ax.set_title(title)
        return save(drawing, out, "keys-over-time")


def hypotheses(tried: Sequence[Tried], printed: float, title: str, out: Path) -> list[Path]:
    """Draw how many sessions each hypothesis gives by 1050 s and what theory expects, beside the printed number."""
    with figure(8.5, 1.2 + 0.36 * len(tried)) as drawing:
        ax = drawing.subplots()
        for row, each in enumerate(tried):
            ax.barh(row, each.sessions, xerr=each.stderr, color=SKY, height=0.62, capsize=3)
            ax.plot(each.theory, row, "D", ms=5.5, color="black", mfc="white", zorder=5)
            ax.plot(each.printed_theory, row, "^", ms=6.5, color=ORANGE, mec="black", mew=0.6, zorder=5)
            ax.text(1.0, row, f"{each.sessions:.1f}", va="center", fontsize=9)
        ax.axvline(printed, color=VERMILION, ls="--", lw=1.4)
        ax.barh(0, 0, color=SKY, label="simulated, with standard error")
        ax.plot([], [], "D", ms=5.5, color="black", mfc="white", label="counted by hand")
        ax.plot([], [], "^", ms=6.5, color=ORANGE, mec="black", mew=0.6, label="the same, printed 554 bits a block")
        ax.plot([], [], "--", color=VERMILION, lw=1.4, label=f"printed: {printed:.0f}")
        ax.set_yticks(range(len(tried)), [each.name for each in tried], fontsize=9)
        ax.set_ylim(len(tried) - 0.4, -0.6)
        ax.set_xlim(0.0, 1.06 * max(printed, *(max(each.sessions, each.theory, each.printed_theory) for each in tried)))
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("sessions with a fresh key by the end of the run")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=9)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "hypotheses")


def hypothesis_shapes(tried: Sequence[Tried], printed: float, title: str, out: Path) -> list[Path]:
    """Draw each hypothesis over time, the first one pale behind it: does its shape fit a slow first 900 s?"""
    columns = 4
    rows = -(-len(tried) // columns)
    end_s = min(each.horizon_s for each in tried)
    with figure(11.0, 2.1 * rows + 0.6) as drawing:
        axes = np.atleast_1d(drawing.subplots(rows, columns)).ravel()
        for place, (ax, each) in enumerate(zip(axes, tried, strict=False)):
            ax.axvspan(0.0, SLOW_S, color=GREY, alpha=0.10, lw=0.0)
            for moments_s in tried[0].moments_s:
                _staircase(ax, moments_s, end_s, 1.0, color=GREY, lw=0.8, alpha=0.7)
            for moments_s in each.moments_s:
                _staircase(ax, moments_s, each.horizon_s, 1.0, color=BLUE, lw=1.2)
            ax.plot(end_s, printed, "D", ms=5.5, color=VERMILION, clip_on=False, zorder=6)
            longer = each.horizon_s > end_s
            ax.set_title(f"{each.name}, {each.horizon_s:.0f} s" if longer else each.name, fontsize=9)
            ax.set_xlim(0.0, each.horizon_s)
            ax.tick_params(labelsize=8)
            if not longer:
                ax.set_xticks([0, 300, 600, 900])
                ax.set_ylim(0.0, 1.5 * printed)
                ax.tick_params(labelbottom=place + columns >= len(tried), labelleft=place % columns == 0)
        for ax in axes[len(tried) :]:
            ax.set_visible(False)
        drawing.supxlabel("time (s); shaded: the 900 s that the paper calls slow; diamond: its 43 sessions", fontsize=9)
        drawing.supylabel("sessions with a fresh key so far", fontsize=9)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "hypothesis-shapes")


def schedulers(situations: Mapping[str, Sequence[Served]], title: str, out: Path) -> list[Path]:
    """Draw what each scheduler achieved: keys, distance to the optimum, the worst tunnel, waiting, fairness."""
    panels: tuple[tuple[str, Callable[[Served], float], str, float | None], ...] = (
        ("keys served\n(% of those due)", lambda each: 100.0 * each.keys / max(each.wanted, 1.0), "{:.0f}", 115.0),
        ("of the most that any\nschedule gives (%)", lambda each: 100.0 * each.of_bound, "{:.0f}", 115.0),
        ("worst tunnel\n(% of its keys)", lambda each: 100.0 * each.smallest_share, "{:.0f}", 115.0),
        ("mean wait of a link\nfor its slot (s)", lambda each: each.wait_mean_s, "{:.0f}", None),
        ("Jain's fairness\nof tunnels", lambda each: each.fairness, "{:.2f}", 1.15),
    )
    rows = len(situations)
    with figure(11.0, 2.3 * rows + 0.7) as drawing:
        axes = drawing.subplots(rows, len(panels), squeeze=False)
        for line, (situation, found) in zip(axes, situations.items(), strict=True):
            for ax, (label, value, form, top) in zip(line, panels, strict=True):
                values = [value(each) for each in found]
                ax.bar(
                    range(len(found)),
                    values,
                    color=[SCHEDULER_COLOURS.get(e.scheduler, GREY) for e in found],
                    width=0.65,
                )
                for at, each in enumerate(values):
                    ax.text(at, each, form.format(each), ha="center", va="bottom", fontsize=8.5)
                ax.set_xticks(range(len(found)), [each.scheduler.replace("-", "-\n") for each in found], fontsize=8)
                ax.set_ylabel(label, fontsize=8.5)
                ax.margins(y=0.18)
                ax.set_ylim(0.0, top)
                ax.grid(visible=False, axis="x")
            line[0].set_title(situation, fontsize=10)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "schedulers")


def scaling(grown: Sequence[Growth], title: str, out: Path) -> list[Path]:
    """Draw the keys an hour that one source can give a tunnel against the number of users, and what is asked for.

    Lines: closed forms in the long run; points: simulated, where no more is given than is asked for.
    """
    users = range(4, 129)
    markers = {"round-robin": "o", "deficit": "s", "optimum": "^"}
    with figure(10.0, 4.6) as drawing:
        axes = drawing.subplots(1, len(grown), squeeze=False)[0]
        for ax, each in zip(axes, grown, strict=True):
            ax.axhline(each.wanted, color="black", ls="--", lw=1.0)
            place, side = (4.0, "left") if each.enough else (130.0, "right")
            ax.text(place, each.wanted * 1.1, f"asked for: {each.wanted:.0f} an hour", ha=side, fontsize=8.5)
            demand, everyone = [each.by_demand(n) for n in users], [each.round_robin(n) for n in users]
            ax.plot(users, demand, color=GREEN, lw=1.8, label="only pairs with tunnels are served")
            ax.plot(users, everyone, color=BLUE, lw=1.8, ls="-.", label="round robin over all pairs")
            for name, points in each.points.items():
                x, y = [n for n, _ in points], [keys for _, keys in points]
                colour, label = SCHEDULER_COLOURS.get(name, PURPLE), f"simulated, {name}"
                ax.plot(x, y, markers.get(name, "D"), ms=7, color=colour, mec="white", mew=0.8, label=label)
            if each.enough:
                ax.plot(each.enough, each.wanted, "o", ms=9, mfc="none", mec=VERMILION, mew=1.8)
                words = f"round robin:\nenough for {each.enough} users"
                ax.annotate(words, (each.enough, each.wanted), (0.32, 0.22), textcoords="axes fraction", fontsize=9,
                            arrowprops={"arrowstyle": "-", "color": VERMILION})  # fmt: skip
            ax.set_xscale("log", base=2)
            ax.set_yscale("log")
            ax.set_xticks([4, 8, 16, 32, 64, 128], ["4", "8", "16", "32", "64", "128"])
            ax.set_ylim(top=3.0 * max(each.wanted, *demand))
            ax.set_xlabel("users behind one source")
            ax.set_title(each.title, fontsize=10)
            ax.legend(loc="upper right" if each.enough else "lower left", fontsize=8.5)
        axes[0].set_ylabel("fresh keys per tunnel and hour\nthat one source can give")
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "scaling")


def _staircase(ax: Axes, moments_s: Sequence[float], end_s: float, step: float, **look: object) -> None:
    """Draw how many moments have passed, times ``step``, from 0 to the end."""
    inside = [at_s for at_s in moments_s if at_s <= end_s]
    heights = [0.0, *(step * (at + 1) for at in range(len(inside)))]
    ax.step([0.0, *inside, end_s], [*heights, heights[-1]], where="post", **look)  # type: ignore[arg-type]


def _halved(keys: ArrayLike) -> Floats:
    return np.asarray(keys, dtype=np.float64) / 2.0


def _doubled(sessions: ArrayLike) -> Floats:
    return np.asarray(sessions, dtype=np.float64) * 2.0
