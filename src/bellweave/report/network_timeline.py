"""What happened in a network run, over time: who was served, what was in stock, who got keys, what the tunnels used."""

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bellweave.distill.accounting import threshold
from bellweave.network.params import Schedule
from bellweave.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, figure, save
from bellweave.results.network_records import (
    Alarmed,
    BlockDistilled,
    Delivered,
    FaultChanged,
    LevelSampled,
    SessionBegan,
    SessionEnded,
    SlotBegan,
    Starved,
)
from bellweave.sim.network import NetworkRun

MOST_LINES = 16
"""Links and tunnels that a figure shows; of more, the first ones, and its title says so."""

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#A6761D", "#333333")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))

Edges = tuple[float, float, float, float, float, float]

AGES_S: Edges = (0.0, 60.0, 120.0, 300.0, 600.0, 1e9)
SHORT_AGES_S: Edges = (0.0, 5.0, 10.0, 20.0, 60.0, 1e9)
"""Edges of the ages that are told apart; the short ones where tunnels want a key every few seconds."""

AGE_LABELS = {AGES_S: ("< 1 min", "1-2 min", "2-5 min", "5-10 min", "> 10 min"),
              SHORT_AGES_S: ("< 5 s", "5-10 s", "10-20 s", "20-60 s", "> 1 min")}  # fmt: skip

SHORT_S = 20.0
"""Period of tunnels up to which the ages are the short ones."""

AGE_COLOURS = ("#08519C", "#3182BD", "#6BAED6", "#BDD7E7", "#EFD9C1")
"""Dark: a fresh key; pale: an old one. Told apart by lightness alone."""


@dataclass(frozen=True)
class Session:
    """A stretch of time in which a tunnel used one key; ``key_s``: when that key was new, ``renewed``: begun anew."""

    begin_s: float
    end_s: float
    key_s: float
    renewed: bool


def timeline(run: NetworkRun, title: str, out: Path) -> list[Path]:
    """Draw slots, error rates, stocks, deliveries and tunnel states below each other over the time of the run."""
    links, tunnels = list(run.scenario.link)[:MOST_LINES], list(run.scenario.tunnel)[:MOST_LINES]
    heights = [0.6 + 0.17 * len(links), 1.7, 1.9, *([0.6 + 0.2 * len(tunnels)] * 2 if tunnels else [])]
    with figure(11.0, sum(heights) + 1.2) as drawing:
        axes: Any = drawing.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _slots(axes[0], run, links)
        _error_rates(axes[1], run, links)
        _levels(axes[2], run, links)
        if tunnels:
            _deliveries(axes[3], run, tunnels)
            _states(axes[4], run, tunnels)
            _age_key(drawing, run)
        for ax in axes:
            mark_faults(ax, run.events, run.duration_s)
        axes[0].set_xlim(0.0, run.duration_s)
        axes[-1].set_xlabel("time (s)")
        left_out = len(run.scenario.link) - len(links)
        axes[0].set_title(title + (f" (the first {len(links)} of {len(run.scenario.link)} links)" if left_out else ""))
        handles = [
            axes[2].plot([], [], color=colour, ls=dash, lw=2.0)[0]
            for colour, dash in (look(at) for at in range(len(links)))
        ]
        drawing.legend(handles, links, loc="outside upper right", ncols=min(6, len(links)), fontsize=8.5)
        drawing.align_ylabels(list(axes))
        return save(drawing, out, "timeline")


def sessions_zoom(run: NetworkRun, title: str, out: Path, until_s: float) -> list[Path]:
    """Draw the sessions of every tunnel until a moment: renewals, refusals, and how old each key is."""
    tunnels = list(run.scenario.tunnel)[:MOST_LINES]
    with figure(11.0, 1.6 + 0.34 * len(tunnels)) as drawing:
        ax = drawing.subplots()
        _states(ax, run, tunnels)
        found = sessions(run)
        for row, name in enumerate(tunnels):
            renewals = [each.begin_s for each in found.get(name, ()) if each.renewed and each.begin_s < until_s]
            ax.plot(renewals, [row] * len(renewals), "|", ms=9, mew=1.4, color="white")
            fresh = [each.begin_s for each in found.get(name, ()) if not each.renewed and each.begin_s < until_s]
            ax.plot(fresh, [row] * len(fresh), "o", ms=6, color=ORANGE, mec="black", mew=0.6, zorder=4)
            refused = [e.at_s for e in run.events if isinstance(e, Starved) and e.tunnel == name and e.at_s < until_s]
            ax.plot(refused, [row] * len(refused), "x", ms=6, mew=1.6, color=VERMILION, zorder=5)
        ax.plot([], [], "o", ms=6, color=ORANGE, mec="black", mew=0.6, label="session with a fresh key")
        ax.plot([], [], "|", ms=9, mew=1.6, color=GREY, label="renewed with the key in use")
        ax.plot([], [], "x", ms=6, mew=1.6, color=VERMILION, label="key due, none to be had")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=9)
        ax.set_xlim(0.0, until_s)
        ax.set_xlabel("time (s)")
        ax.set_title(title)
        _age_key(drawing, run)
        return save(drawing, out, "sessions")


