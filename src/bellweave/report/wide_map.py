"""A map of a wide-area network: who stands where, and how busy every hop was.

Nodes with ``x_km`` and ``y_km`` stand there. One without stands beside neighbours that have a place, away from the
middle of the network. Where nobody has a place, networkx finds one; its seed is fixed.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke

from bellweave.network.wide.params import Repeater
from bellweave.report.style import BLUE, GREY, ORANGE, VERMILION, figure, save
from bellweave.report.wide_figures import stretches
from bellweave.results.wide_records import LanesEnded, LanesSet
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import assembled
from bellweave.sim.wide.run import WideRun

Places = dict[str, tuple[float, float]]

MOST_NAMES = 60
"""Nodes whose names are written."""

MOST_SPRINGS = 100
"""Nodes that are laid out by the distances between all of them; more by springs, which is faster."""

MOST_WIDTH = 5
"""Demands over one hop from which on its line gets no wider."""

HALO = (withStroke(linewidth=2.5, foreground="white"),)

FAN_RAD = math.radians(38.0)
"""Between two neighbours of one node, where only the direction is free."""


def load(run: WideRun) -> dict[frozenset[str], float]:
    """Return of each pair of neighbours the share of its memory units that lanes held, on average over the run."""
    net = assembled(run.scenario)
    units: dict[frozenset[str], int] = {}
    for (one, other), count in zip(net.topology.ends, net.topology.units, strict=True):
        ends = frozenset((net.topology.names[one], net.topology.names[other]))
        units[ends] = units.get(ends, 0) + int(count)
    held = dict.fromkeys(units, 0.0)
    begun: dict[str, LanesSet] = {}
    for event in run.events:
        if isinstance(event, LanesSet | LanesEnded):
            _add(held, begun.pop(event.demand, None), min(event.at_s, run.duration_s))
        if isinstance(event, LanesSet):
            begun[event.demand] = event
    for last in begun.values():
        _add(held, last, run.duration_s)
    return {ends: unit_s / (units[ends] * run.duration_s) for ends, unit_s in held.items()}


def demands_on(run: WideRun) -> Counter[frozenset[str]]:
    """Return how many demands ever used each pair of neighbours."""
    found = {
        (event.demand, frozenset(ends))
        for event in run.events
        if isinstance(event, LanesSet)
        for nodes in event.nodes
        for ends in pairwise(nodes)
    }
    return Counter(ends for _, ends in found)


def places(scenario: Scenario) -> Places:
    """Return where every node is drawn, km where the scenario has places."""
    topology = assembled(scenario).topology
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(topology.names)
    for (one, other), km in zip(topology.ends, topology.length_km, strict=True):
        graph.add_edge(topology.names[one], topology.names[other], km=float(km))
    repeaters: Mapping[str, Repeater] = scenario.repeater | {
        name: each.repeater for name, each in scenario.master.items()
    }
    found = {
        name: (each.x_km, each.y_km)
        for name, each in repeaters.items()
        if each.x_km is not None and each.y_km is not None
    }
    if not found:
        return _laid_out(graph)
    while missing := [name for name in graph if name not in found and any(n in found for n in graph[name])]:
        _put(graph, missing, found)
    for name in (name for name in graph if name not in found):  # a part of the network that has no places at all
        found[name] = min(x for x, _ in found.values()), min(y for _, y in found.values()) - 10.0
    return found


def draw(run: WideRun, title: str, out: Path) -> list[Path]:
    """Draw the map: hops by the share of their memory units in use, the wider the more demands ran over them."""
    where, busy, carried = places(run.scenario), load(run), demands_on(run)
    used = stretches(run.events, run.duration_s)
    span_x, span_y = (np.ptp([at[axis] for at in where.values()]) for axis in (0, 1))
    height = float(np.clip(8.5 * (span_y + 1e-9) / (span_x + 1e-9), 3.2, 6.5))
    with figure(10.0, height + 0.9) as drawing:
        ax = drawing.subplots()
        edges = sorted(busy, key=lambda ends: (busy[ends], sorted(ends)))
        lines = LineCollection(
            [[where[name] for name in sorted(ends)] for ends in edges],
            array=[100.0 * busy[ends] for ends in edges],
            cmap=mpl.colormaps["YlGnBu"].resampled(256),
            clim=(-15.0, 100.0),
            linewidths=[1.0 + 1.6 * min(MOST_WIDTH, carried.get(ends, 0)) for ends in edges],
            zorder=1,
        )
        ax.add_collection(lines)
        bar = drawing.colorbar(lines, ax=ax, fraction=0.03, pad=0.02, boundaries=np.linspace(0.0, 100.0, 101))
        bar.set_ticks([0, 25, 50, 75, 100])
        bar.set_label("memory units that lanes held (%)\nwide line: many demands")
        for label, names, marker, colour in (
            ("repeater", tuple(run.scenario.repeater), "o", GREY),
            ("master", tuple(run.scenario.master), "s", ORANGE),
            ("slave", tuple(run.scenario.slave), "o", BLUE),
        ):
            if names:
                x, y = zip(*(where[name] for name in names), strict=True)
                ax.plot(x, y, marker, ms=7.5 if label != "slave" else 6.0, color=colour, mec="white", label=label)
        if len(where) <= MOST_NAMES:
            for name, (x_km, y_km) in where.items():
                ax.annotate(
                    name,
                    (x_km, y_km),
                    (0.0, 6.0),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    path_effects=HALO,
                )
        lost = sorted({each.lost for each in run.events if isinstance(each, LanesEnded) and each.lost in where})
        if lost:
            x, y = zip(*(where[name] for name in lost), strict=True)
            ax.plot(x, y, "x", ms=15, mew=2.0, color=VERMILION, label="failed while in use")
        handles, labels = ax.get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8.5, markerscale=0.8)
        _frame(ax, km=any(each.x_km is not None for each in run.scenario.repeater.values()))
        changed = sum(len({each.paths for each in own}) > 1 for own in used.values())
        ax.set_title(title + (f"; {changed} demands changed their path" if changed else ""))
        return save(drawing, out, "map")


def _add(held: dict[frozenset[str], float], lanes: LanesSet | None, until_s: float) -> None:
    """Add the unit seconds of lanes that were in use until now."""
    if lanes is None:
        return
    for nodes, units in zip(lanes.nodes, lanes.units, strict=True):
        for one, other, count in zip(nodes, nodes[1:], units, strict=False):
            held[frozenset((one, other))] += count * max(0.0, until_s - lanes.at_s)


def _laid_out(graph: "nx.Graph[str]") -> Places:
    """Return places that only say who is whose neighbour."""
    found = nx.kamada_kawai_layout(graph) if len(graph) <= MOST_SPRINGS else nx.spring_layout(graph, seed=1)
    return {name: (float(x), float(y)) for name, (x, y) in found.items()}


def _put(graph: "nx.Graph[str]", missing: Sequence[str], found: Places) -> None:
    """Give places to nodes that have neighbours with one: away from the middle, siblings fanned out."""
    known = dict(found)
    middle = np.mean(list(known.values()), axis=0)
    typical_km = float(np.ptp(list(known.values()), axis=0).max()) / math.sqrt(len(known) + 1) or 10.0
    families: dict[tuple[str, ...], list[str]] = {}
    for name in missing:
        families.setdefault(tuple(sorted(each for each in graph[name] if each in known)), []).append(name)
    for parents, children in families.items():
        base = np.mean([known[each] for each in parents], axis=0)
        away = base - middle
        angle = math.atan2(away[1], away[0]) if np.hypot(*away) > 0.0 else 0.5 * math.pi
        for number, child in enumerate(children):
            km = max(min(graph.edges[each, child]["km"] for each in parents), 0.5 * typical_km)
            turned = angle + FAN_RAD * (number - (len(children) - 1) / 2.0)
            found[child] = (float(base[0] + km * math.cos(turned)), float(base[1] + km * math.sin(turned)))


def _frame(ax: Axes, *, km: bool) -> None:
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.08)
    ax.grid(visible=km)
    if km:
        ax.set_xlabel("x (km)")
        ax.set_ylabel("y (km)")
    else:
        ax.set_axis_off()
