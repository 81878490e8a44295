"""What happened in a wide-area run: pairs, paths, key and stock over time, error rates, rates against their bounds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bellweave.plan.wide_records import DemandPlan, WidePlan
from bellweave.report.network_timeline import COLOURS, look, mark_faults
from bellweave.report.style import GREY, ORANGE, SKY, VERMILION, figure, save
from bellweave.results.network_records import LevelSampled
from bellweave.results.wide_records import KeyMade, LanesEnded, LanesSet, WideEvent
from bellweave.sim.wide.run import WideRun
from bellweave.sim.wide.summary import WideSummary

MOST_DEMANDS = 12
"""That a figure over time shows; of more, the first ones, and its title says so."""

MOST_BARS = 40
"""Demands whose rates are drawn."""

STEPS = 40.0
"""Rates are means over at least this part of a run."""

MOST_CHANGES = 24
"""Moments of new paths that are drawn through all panels."""

FAR_APART = 6.0
"""Rates whose ratio is larger are drawn on a logarithmic axis."""

LETTER = 0.0072
"""Width of a letter in the bars of paths, as a share of the axis."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in which a demand used these paths; each is its nodes, slaves at both ends."""

    begin_s: float
    end_s: float
    paths: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        """The nodes between the slaves, or how many paths there are."""
        return " ".join(self.paths[0][1:-1]) if len(self.paths) == 1 else f"{len(self.paths)} paths"

    @property
    def short(self) -> str:
        """A label of a few letters."""
        return f"{len(self.paths[0]) - 1} hops" if len(self.paths) == 1 else f"{len(self.paths)} paths"


def stretches(events: Iterable[WideEvent], until_s: float) -> dict[str, list[Stretch]]:
    """Return each demand's stretches, in order; lanes that only got other memory units go on."""
    found: dict[str, list[Stretch]] = {}
    begun: dict[str, Stretch] = {}
    for event in events:
        if not isinstance(event, LanesSet | LanesEnded):
            continue
        before = begun.pop(event.demand, None)
        if isinstance(event, LanesSet) and before is not None and before.paths == event.nodes:
            begun[event.demand] = before
            continue
        if before is not None:
            found[event.demand].append(Stretch(before.begin_s, min(event.at_s, until_s), before.paths))
        if isinstance(event, LanesSet):
            found.setdefault(event.demand, [])
            begun[event.demand] = Stretch(event.at_s, until_s, event.nodes)
    for name, last in begun.items():
        found[name].append(last)
    return {name: [each for each in own if each.end_s > each.begin_s] for name, own in found.items()}


def rate_steps(events: Iterable[WideEvent], demand: str, width_s: float) -> list[tuple[float, float, float]]:
    """Return (begin, end, pairs/s) of a demand: means over its blocks, put together until they are ``width_s`` long."""
    steps: list[tuple[float, float, float]] = []
    since_s, until_s, pairs = 0.0, 0.0, 0
    for event in events:
        if isinstance(event, LanesSet) and event.demand == demand and not steps and not pairs:
            since_s = event.at_s
        elif isinstance(event, KeyMade) and event.demand == demand:
            pairs, until_s = pairs + event.pairs, event.at_s
            if event.at_s >= since_s + width_s * (1.0 - 1e-6):
                steps.append((since_s, event.at_s, pairs / (event.at_s - since_s)))
                since_s, pairs = event.at_s, 0
    if until_s > since_s:
        steps.append((since_s, until_s, pairs / (until_s - since_s)))
    return steps


def timeline(run: WideRun, title: str, out: Path) -> list[Path]:
    """Draw pairs per second, the paths in use, key made so far and key in stock, below each other over a run's time."""
    names = list(run.scenario.demand)[:MOST_DEMANDS]
    used = stretches(run.events, run.duration_s)
    heights = [2.2, 0.7 + 0.27 * len(names), 2.0, 1.8]
    with figure(11.0, sum(heights) + 1.3) as drawing:
        axes: Any = drawing.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _rates(axes[0], run, names)
        _paths(axes[1], used, names, run.duration_s)
        _key(axes[2], run, names)
        _stock(axes[3], run, names)
        moments_s = changes(used, names)
        for ax in axes:
            mark_faults(ax, run.events, run.duration_s)
            for at_s in moments_s if len(moments_s) <= MOST_CHANGES else ():
                ax.axvline(at_s, color="black", lw=0.8, ls=":")
        axes[0].set_xlim(0.0, run.duration_s)
        axes[-1].set_xlabel("time (s)")
        left_out = len(run.scenario.demand) - len(names)
        axes[0].set_title(title + (f" (the first {len(names)} of {len(run.scenario.demand)} demands)" * bool(left_out)))
        lines, labels = axes[0].get_legend_handles_labels()
        drawing.legend(lines, labels, loc="outside lower center", ncols=min(6, len(names)), fontsize=8.5)
        return save(drawing, out, "timeline")


