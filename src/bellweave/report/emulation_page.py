"""The page of an emulated run: that of a network run, with the simulation of the same network beside it."""

from collections.abc import Sequence
from pathlib import Path

from bellweave.report import emulation_figures, html, network_page
from bellweave.report.html import Picture, Section, Table, number
from bellweave.results.emulated import Beside, Both, quantile
from bellweave.results.records import Report
from bellweave.roles.run import NetworkRun
from bellweave.sim.network.summary import summarise

MILLI = 1000.0

NAMES = {
    "blocks": "blocks",
    "sifted_bits": "sifted bits",
    "final_bits_in_total": "key bits",
    "rejected_blocks": "rejected blocks",
    "alarms": "alarms",
    "keys_delivered": "keys delivered (both ends)",
    "sessions": "sessions with a fresh key",
    "first_key_s": "first key (s)",
    "refused": "keys due and not to be had",
    "renewals": "sessions renewed with the old key",
    "tunnels_without_key": "tunnels that never had a key",
    "key_age_max_s": "oldest key in use (s)",
    "without_session_s": "time without session, all tunnels (s)",
}


def run_page(
    run: NetworkRun, simulation: NetworkRun | None, beside: Beside, words: Sequence[str], report: Report, out: Path
) -> Path:
    """Draw an emulated run's figures, write its page; return the page's path.

    Args:
        run: The emulated run.
        simulation: The simulation of the same network; None: there is none.
        beside: Both, compared.
        words: What the comparison says, a paragraph each.
        report: The run's table.
        out: Directory.

    Raises:
        ScenarioError: If it can't be written.
    """
    summary = summarise(run)
    pictures = network_page.timeline_pictures(run, out)
    pictures.append(network_page.blocks_picture([run], {}, out))
    sections = (
        Section(
            "Emulated and simulated" if simulation else "What was measured",
            words,
            _pictures(run, simulation, beside, out),
            tables(beside),
        ),
        Section("What happened", network_page.findings(run, summary), pictures),
        Section("Numbers", (), (), html.report_tables(report)),
        Section("Links and tunnels", (), (), [*network_page.tables(summary), *_problems(beside)]),
    )
    facts = network_page.facts(run, summary)
    facts = {"time": facts.pop("virtual time")} | facts
    if beside.channel:
        facts |= {"channel": beside.channel.split(" (", maxsplit=1)[0]}
    if beside.refreshes_s:
        facts |= {"refresh, median": f"{_ms(quantile(beside.refreshes_s, 0.5))} ms"}
        sent, lost = sum(each.sent for each in beside.tunnels), sum(each.lost for each in beside.tunnels)
        facts |= {"probes lost": f"{lost:,} of {sent:,}"} if sent else {}
    if simulation is not None:
        facts |= {"equal blocks": f"{beside.equal:,} of {beside.compared:,}"}
    text = html.page(f"{run.scenario.name}, emulated", run.scenario.description, facts, sections)
    return html.write(out, text)


def tables(beside: Beside) -> list[Table]:
    """Return the tables of the comparison: totals, links, tunnels, refreshes."""
    links = [
        (
            link.link,
            *_both(link.blocks),
            str(link.equal),
            str(len(link.unequal)),
            str(len(link.only_simulated)),
            *_both(link.sifted_bits),
            *_both(link.key_bits),
        )
        for link in beside.links
    ]
    tunnels = [
        (
            each.tunnel,
            "psk, authentication only" if each.mode == "psk" else each.mode,
            *_both(each.sessions),
            *_both(each.first_session_s, 1),
            *_both(each.refused),
            _ms(quantile(each.refreshes_s, 0.5)),
            f"{each.lost}/{each.sent}",
            _ms(each.longest_gap_s if each.sent else None),
        )
        for each in beside.tunnels
    ]
    steps = {"whole refresh": beside.refreshes_s, **{STEPS[name]: list(each) for name, each in beside.steps_s.items()}}
    latencies = [
        (name, str(len(values)), *(_ms(quantile(values, share)) for share in (0.5, 0.9, 0.99, 1.0)))
        for name, values in steps.items()
        if values
    ]
    return [
        Table(
            "Both runs",
            ("quantity", "emulated", "simulated"),
            [(NAMES[name], *_both(both, 2)) for name, both in beside.totals.items()],
        ),
        Table(
            "Links, emulated | simulated",
            ("link", "blocks", "| sim.", "equal", "unequal", "missing", "sifted (bit)", "| sim.", "key (bit)",
             "| sim."),
            links[: network_page.MOST_ROWS],
        ),
        Table(
            "Tunnels, emulated | simulated",
            ("tunnel", "mode", "keys", "| sim.", "first (s)", "| sim.", "refused", "| sim.", "refresh (ms)",
             "lost/sent", "gap (ms)"),
            tunnels[: network_page.MOST_ROWS],
        ),
        Table("A refresh, only emulated (ms)", ("step", "n", "p50", "p90", "p99", "longest"), latencies),
    ]  # fmt: skip


STEPS = {
    "enc_keys": "enc_keys, to the answer",
    "peer": "telling the peer, its dec_keys and loading",
    "switch": "switching, the old session retired",
}


def _pictures(run: NetworkRun, simulation: NetworkRun | None, beside: Beside, out: Path) -> list[Picture]:
    name = run.scenario.name
    drawn = [
        Picture(
            emulation_figures.over_time(run, simulation, f"{name}: key, and fresh keys in use", out)[1],
            "Above: key bits that both ends of a link distilled, all links; below: sessions with a fresh key. The "
            "emulation follows the simulation as long as the machine keeps up with the photons.",
        )
    ]
    if not beside.tunnels:
        return drawn
    if simulation is not None:
        drawn.append(
            Picture(
                emulation_figures.tunnels_beside(run, simulation, f"{name}: tunnels, both runs", out)[1],
                "Every tunnel's sessions, simulated above, emulated below. Dots: a fresh key comes into use. Crosses: "
                "a key was due and could not be had.",
            )
        )
    if beside.refreshes_s:
        drawn.append(
            Picture(
                emulation_figures.refreshes(beside, f"{name}: refreshes", out)[1],
                "How long a refresh of the emulated run took: all of it, and its steps. Left: how many took so long; "
                "right: the share that took no longer.",
            )
        )
    if any(each.sent for each in beside.tunnels):
        drawn.append(
            Picture(
                emulation_figures.probes(run, f"{name}: probes", out)[1],
                "Probes through each tunnel: lost ones in each second, and the longest time between two echoes.",
            )
        )
    return drawn


def _problems(beside: Beside) -> list[Table]:
    rows = [tuple(text.split(" s: ", 1)) for text in beside.problems[: network_page.MOST_ROWS]]
    return [Table("What processes went through", ("time (s)", "what"), rows)]


def _both(both: Both, digits: int = 0) -> tuple[str, str]:
    """Return both runs' numbers as text."""
    return (_short(both.emulated, digits), _short(both.simulated, digits))


def _short(value: float | None, digits: int) -> str:
    return number(None if value is None else round(value, digits))


def _ms(value_s: float | None) -> str:
    """Return a time in milliseconds."""
    return "-" if value_s is None else f"{MILLI * value_s:.0f}" if value_s >= 0.01 else f"{MILLI * value_s:.2g}"
