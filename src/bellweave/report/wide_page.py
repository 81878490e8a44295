"""The page of a wide-area run: its numbers, its figures, tables of demands and of tunnels."""

from collections.abc import Sequence
from pathlib import Path

from bellweave.plan.wide import plan_wide
from bellweave.plan.wide_records import WidePlan
from bellweave.report import html, wide_figures, wide_map
from bellweave.report.html import Picture, Section, Table, number
from bellweave.results.network_records import FaultChanged
from bellweave.results.records import Report
from bellweave.sim.wide.run import WideRun
from bellweave.sim.wide.summary import DemandSummary, WideSummary

MOST_ROWS = 300
"""Demands or tunnels that a table lists; the first ones."""


def run_page(run: WideRun, summary: WideSummary, report: Report, out: Path) -> Path:
    """Draw a run's figures, write its page; return the page's path.

    Raises:
        ScenarioError: If it can't be written.
    """
    plan = plan_wide(run.scenario)
    sections = (
        Section("What happened", _findings(run, summary, plan), draw_run(run, summary, plan, out)),
        Section("Demands and tunnels", (), (), tables(summary)),
        Section("Numbers", (), (), html.report_tables(report)),
    )
    lead = " ".join(run.scenario.description.split())
    return html.write(out, html.page(run.scenario.name, lead, facts(run, summary), sections))


def draw_run(run: WideRun, summary: WideSummary, plan: WidePlan, out: Path) -> list[Picture]:
    """Draw the figures of one run into its directory."""
    name = run.scenario.name
    drawn = [
        Picture(
            wide_figures.timeline(run, f"{name}: the run", out)[1],
            "From top to bottom: end-to-end pairs; the path that each demand used, paler where it was not its first; "
            "key made so far; key in stock. Dotted: a demand goes on over another path. Shaded: a fault.",
        ),
        Picture(
            wide_map.draw(run, f"{name}: the network", out)[1],
            "The network. Colour: the memory units of a hop that lanes held, on average over the run; width: how many "
            "demands ever ran over it. Nodes without coordinates stand beside their neighbours.",
        ),
        Picture(
            wide_figures.served(summary, plan, f"{name}: rates and what bounds them", out)[1],
            "Pairs over the time in which lanes ran, and key over the whole demand, beside what theory allows when "
            "nothing fails. The linear program lets pairs find partners at once and for free, so both of its values "
            "are upper bounds.",
        ),
    ]
    quality = wide_figures.quality(run, plan, f"{name}: error rates", out)
    if quality:
        drawn.append(
            Picture(
                quality[1],
                "Error rate and CHSH value of every block, as estimated at its two ends; a cross gave no key. Dashed: "
                "theory on the first path, if pairs are stored no longer than it takes to measure them.",
            )
        )
    return drawn


def facts(run: WideRun, summary: WideSummary) -> dict[str, str]:
    """Return what stands at the top of a run's page."""
    demands = summary.demands.values()
    firsts_s = [each.first_key_s for each in demands if each.first_key_s is not None]
    return {
        "virtual time": f"{summary.duration_s:,g} s",
        "demands": f"{len(summary.demands):,}",
        "pairs end to end": f"{summary.pairs.get('measured', 0):,}",
        "key": f"{number(sum(each.bits for each in demands) / 1000.0)} kbit",
        "first key": f"{min(firsts_s):.3g} s" if firsts_s else "none",
        "keys to hosts": f"{sum(each.keys for each in demands):,}",
        "lanes lost": str(sum(each.losses for each in demands)),
        "seed": str(run.manifest.seed),
    }


def tables(summary: WideSummary) -> list[Table]:
    """Return the tables of demands and of tunnels."""
    tunnels = [
        (
            each.tunnel,
            f"{each.client} → {each.server}",
            str(each.sessions),
            str(each.refused),
            number(None if each.first_session_s is None else round(each.first_session_s, 3)),
        )
        for each in summary.tunnels.values()
    ]
    return [
        Table(
            "Demands",
            ("demand", "first path", "served (s)", "lanes lost", "pairs/s", "key (bit/s)", "first key (s)", "QBER (%)",
             "CHSH", "keys to hosts", "in stock (bit)"),
            [_row(each) for each in summary.demands.values()][:MOST_ROWS],
        ),
        Table("Tunnels", ("tunnel", "client → server", "fresh keys", "refused", "first session (s)"),
              tunnels[:MOST_ROWS]),
    ]  # fmt: skip


def _row(own: DemandSummary) -> tuple[str, ...]:
    return (
        own.demand,
        " ".join(own.path) or "-",
        number(round(own.served_s, 2)),
        str(own.losses),
        number(own.pairs_per_s),
        number(own.bits_per_s),
        number(None if own.first_key_s is None else round(own.first_key_s, 3)),
        "-" if own.qber is None else f"{100.0 * own.qber:.2f}",
        number(own.chsh),
        str(own.keys),
        number(own.level_bits),
    )


def _findings(run: WideRun, summary: WideSummary, plan: WidePlan) -> list[str]:
    """Return sentences on what a reader must not miss."""
    meaning = "one end-to-end pair is one key bit" if plan.mode == "paper" else "key is distilled from measured pairs"
    found = [
        f"Mode “{plan.mode}”: {meaning}. Swaps: {plan.swap_order}; paths by “{plan.router}”; shares: {plan.fairness}."
    ]
    faults = [event for event in run.events if isinstance(event, FaultChanged) and event.active]
    found += [f"Fault {event.fault} from {event.at_s:g} s on (shaded)." for event in faults]
    never = [each.demand for each in summary.demands.values() if not each.bits]
    if never:
        found.append(f"{len(never)} of {len(summary.demands)} demands never had key: {_some(never)}.")
    without = [each.tunnel for each in summary.tunnels.values() if each.sessions == 0]
    if without:
        found.append(f"{len(without)} of {len(summary.tunnels)} tunnels never had a fresh key: {_some(without)}.")
    return [*found, *(f"Plan: {warning}." for warning in plan.warnings)]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20])