def sessions(run: NetworkRun) -> dict[str, list[Session]]:
    """Return every tunnel's sessions, in order of time; they end with the last slot."""
    found: dict[str, list[Session]] = {name: [] for name in run.scenario.tunnel}
    begun: dict[str, SessionBegan] = {}
    born: dict[tuple[str, str], float] = {}
    for event in run.events:
        if isinstance(event, SessionBegan):
            begun[event.tunnel] = event
            born.setdefault((event.tunnel, event.key_id), event.at_s)
        elif isinstance(event, SessionEnded) and event.tunnel in begun:
            start = begun.pop(event.tunnel)
            key_s = born[event.tunnel, start.key_id]
            begin_s, end_s = min(start.at_s, run.duration_s), min(event.at_s, run.duration_s)
            found[event.tunnel].append(Session(begin_s, end_s, key_s, start.renewed))
    return found


def look(at: int) -> tuple[str, Any]:
    """Return colour and dashes of the line of that number."""
    return COLOURS[at % len(COLOURS)], DASHES[at // len(COLOURS) % len(DASHES)]


def _slots(ax: Axes, run: NetworkRun, links: Sequence[str]) -> None:
    schedule = run.scenario.schedule or Schedule()
    served: dict[str, list[tuple[float, float]]] = {name: [] for name in links}
    for event in run.events:
        if isinstance(event, SlotBegan):
            for name in event.links:
                if name in served:
                    lost_s = event.lost_s / schedule.speed
                    served[name].append((event.at_s + lost_s, schedule.wall_slot_s - lost_s))
    for row, name in enumerate(links):
        ax.broken_barh(served[name], (row - 0.36, 0.72), color=look(row)[0], lw=0.0)
    _rows(ax, links, "slots")


def _error_rates(ax: Axes, run: NetworkRun, links: Sequence[str]) -> None:
    for at, name in enumerate(links):
        blocks = [
            (event.at_s, 100.0 * event.block.estimate.qber, event.block.rejection)
            for event in run.events
            if isinstance(event, BlockDistilled) and event.block.link == name and event.block.estimate.qber is not None
        ]
        kept = [(at_s, qber) for at_s, qber, rejection in blocks if rejection is None]
        lost = [(at_s, qber) for at_s, qber, rejection in blocks if rejection is not None]
        size = 4.0 if len(blocks) < 40 else 2.2
        ax.plot(*_columns(kept), "o", ms=size, color=look(at)[0], mew=0.0)
        ax.plot(*_columns(lost), "x", ms=5.0, mew=1.4, color=look(at)[0])
    params = run.scenario.distill
    limit = 100.0 * (threshold(params) if run.scenario.kms.mint == "provable" else params.qber_limit)
    ax.axhline(limit, color="black", lw=1.0, ls="--")
    ax.text(1.003, limit, f"limit\n{limit:.3g} %", va="center", fontsize=8.5, transform=ax.get_yaxis_transform())
    for event in run.events:
        if isinstance(event, Alarmed) and not event.over:
            ax.axvline(event.at_s, color=VERMILION, lw=0.8, alpha=0.6)
    ax.set_ylim(0.0, max(1.35 * limit, 1.15 * ax.get_ylim()[1]))
    ax.set_ylabel("QBER (%)\n× rejected")


def _levels(ax: Axes, run: NetworkRun, links: Sequence[str]) -> None:
    samples: dict[str, list[tuple[float, float]]] = {name: [(0.0, 0.0)] for name in links}
    for event in run.events:
        if isinstance(event, LevelSampled) and event.link in samples:
            samples[event.link].append((event.at_s, float(event.level_bits)))
    top = max((bits for each in samples.values() for _, bits in each), default=0.0)
    scale, unit = (1000.0, "kbit") if top >= 20_000.0 else (1.0, "bit")
    for at, name in enumerate(links):
        moments_s, bits = _columns([*samples[name], (run.duration_s, samples[name][-1][1])])
        colour, dash = look(at)
        ax.step(moments_s, bits / scale, where="post", color=colour, ls=dash, lw=1.2)
    sizes = sorted({tunnel.key_bits for tunnel in run.scenario.tunnel.values()})
    for size in sizes[:2]:
        if size > 0.02 * top:
            ax.axhline(size / scale, color="black", lw=0.9, ls="--")
            ax.text(
                1.003,
                size / scale,
                f"one key:\n{size} bit",
                va="center",
                fontsize=8.5,
                transform=ax.get_yaxis_transform(),
            )
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel(f"key in stock\n({unit})")


def _deliveries(ax: Axes, run: NetworkRun, tunnels: Sequence[str]) -> None:
    rows = {name: row for row, name in enumerate(tunnels)}
    given = [
        (event.at_s, float(rows[event.tunnel]))
        for event in run.events
        if isinstance(event, Delivered) and event.key_id and event.side == "client" and event.tunnel in rows
    ]
    refused = [(e.at_s, float(rows[e.tunnel])) for e in run.events if isinstance(e, Starved) and e.tunnel in rows]
    ax.plot(*_columns(refused), "x", ms=4.0, mew=1.0, color=VERMILION, label="key due, none to be had")
    ax.plot(*_columns(given), "o", ms=4.5, color=BLUE, mew=0.0, label="key delivered to both ends")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2, fontsize=8.5, borderpad=0.1)
    _rows(ax, tunnels, "deliveries")


