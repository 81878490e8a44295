"""``bellweave reproduce datacenter``: run the study, draw it, write its page, print its table."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bellweave.report.html import Section
    from bellweave.report.network_figures import Growth
    from bellweave.studies.datacenter import DatacenterStudy
    from bellweave.studies.scaling import Scaling

LEAD = (
    "The data-centre network of Mehic et al. (2026): four users, one entangled-photon source behind an optical switch, "
    "six links that take turns, twelve tunnels that ask for a 512-bit key every 60 s. Printed numbers, what theory "
    "expects, ours, and why they differ. Nothing is tuned to the printed ones."
)

FIGURE_SIX = (
    "Left in the paper: 100 blocks over all links, sorted by estimated error rate. Right: keys delivered over time. "
    "The paper prints no error rate for these links; ours is 6.4 %."
)

WHY = (
    "Supply limits the paper's network: 204 keys are due, and even the printed 554 bits a block make 108 at most. But "
    "they would come at an even pace from the first minute on, and 103 of them. Whatever held the keys back is not in "
    "the text. Every hypothesis below was run; none is tuned, and a number near 43 proves none of them."
)

MOMENTS = (
    "The first seed. Between 20 and 60 s a session outlives its configured 20 s and is renewed with the same key; a "
    "tunnel that finds no fresh key at 60 s goes on with the old one. Of two tunnels that share a link and ask at the "
    "same moment the same one is always first: where there is only one key, the other never gets any. Key servers that "
    "set key aside (kms.low_keys = 1, kms.high_keys = 1) serve them by turns: as many keys, and every tunnel has some."
)

SCHEDULERS = (
    "As printed, every link has the same demand and round robin is as good as any. Where only some links have tunnels, "
    "it gives most of the source's time away."
)

ON_PAGE = (
    "share of sessions",
    "sessions if each block gave the printed 554 bits,",
    "keys per tunnel and hour",
    "users that one source",
)
"""Beginnings of the rows that stand in the report and on the page, not in the terminal's table."""


def run_and_show(out: Path, *, seed: int | None, figures: bool, as_json: bool) -> None:
    """Run the study into a directory and print its table."""
    import msgspec

    from bellweave.cli.terminal import counted, print_report
    from bellweave.studies import datacenter

    with counted("reproduce datacenter", datacenter.steps(), quiet=as_json) as advance:
        study = datacenter.run(out, seed=seed, advance=advance)
    page = write_page(study, out) if figures else None
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(study.report), indent=2))
        return
    shown = tuple(row for row in study.report.rows if not row.quantity.startswith(ON_PAGE))
    title = f"{study.published.title}: means over {datacenter.SEEDS} seeds; bits per block"
    print_report(msgspec.structs.replace(study.report, rows=shown), title, heads=("quantity", "runs"))
    typer.echo(f"report: {out / 'report.json'}; events of the first seed: {out / 'run' / 'events.jsonl'}")
    if page is not None:
        typer.echo(f"page: {page}; figures (.png and .svg) beside it")


def write_page(study: "DatacenterStudy", out: Path) -> Path:
    """Draw all figures of the study and write its page; return the page's path."""
    from bellweave.report import html, network_page

    printed = (study.published.numbers["keys_delivered"], study.published.numbers["sessions"])
    moments = html.Section(
        "The run, moment by moment",
        (MOMENTS,),
        network_page.draw_run(study.runs[0], out / "run", printed)[:2],
        network_page.tables(study.summaries[0]),
    )
    flagged = [f"What does not hold, {whose}: {'; '.join(found)}." for whose, found in study.report.flags.items()]
    sections = [
        _figure_six(study, printed, out),
        _why(study, printed[1], out),
        moments,
        *_beyond(study, out),
        html.Section("All numbers", flagged, (), html.report_tables(study.report)),
    ]
    return html.write(out, html.page(study.published.title, LEAD, _facts(study), sections))


def _facts(study: "DatacenterStudy") -> dict[str, str]:
    rows = {(row.quantity, row.accounting): row for row in study.report.rows}
    shown = {}
    for label, quantity in (
        ("sifted bits a block", "sifted_bits"),
        ("final bits a block", "final_bits"),
        ("keys delivered", "keys_delivered"),
        ("sessions", "sessions"),
    ):
        row = rows[quantity, "paper"]
        shown[f"{label} (printed {row.printed or 0.0:.0f})"] = f"{row.mean or 0.0:.0f}"
    return shown | {"provable keys, at best": f"{rows['sessions', 'provable'].mean or 0.0:.1f}"}


