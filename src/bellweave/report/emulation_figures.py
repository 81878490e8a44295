"""Figures of an emulated run: beside its simulation, and what only an emulation can measure."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from bellweave.report import network_timeline
from bellweave.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, figure, save
from bellweave.results.emulated import Beside, quantile
from bellweave.results.network_records import BlockDistilled, Probed, SessionBegan, Starved
from bellweave.roles.run import NetworkRun

EMULATED, SIMULATED = BLUE, ORANGE

MILLI = 1000.0
KILO = 1000.0

BINS = 30

BURST_S = 1.5
"""Probes that are lost in seconds so near to each other were lost together."""

STEPS = {"enc_keys": ("enc_keys", SKY), "peer": ("peer: dec_keys, loading", GREEN), "switch": ("switch", PURPLE)}
"""Steps of a refresh: what they are called, and their colours."""


def over_time(run: NetworkRun, simulation: NetworkRun | None, title: str, out: Path) -> list[Path]:
    """Draw the key bits distilled and the fresh keys in use so far, of both runs, or of the emulated one."""
    panels = 2 if any(isinstance(event, SessionBegan) for event in run.events) else 1
    end_s = max(run.duration_s, max((event.at_s for event in run.events), default=0.0))
    with figure(10.0, 2.6 * panels + 0.6) as drawing:
        axes: Any = drawing.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
        for each, colour, label in ((simulation, SIMULATED, "simulated"), (run, EMULATED, "emulated")):
            if each is None:
                continue
            dash = "--" if each is simulation else "-"
            blocks = [event for event in each.events if isinstance(event, BlockDistilled)]
            moments_s = [event.at_s for event in blocks]
            bits = np.cumsum([event.ingested_bits for event in blocks]) / KILO
            _stairs(axes[0], moments_s, bits, end_s, color=colour, ls=dash, lw=1.8, label=label)
            if panels > 1:
                fresh_s = [e.at_s for e in each.events if isinstance(e, SessionBegan) and not e.renewed]
                _stairs(axes[1], fresh_s, np.arange(1, len(fresh_s) + 1), end_s, color=colour, ls=dash, lw=1.8)
        axes[0].set_ylabel("key distilled\n(kbit)")
        axes[0].legend(loc="upper left")
        axes[0].set_title(title)
        if panels > 1:
            axes[1].set_ylabel("fresh keys in use\nso far")
        for ax in axes:
            ax.set_ylim(bottom=0.0)
            ax.set_xlim(0.0, end_s)
            network_timeline.mark_faults(ax, run.events, run.duration_s)
            if end_s > run.duration_s:
                ax.axvline(run.duration_s, color=GREY, lw=1.0, ls=":")
        if end_s > run.duration_s:
            words = " last slot over" if run.duration_s < end_s / 2.0 else "last slot over "
            side = "left" if run.duration_s < end_s / 2.0 else "right"
            axes[0].text(run.duration_s, 0.04, words, ha=side, fontsize=8.5, color=GREY,
                         transform=axes[0].get_xaxis_transform())  # fmt: skip
        axes[-1].set_xlabel("time (s)")
        return save(drawing, out, "both-over-time")


def tunnels_beside(run: NetworkRun, simulation: NetworkRun, title: str, out: Path) -> list[Path]:
    """Draw every tunnel's sessions of both runs, one above the other."""
    names = list(simulation.scenario.tunnel)[: network_timeline.MOST_LINES]
    with figure(11.0, 1.5 + 0.42 * len(names)) as drawing:
        ax = drawing.subplots()
        for each, colour, offset in ((simulation, SIMULATED, -0.2), (run, EMULATED, 0.2)):
            found = network_timeline.sessions(each)
            for row, name in enumerate(names):
                spans = [(session.begin_s, session.end_s - session.begin_s) for session in found[name]]
                ax.broken_barh(spans, (row + offset - 0.17, 0.34), color=colour, alpha=0.45, lw=0.0)
                fresh = [session.begin_s for session in found[name] if not session.renewed]
                ax.plot(fresh, [row + offset] * len(fresh), "o", ms=4.0, color=colour, mec="black", mew=0.5)
                refused = [e.at_s for e in each.events if isinstance(e, Starved) and e.tunnel == name]
                ax.plot(refused, [row + offset] * len(refused), "x", ms=4.0, mew=1.2, color=VERMILION)
        for colour, label in ((SIMULATED, "simulated"), (EMULATED, "emulated")):
            ax.barh(0, 0, color=colour, alpha=0.45, label=label)
        ax.plot([], [], "o", ms=4.5, color="white", mec="black", mew=0.8, label="fresh key in use")
        ax.plot([], [], "x", ms=4.5, mew=1.3, color=VERMILION, label="key due, none to be had")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=8.5)
        ax.set_yticks(range(len(names)), names, fontsize=8.5)
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.set_xlim(0.0, run.duration_s)
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("time (s)")
        ax.set_title(title)
        network_timeline.mark_faults(ax, run.events, run.duration_s)
        return save(drawing, out, "both-tunnels")


