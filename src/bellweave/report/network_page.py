"""The page of a network run: its numbers, its figures, a table of links and one of tunnels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bellweave.report import html, link_figures, network_figures, network_timeline
from bellweave.report.html import Picture, Section, Table, number
from bellweave.results.network_records import Alarmed, BlockDistilled, FaultChanged, SessionBegan
from bellweave.results.records import Report
from bellweave.sim.network import NetworkRun
from bellweave.sim.network.summary import NetworkSummary

MOST_ROWS = 300
"""Links or tunnels that a table lists; the first ones."""

ZOOM_PERIODS = 7.0
"""Length of the picture of sessions, in periods of the tunnels."""


def draw_run(run: NetworkRun, out: Path, printed: tuple[float, float] | None = None) -> list[Picture]:
    """Draw the figures of one run into its directory: the timeline, the sessions, keys over time.

    Args:
        run: What happened.
        out: Directory.
        printed: What a paper prints at the end: keys delivered, sessions.
    """
    drawn = timeline_pictures(run, out)
    if not run.scenario.tunnel:
        return drawn
    moments_s = session_moments_s(run)
    title = f"{run.scenario.name}: keys delivered"
    drawn.append(
        Picture(
            network_figures.keys_over_time([moments_s], {}, run.duration_s, printed, title, out)[1],
            "Keys delivered so far. A key is delivered twice: to the client by enc_keys, to the server by dec_keys.",
        )
    )
    return drawn


def timeline_pictures(run: NetworkRun, out: Path) -> list[Picture]:
    """Draw one run's timeline, and its sessions where it has tunnels."""
    name = run.scenario.name
    drawn = [
        Picture(
            network_timeline.timeline(run, f"{name}: the run", out)[1],
            "From top to bottom: which link the source serves; every block's error rate; key in stock on each link; "
            "keys that were due, delivered or not; how fresh the key of each session is: the paler, the older.",
        )
    ]
    if not run.scenario.tunnel:
        return drawn
    until_s = min(run.duration_s, zoom_s(run))
    drawn.append(
        Picture(
            network_timeline.sessions_zoom(run, f"{name}: the first {until_s:.0f} s", out, until_s)[1],
            "Every tunnel's sessions. A session that reaches its configured length is renewed with the key in use; "
            "when a fresh key is due and none is to be had, the old session stays, unless the tunnel is fail-closed.",
        )
    )
    return drawn


def zoom_s(run: NetworkRun) -> float:
    """Return how much of a run the picture of sessions shows."""
    return ZOOM_PERIODS * max(tunnel.period_s for tunnel in run.scenario.tunnel.values())


def session_moments_s(run: NetworkRun) -> list[float]:
    """Return when sessions with a fresh key began."""
    return [event.at_s for event in run.events if isinstance(event, SessionBegan) and not event.renewed]


def run_page(run: NetworkRun, summary: NetworkSummary, report: Report, out: Path) -> Path:
    """Draw a run's figures, write its page; return the page's path.

    Raises:
        ScenarioError: If it can't be written.
    """
    pictures = draw_run(run, out)
    pictures.append(blocks_picture([run], {}, out))
    sections = (
        Section("What happened", (), pictures),
        Section("Numbers", findings(run, summary), (), html.report_tables(report)),
        Section("Links and tunnels", (), (), tables(summary)),
    )
    text = html.page(run.scenario.name, run.scenario.description, facts(run, summary), sections)
    return html.write(out, text)


def blocks_picture(runs: Sequence[NetworkRun], printed: dict[str, float], out: Path) -> Picture:
    """Draw all blocks of some runs, sorted by their error rate (the paper's Fig. 6, left)."""
    blocks = [event.block for run in runs for event in run.events if isinstance(event, BlockDistilled)]
    drawn = link_figures.block_panels(blocks, f"{runs[0].scenario.name}: all links", printed, out, "blocks-by-qber")
    return Picture(drawn[1], "Every block of all links, sorted by its estimated error rate.")


def facts(run: NetworkRun, summary: NetworkSummary) -> dict[str, str]:
    """Return what stands at the top of a run's page."""
    totals = summary.minted
    shown = {
        "virtual time": f"{summary.duration_s:,.0f} s",
        "blocks": f"{totals.blocks:,}",
        "key": f"{number(totals.final_bits / 1000.0)} kbit",
        "provable": f"{number(summary.provable.final_bits / 1000.0)} kbit",
    }
    if run.scenario.tunnel:
        shown |= {
            "keys delivered": f"{totals.keys_delivered:,}",
            "fresh sessions": f"{totals.sessions:,}",
            "first key": "none" if totals.first_key_s is None else f"{number(round(totals.first_key_s, 1))} s",
        }
    return shown | {"mint": run.scenario.kms.mint, "seed": str(run.manifest.seed)}


def tables(summary: NetworkSummary) -> list[Table]:
    """Return the tables of links and of tunnels."""
    links = [
        (
            link.link,
            str(link.slots),
            number(link.wait_max_s),
            str(link.blocks),
            str(link.rejected),
            "-" if link.qber is None else f"{100.0 * link.qber:.2f}",
            number(link.ledger.final),
            number(link.accumulated_bits),
            str(link.keys),
            number(link.level_bits),
            str(link.alarms),
        )
        for link in summary.links.values()
    ]
    tunnels = [
        (
            each.tunnel,
            f"{each.client} → {each.server}",
            str(each.sessions),
            str(each.refused),
            str(each.renewals),
            number(None if each.first_session_s is None else round(each.first_session_s, 1)),
            number(None if each.age_mean_s is None else round(each.age_mean_s)),
            number(None if each.age_max_s is None else round(each.age_max_s)),
            number(round(each.down_s)),
            number(round(each.old_s)),
            f"{each.provable_bits} of {each.key_bits}",
        )
        for each in summary.tunnels.values()
    ]
    return [
        Table(
            "Links",
            ("link", "slots", "longest wait (s)", "blocks", "rejected", "QBER (%)", "key (bit)",
             "provable as one (bit)", "keys", "in stock (bit)", "alarms"),
            links[:MOST_ROWS],
        ),
        Table(
            "Tunnels",
            ("tunnel", "client → server", "fresh keys", "refused", "renewals", "first session (s)", "mean key age (s)",
             "oldest key (s)", "without session (s)", "with too old a key (s)", "provable bits"),
            tunnels[:MOST_ROWS],
        ),
    ]  # fmt: skip


def findings(run: NetworkRun, summary: NetworkSummary) -> list[str]:
    """Return sentences on what a reader must not miss."""
    found = []
    if summary.minted.accounting != "provable":
        bits, proven = number(summary.minted.final_bits), number(summary.provable.final_bits)
        found.append(
            f"Keys were minted by the accounting “{summary.minted.accounting}”, which proves nothing: they are {bits} "
            f"bits; the same blocks would prove {proven} bits if every link's were distilled as one."
        )
    alarms = [event for event in run.events if isinstance(event, Alarmed) and not event.over]
    if alarms:
        by_link = Counter(event.link for event in alarms)
        found.append("Alarms: " + ", ".join(f"{link} {count}" for link, count in by_link.items()) + ".")
    faults = [event for event in run.events if isinstance(event, FaultChanged) and event.active]
    found += [f"Fault {event.fault} from {event.at_s:.0f} s on (shaded)." for event in faults]
    never = [each.tunnel for each in summary.tunnels.values() if each.sessions == 0]
    if never:
        found.append(f"{len(never)} of {len(summary.tunnels)} tunnels never had a key: {', '.join(never[:20])}.")
    return found