def _states(ax: Axes, run: NetworkRun, tunnels: Sequence[str]) -> None:
    found, ages_s = sessions(run), _ages_s(run)
    for row, name in enumerate(tunnels):
        pieces: dict[int, list[tuple[float, float]]] = {}
        for each in found[name]:
            for place, begin_s, end_s in _by_age(each, ages_s):
                pieces.setdefault(place, []).append((begin_s, end_s - begin_s))
        for place, spans in pieces.items():
            ax.broken_barh(spans, (row - 0.36, 0.72), color=AGE_COLOURS[place], lw=0.0)
    _rows(ax, tunnels, "sessions")


def _ages_s(run: NetworkRun) -> Edges:
    """Return the edges of the ages that fit a run's tunnels."""
    short = max((tunnel.period_s for tunnel in run.scenario.tunnel.values()), default=math.inf) <= SHORT_S
    return SHORT_AGES_S if short else AGES_S


def _by_age(session: Session, ages_s: Edges = AGES_S) -> list[tuple[int, float, float]]:
    """Cut a session where its key comes of another age; return (age's place, begin, end)."""
    edges = [session.key_s + age_s for age_s in ages_s]
    pieces, at_s = [], session.begin_s
    while at_s < session.end_s:
        place = min(bisect.bisect_right(edges, at_s) - 1, len(AGE_COLOURS) - 1)
        until_s = min(session.end_s, edges[place + 1])
        pieces.append((place, at_s, until_s))
        at_s = until_s if until_s > at_s else session.end_s
    return pieces


def _age_key(drawing: Figure, run: NetworkRun) -> None:
    """Say below the panels which colour is which age."""
    handles = [Patch(color=colour) for colour in AGE_COLOURS]
    drawing.legend(
        handles,
        AGE_LABELS[_ages_s(run)],
        title="age of the key in use",
        ncols=5,
        loc="outside lower right",
        fontsize=8.5,
        title_fontsize=8.5,
    )


def mark_faults(ax: Axes, events: Iterable[object], until_s: float) -> None:
    """Shade the times of faults."""
    began: dict[str, float] = {}
    for event in events:
        if isinstance(event, FaultChanged):
            if event.active:
                began[event.fault] = event.at_s
            elif event.fault in began:
                ax.axvspan(began.pop(event.fault), event.at_s, color=VERMILION, alpha=0.10, lw=0.0, zorder=0)
    for at_s in began.values():
        ax.axvspan(at_s, until_s, color=VERMILION, alpha=0.10, lw=0.0, zorder=0)


def _rows(ax: Axes, names: Sequence[str], label: str) -> None:
    ax.set_yticks(range(len(names)), list(names), fontsize=8)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_ylabel(label)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[Any, Any]:
    data = np.array(pairs, dtype=float).reshape(-1, 2)
    return data[:, 0], data[:, 1]