def changes(used: Mapping[str, Sequence[Stretch]], names: Sequence[str]) -> list[float]:
    """Return when demands went on over other paths than before."""
    pairs = (pair for name in names for pair in pairwise(used.get(name, ())))
    return sorted({late.begin_s for early, late in pairs if late.paths != early.paths})


def quality(run: WideRun, plan: WidePlan, title: str, out: Path) -> list[Path]:
    """Draw the error rate and the CHSH value of every block that has them; none: return no paths."""
    names = list(run.scenario.demand)[:MOST_DEMANDS]
    blocks = [each for each in run.events if isinstance(each, KeyMade) and each.qber is not None]
    if not blocks:
        return []
    expected = {each.demand: each for each in plan.demands}
    with figure(11.0, 5.4) as drawing:
        axes: Any = drawing.subplots(2, 1, sharex=True)
        for at, name in enumerate(names):
            own = [each for each in blocks if each.demand == name]
            best = expected[name]
            _blocks(axes[0], [(e.at_s, 100.0 * e.qber, e.rejection) for e in own if e.qber is not None], at, name)
            _blocks(axes[1], [(e.at_s, e.chsh, e.rejection) for e in own if e.chsh is not None], at, name)
            if best.qber is not None and best.chsh is not None:
                axes[0].axhline(100.0 * best.qber, color=look(at)[0], lw=1.0, ls="--", label=f"{name}, theory at best")
                axes[1].axhline(best.chsh, color=look(at)[0], lw=1.0, ls="--")
        for ax in axes:
            mark_faults(ax, run.events, run.duration_s)
        axes[0].set_ylim(0.0, 1.2 * axes[0].get_ylim()[1])
        axes[0].set_ylabel("QBER (%)\n× no key")
        right = axes[0].secondary_yaxis("right", functions=(fidelity_of, qber_of))
        right.set_ylabel("fidelity, if all\nerrors are alike")
        axes[1].axhline(2.0, color="black", lw=1.0, ls="--")
        axes[1].text(1.005, 2.0, "classical\nlimit", va="center", fontsize=8.5, transform=axes[1].get_yaxis_transform())
        axes[1].set_ylim(1.8, 2.0 * np.sqrt(2.0))
        axes[1].set_ylabel("CHSH value")
        axes[1].set_xlabel("time (s)")
        axes[0].set_xlim(0.0, run.duration_s)
        axes[0].set_title(title)
        lines, labels = axes[0].get_legend_handles_labels()
        drawing.legend(lines, labels, loc="outside lower center", ncols=min(6, len(names)), fontsize=8.5)
        return save(drawing, out, "quality")


def fidelity_of(qber_percent: Any) -> Any:
    """Return the fidelity of pairs with white noise that have this error rate: Q = 2 (1 - F)/3."""
    return 1.0 - 1.5 * np.asarray(qber_percent, dtype=float) / 100.0


def qber_of(fidelity: Any) -> Any:
    """Return the error rate in percent of pairs with white noise of this fidelity."""
    return 100.0 * (1.0 - np.asarray(fidelity, dtype=float)) / 1.5


def served(summary: WideSummary, plan: WidePlan, title: str, out: Path) -> list[Path]:
    """Draw what each demand got beside what closed forms and the linear program allow: pairs between clusters, key."""
    demands = plan.demands[:MOST_BARS]
    far = [each for each in demands if each.kind == "backbone"]
    panels = [far, demands] if far else [demands]
    with figure(11.0 if far else 7.0, 1.7 + 0.34 * len(demands)) as drawing:
        axes: Any = drawing.subplots(1, len(panels), squeeze=False)[0]
        if far:
            _pairs_and_bounds(axes[0], far, summary)
        _key_and_bounds(axes[-1], demands, summary)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "served")


def _pairs_and_bounds(ax: Axes, far: Sequence[DemandPlan], summary: WideSummary) -> None:
    rows = np.arange(len(far))
    ax.barh(rows, [summary.demands[e.demand].pairs_per_s for e in far], color=SKY, height=0.6, label="simulated")
    marks = (
        ("|", VERMILION, 13.0, "linear program, all demands, with times", [e.timed_per_s for e in far]),
        ("D", ORANGE, 5.0, "linear program, no time but attempts", [e.rate_per_s for e in far]),
        ("o", "white", 5.5, "Eq. 9 hop by hop, alone on its path", [e.alone_per_s for e in far]),
    )
    for marker, colour, size, label, values in marks:
        shown = [np.nan if value is None else value for value in values]
        edge = colour if marker == "|" else "black"
        ax.plot(shown, rows, marker, ms=size, color=colour, mec=edge, mew=2.0 if marker == "|" else 0.8, label=label)
    _bars(ax, [each.demand for each in far], "end-to-end pairs per second")