def refreshes(beside: Beside, title: str, out: Path) -> list[Path]:
    """Draw how long refreshes took: how many so long, and the share that took no longer."""
    totals_ms = MILLI * np.array(beside.refreshes_s)
    with figure(11.0, 3.9) as drawing:
        left, right = drawing.subplots(1, 2)
        edges = np.linspace(0.0, 1.02 * float(totals_ms.max()), BINS + 1)
        left.hist(totals_ms, bins=edges, color=BLUE)
        top = left.get_ylim()[1]
        for share, dash in ((0.5, "--"), (0.99, ":")):
            at_ms = MILLI * (quantile(beside.refreshes_s, share) or 0.0)
            left.axvline(at_ms, color="black", lw=1.2, ls=dash, label=f"p{100 * share:.0f}: {at_ms:.0f} ms")
        left.set_ylim(0.0, top)
        left.legend(loc="upper left")
        left.set_xlabel("a whole refresh (ms)")
        left.set_ylabel("refreshes")
        left.set_title(f"{title}, n = {len(totals_ms)}")
        _shares(right, totals_ms, "whole refresh", BLUE, 2.2)
        for name, (label, colour) in STEPS.items():
            _shares(right, MILLI * np.array(beside.steps_s[name]), label, colour, 1.4)
        right.set_xscale("log")
        right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        right.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        right.xaxis.set_minor_formatter(NullFormatter())
        right.set_ylim(0.0, 1.02)
        right.set_xlabel("time (ms)")
        right.set_ylabel("share that took no longer")
        right.legend(loc="upper left", fontsize=8.5)
        return save(drawing, out, "refreshes")


def _bursts(hit: Sequence[Probed]) -> Iterator[tuple[float, int]]:
    """Yield the end of each time without echoes, and the probes lost in it: numbers of neighbours would overlap."""
    number = 0
    for event, following in zip(hit, (*hit[1:], None)[: len(hit)], strict=True):
        number += event.lost
        if following is None or following.at_s - event.at_s > BURST_S:
            yield event.at_s, number
            number = 0


def probes(run: NetworkRun, title: str, out: Path) -> list[Path]:
    """Draw the probes lost in every tunnel, and the longest time between two echoes, over the time of the run."""
    names = list(run.scenario.tunnel)[: network_timeline.MOST_LINES]
    found = {name: [e for e in run.events if isinstance(e, Probed) and e.tunnel == name] for name in names}
    with figure(11.0, 2.6 + 0.2 * len(names)) as drawing:
        lost, gaps = drawing.subplots(2, 1, sharex=True, height_ratios=[0.6 + 0.2 * len(names), 2.0])
        for row, name in enumerate(names):
            hit = [event for event in found[name] if event.lost]
            sizes = [20.0 + 8.0 * event.lost for event in hit]
            lost.scatter([event.at_s for event in hit], [row] * len(hit), s=sizes, color=VERMILION, zorder=3)
            for at_s, number in _bursts(hit):
                lost.annotate(str(number), (at_s, row), (9, 0), textcoords="offset points", va="center", fontsize=8)
            up = [(event.at_s - 1.0, 1.0) for event in found[name] if event.received]
            lost.broken_barh(up, (row - 0.3, 0.6), color=SKY, alpha=0.35, lw=0.0)
            colour, dash = network_timeline.look(row)
            gaps.plot([event.at_s for event in found[name]], [MILLI * event.longest_gap_s for event in found[name]],
                      color=colour, ls=dash, lw=1.0, label=name)  # fmt: skip
        lost.set_yticks(range(len(names)), names, fontsize=8)
        lost.set_ylim(len(names) - 0.4, -0.6)
        lost.grid(visible=False, axis="y")
        lost.set_title(f"{title}: pale, echoes come; red, so many probes lost")
        gaps.set_ylim(bottom=0.0)
        gaps.set_ylabel("longest time\nbetween echoes (ms)")
        gaps.set_xlabel("time (s)")
        gaps.set_xlim(0.0, max(run.duration_s, max((e.at_s for each in found.values() for e in each), default=0.0)))
        for ax in (lost, gaps):
            network_timeline.mark_faults(ax, run.events, run.duration_s)
        return save(drawing, out, "probes")


def _shares(ax: Axes, values: "np.ndarray[Any, Any]", label: str, colour: str, width: float) -> None:
    ordered = np.sort(np.maximum(values, 0.01))
    ax.step(ordered, np.arange(1, len(ordered) + 1) / len(ordered), where="post", color=colour, lw=width, label=label)


def _stairs(ax: Axes, moments_s: Sequence[float], heights: Any, end_s: float, **look: Any) -> None:
    inside = list(heights)
    last = inside[-1] if inside else 0.0
    ax.step([0.0, *moments_s, end_s], [0.0, *inside, last], where="post", **look)