def _figure_six(study: "DatacenterStudy", printed: tuple[float, float], out: Path) -> "Section":
    """Return the chapter on the paper's Fig. 6, ours over the printed numbers."""
    from bellweave.report import html, network_figures, network_page

    left = network_page.blocks_picture(study.runs[:1], study.published.numbers, out)
    curves = {
        "counted by hand, theory's blocks": study.expected["paper"].moments_s,
        "counted by hand, printed 554 bits a block": study.printed_moments_s,
    }
    moments_s = [network_page.session_moments_s(run) for run in study.runs]
    title = "Keys delivered to the tunnels (Fig. 6, right)"
    right = network_figures.keys_over_time(moments_s, curves, study.runs[0].duration_s, printed, title, out)
    return html.Section(
        "The paper's Fig. 6",
        (FIGURE_SIX,),
        (
            html.Picture(right[1], "Fig. 6, right: ours, what counting by hand expects, and the printed end."),
            html.Picture(left.file, "Fig. 6, left: ours (points, means) over the printed means (dashed)."),
        ),
    )


def _why(study: "DatacenterStudy", printed: float, out: Path) -> "Section":
    """Return the chapter on the hypotheses."""
    from bellweave.report import html, network_figures

    tried = [
        network_figures.Tried(
            each.hypothesis.name,
            each.horizon_s,
            each.moments_s,
            each.sessions.value,
            each.sessions.stderr or 0.0,
            each.theory,
            each.printed_theory,
        )
        for each in study.tried
    ]
    short = [each for each in tried if each.horizon_s <= study.runs[0].duration_s]
    bars = network_figures.hypotheses(short, printed, "Sessions by 1050 s under each hypothesis", out)
    shapes = network_figures.hypothesis_shapes(tried, printed, "Sessions over time under each hypothesis", out)
    rows = [(each.hypothesis.name, each.hypothesis.sentence) for each in study.tried]
    return html.Section(
        "Why 43 sessions, and why slow for 900 s?",
        (WHY,),
        (
            html.Picture(bars[1], "Sessions by the end of the paper's 1050 s."),
            html.Picture(shapes[1], "The same over time; grey: the text as it stands."),
        ),
        (html.Table("What is assumed", ("hypothesis", "assumption"), rows, folded=True),),
    )


def _beyond(study: "DatacenterStudy", out: Path) -> "tuple[Section, Section]":
    """Return the chapters on schedulers and on more users."""
    from bellweave.cli.schedulers import drawn
    from bellweave.report import html, network_figures

    grown = [_growth(each) for each in study.scalings]
    scaled = network_figures.scaling(grown, "Fresh keys per tunnel and hour with more users", out)
    enough = study.scalings[-1].enough_until("round-robin")
    users = (
        "Every user has tunnels to three others. With the paper's devices one source is not enough for four users; "
        f"with devices of today round robin serves up to {enough} users fully. A scheduler that looks at demand is not "
        "limited by the source's time there."
    )
    lines = (
        "Lines: closed forms in the long run. Points: simulated from empty pools, at most 360 slots, and in whole "
        "keys: lower, most where a link has had few blocks (round robin over the 120 links of 16 users: three)."
    )
    return (
        html.Section("Schedulers", (SCHEDULERS,), (drawn(study.compared, out),)),
        html.Section("More users", (users,), (html.Picture(scaled[1], lines),)),
    )


def _growth(scaled: "Scaling") -> "Growth":
    from bellweave.report.network_figures import Growth

    names, each = dict.fromkeys(point.scheduler for point in scaled.points), scaled.devices
    return Growth(
        title=f"{scaled.title}: {each.slot_bits:,.0f} bit in {each.slot_s:g} s, {each.key_bits}-bit keys",
        wanted=each.asked_per_hour,
        enough=scaled.enough_until("round-robin"),
        round_robin=lambda users: each.possible_per_hour(users, "round-robin"),
        by_demand=lambda users: each.possible_per_hour(users, "optimum"),
        points={
            name: [(point.users, point.keys_per_hour) for point in scaled.points if point.scheduler == name]
            for name in names
        },
    )