def _key_and_bounds(ax: Axes, demands: Sequence[DemandPlan], summary: WideSummary) -> None:
    rows = np.arange(len(demands))
    got = [summary.demands[each.demand].bits_per_s for each in demands]
    bounds = [each.key_bits_per_s for each in demands]
    ax.barh(rows, got, color=SKY, height=0.6, label="simulated")
    ax.plot(bounds, rows, "|", ms=13.0, mew=2.0, color=VERMILION, label="theory (bellweave plan)")
    trusted = [np.nan if each.trusted_bits_per_s is None else each.trusted_bits_per_s for each in demands]
    if np.isfinite(trusted).any():
        ax.plot(trusted, rows, "s", ms=5.0, color="white", mec=GREY, label="the same path, trusted nodes")
    asked = [np.nan if each.asked_bits_per_s is None else each.asked_bits_per_s for each in demands]
    if np.isfinite(asked).any():
        ax.plot(asked, rows, "|", ms=13.0, mew=1.2, color="black", label="asked for")
    _bars(ax, [each.demand for each in demands], "key (bit/s)")


def _bars(ax: Axes, names: Sequence[str], label: str) -> None:
    ax.set_yticks(range(len(names)), list(names), fontsize=8.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(left=0.0)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(label)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, fontsize=8, borderpad=0.1, columnspacing=1.0)


def _rates(ax: Axes, run: WideRun, names: Sequence[str]) -> None:
    means = []
    for at, name in enumerate(names):
        steps = rate_steps(run.events, name, run.duration_s / STEPS)
        means.append(float(np.median([step[2] for step in steps])) if steps else 0.0)
        colour, dash = look(at)
        edges = [step[0] for step in steps] + [step[1] for step in steps[-1:]]
        values = [step[2] for step in steps]
        ax.stairs(values, edges or [0.0], baseline=None, color=colour, ls=dash, lw=1.3)
        ax.plot([], [], color=colour, ls=dash, lw=1.8, label=name)
    means = [each for each in means if each > 0.0]
    if means and max(means) > FAR_APART * min(means):
        ax.set_yscale("log")
        ax.set_ylim(0.2 * min(means), 3.0 * max(means))
    else:
        ax.set_ylim(bottom=0.0)
    ax.set_ylabel("pairs per second")


def _paths(ax: Axes, used: Mapping[str, Sequence[Stretch]], names: Sequence[str], until_s: float) -> None:
    for row, name in enumerate(names):
        own = used.get(name, ())
        kinds = list(dict.fromkeys(each.paths for each in own))
        for each in own:
            kind = kinds.index(each.paths)
            span = (each.begin_s, each.end_s - each.begin_s)
            shade = max(0.18, 0.62 - 0.2 * kind)
            ax.broken_barh([span], (row - 0.38, 0.76), color=look(row)[0], alpha=shade, lw=0.0)
            room = span[1] / until_s / LETTER
            text = each.label if len(each.label) <= room else each.short
            if len(text) <= room:
                ax.text(each.begin_s + 0.004 * until_s, row, text, va="center", fontsize=8)
    ax.set_yticks(range(len(names)), list(names), fontsize=8)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False)
    ax.set_ylabel("path in use")


def _key(ax: Axes, run: WideRun, names: Sequence[str]) -> None:
    made: dict[str, list[tuple[float, float]]] = {name: [(0.0, 0.0)] for name in names}
    for event in run.events:
        if isinstance(event, KeyMade) and event.demand in made:
            own = made[event.demand]
            own.append((event.at_s, own[-1][1] + event.final_bits))
    _staircases(ax, made, run.duration_s)
    ax.set_ylabel(f"key made so far\n({ax.get_ylabel()})")


def _stock(ax: Axes, run: WideRun, names: Sequence[str]) -> None:
    held: dict[str, list[tuple[float, float]]] = {name: [(0.0, 0.0)] for name in names}
    for event in run.events:
        if isinstance(event, LevelSampled) and event.link in held:
            held[event.link].append((event.at_s, float(event.level_bits)))
    _staircases(ax, held, run.duration_s)
    ax.set_ylabel(f"key in stock\n({ax.get_ylabel()})")


def _staircases(ax: Axes, values: Mapping[str, Sequence[tuple[float, float]]], until_s: float) -> None:
    top = max((bits for own in values.values() for _, bits in own), default=0.0)
    scale, unit = (1000.0, "kbit") if top >= 20_000.0 else (1.0, "bit")
    for at, own in enumerate(values.values()):
        data = np.array([*own, (until_s, own[-1][1])])
        colour, dash = look(at)
        ax.step(data[:, 0], data[:, 1] / scale, where="post", color=colour, ls=dash, lw=1.3)
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel(unit)


def _blocks(ax: Axes, blocks: Sequence[tuple[float, float, str | None]], at: int, name: str) -> None:
    colour = COLOURS[at % len(COLOURS)]
    kept = np.array([(x, y) for x, y, why in blocks if why is None]).reshape(-1, 2)
    lost = np.array([(x, y) for x, y, why in blocks if why is not None]).reshape(-1, 2)
    size = 4.5 if len(blocks) < 60 else 2.5
    ax.plot(kept[:, 0], kept[:, 1], "o", ms=size, mew=0.0, color=colour, label=name)
    ax.plot(lost[:, 0], lost[:, 1], "x", ms=5.0, mew=1.3, color=colour)
