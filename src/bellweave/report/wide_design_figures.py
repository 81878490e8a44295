"""The figure of a backbone's design: which numbers of repeaters and memories give the key that is wanted."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from bellweave.plan.wide_design import Candidate, WideDesign
from bellweave.report.style import BLUE, GREEN, GREY, ORANGE, VERMILION, figure, save


def draw(found: WideDesign, out: Path) -> list[Path]:
    """Draw rate against memories, and rate, memories and lifetime against repeaters; the best candidate is ringed."""
    wish = found.wish
    able = [each for each in found.candidates if each.total_units is not None]
    best = [each for each in able if each.repeaters == found.best]
    with figure(11.0, 6.4) as drawing:
        axes: Any = drawing.subplots(2, 2)
        _against_units(axes[0, 0], found, able)
        _against_repeaters(axes[0, 1], found, able, "bits_per_s")
        axes[0, 1].plot(
            *_columns(able, "trusted_bits_per_s"),
            "s",
            ms=4.5,
            color="white",
            mec=GREY,
            label="trusted nodes, as many units",
        )
        axes[0, 1].set_yscale("log")
        axes[0, 1].set_ylabel("key (bit/s)")
        _against_repeaters(axes[1, 0], found, able, "total_units")
        axes[1, 0].plot(*_bounds(able), "_", ms=11.0, mew=1.6, color=ORANGE, label="at least, by the closed form")
        if able:
            axes[1, 0].set_yscale("log")
        axes[1, 0].set_ylabel("memory units in total")
        _against_repeaters(axes[1, 1], found, able, "lifetime_s")
        if any(each.coherence_s is not None for each in able):
            axes[1, 1].plot(*_columns(able, "coherence_s"), "^", ms=6.0, color=GREEN, label="coherence time")
        tried = sorted({s for each in able for s in (each.lifetime_s, each.coherence_s) if s is not None})
        if tried:
            axes[1, 1].set_yscale("log")
        axes[1, 1].set_yticks(tried, [f"{s:g}" for s in tried])
        axes[1, 1].yaxis.set_minor_locator(NullLocator())
        axes[1, 1].set_ylabel("shortest memory lifetime\nfor nine tenths of the key (s)")
        for ax, name in ((axes[0, 0], "bits_per_s"), (axes[0, 1], "bits_per_s")):
            ax.axhline(wish.bits_per_s, color=VERMILION, ls="--", lw=1.3, label=f"wanted: {wish.bits_per_s:g} bit/s")
            if best:
                x = best[0].total_units if ax is axes[0, 0] else best[0].repeaters
                ax.plot(x, getattr(best[0], name), "o", ms=12, mfc="none", mec=VERMILION, mew=1.6, label="fewest units")
        for ax in axes.flat:
            ax.legend(fontsize=8)
        km, loss = f"{wish.distance_km:g} km", f"{wish.loss_db_per_km:g} dB/km"
        title = f"Repeaters over {km} of fibre with {loss}, {wish.mode} mode, swaps {wish.swap_order}"
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "design")


def _against_units(ax: Axes, found: WideDesign, able: list[Candidate]) -> None:
    points = [(e.total_units, e.bits_per_s) for e in able if e.total_units is not None and e.bits_per_s is not None]
    ax.plot([units for units, _ in points], [rate for _, rate in points], "o", ms=5.5, color=BLUE, label="simulated")
    for each in able:
        if each.total_units is not None and each.bits_per_s is not None:
            place = (each.total_units, each.bits_per_s)
            ax.annotate(str(each.repeaters), place, (0.0, 7.0), textcoords="offset points", ha="center", fontsize=8)
    most = max((each.bits_per_s or 0.0 for each in able), default=0.0)
    if points:
        ax.set_xscale("log")
    ax.set_ylim(0.0, 1.35 * max(most, found.wish.bits_per_s))
    ax.set_xlabel("memory units in total; beside a point: repeaters")
    ax.set_ylabel("key (bit/s)")


def _against_repeaters(ax: Axes, found: WideDesign, able: list[Candidate], what: str) -> None:
    numbers = [each.repeaters for each in found.candidates]
    ax.plot(*_columns(able, what), "o-", ms=5.5, lw=1.0, color=BLUE, label="simulated")
    if min(numbers) > 0:
        ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(numbers))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(numbers, [str(each) for each in numbers], fontsize=8)
    ax.set_xlabel("repeaters")


def _columns(able: list[Candidate], what: str) -> tuple[list[int], list[float]]:
    """Return repeaters and values of those that have one."""
    pairs = [(each.repeaters, getattr(each, what)) for each in able if getattr(each, what) is not None]
    return [number for number, _ in pairs], [float(value) for _, value in pairs]


def _bounds(able: list[Candidate]) -> tuple[list[int], list[float]]:
    pairs = [(e.repeaters, 2.0 * e.units_at_least * (e.repeaters + 1)) for e in able if e.units_at_least is not None]
    return [number for number, _ in pairs], [value for _, value in pairs]
