"""The report of the data-centre study: printed, expected, ours; by accounting, and hypothesis by hypothesis."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bellweave.results.network_records import Delivered
from bellweave.results.records import Row
from bellweave.results.summary import mean
from bellweave.sim.network import NetworkRun
from bellweave.sim.network.summary import NetworkSummary, Totals
from bellweave.studies import datacenter_counting as counting
from bellweave.studies.datacenter_hypotheses import SLOW_S, Found
from bellweave.studies.published import Published

QUANTITIES: tuple[tuple[str, str], ...] = (
    ("blocks", ""),
    ("sifted_bits", "bit"),
    ("disclosed_bits", "bit"),
    ("final_bits", "bit"),
    ("keys_delivered", ""),
    ("sessions", ""),
    ("first_key_s", "s"),
)
"""What stands in the report for every accounting, and its unit."""

Run = tuple[NetworkRun, NetworkSummary]


@dataclass(frozen=True)
class Expected:
    """What theory expects of the whole run under one accounting.

    Attributes:
        block: Means per block, by quantity.
        keys: Keys that begin a session.
        moments_s: When; unknown for keys that are only counted at the end.
        first_key_s: When the first key can be had.
    """

    block: Mapping[str, float]
    keys: int
    moments_s: tuple[float, ...]
    first_key_s: float | None


def rows(published: Published, runs: Sequence[Run], expected: Mapping[str, Expected]) -> tuple[Row, ...]:
    """Return the rows of every accounting, then what became of the tunnels; means and deviations are over runs."""
    table = []
    for accounting in ("paper", "provable", "as-printed"):
        values = [_values(run, accounting) for run in runs]
        for quantity, unit in QUANTITIES:
            found = mean(each for value in values if (each := value[quantity]) is not None)
            table.append(
                Row(
                    quantity=quantity,
                    unit=unit,
                    accounting=accounting,
                    printed=published.numbers.get(quantity) if accounting != "provable" else None,
                    theory=_theory(expected[accounting], quantity),
                    mean=found.value if found else None,
                    stderr=found.stderr if found else None,
                    n=found.n if found else 0,
                    note=published.note(quantity, accounting),
                )
            )
    return tuple(table) + _of_tunnels([summary for _, summary in runs])


def of_hypotheses(published: Published, tried: Sequence[Found], printed_sessions: int) -> tuple[Row, ...]:
    """Return a row for what the printed block length would give, and some for each hypothesis."""
    printed = published.numbers["sessions"]
    table = [
        Row(
            quantity="sessions if each block gave the printed 554 bits",
            unit="",
            printed=printed,
            theory=float(printed_sessions),
            note="counted by hand, round robin, aligned timers; 5 keys are out at 60 s, 28 at 300 s",
        )
    ]
    for found in tried:
        name = found.hypothesis.name
        theirs = printed if found.horizon_s <= SLOW_S + 150.0 else None  # printed for 1050 s
        table.append(
            Row(
                quantity=f"sessions, {name}",
                unit="",
                accounting="paper",
                printed=theirs,
                theory=float(found.theory),
                mean=found.sessions.value,
                stderr=found.sessions.stderr,
                n=found.sessions.n,
                note=found.hypothesis.sentence,
            )
        )
        table.append(
            Row(
                quantity=f"sessions if each block gave the printed 554 bits, {name}",
                unit="",
                accounting="as-printed",
                printed=theirs,
                theory=float(found.printed_theory),
                note="counted by hand; no such key was minted",
            )
        )
        table.append(
            Row(
                quantity=f"share of sessions in 900-1050 s, {name}",
                unit="",
                accounting="paper",
                mean=found.late_share,
                n=found.sessions.n,
                note="three rounds of requests of seventeen: 0.18 if delivery is linear; not printed",
            )
        )
    return tuple(table)


def _values(run: Run, accounting: str) -> dict[str, float | None]:
    """Return a run's values under one accounting; bits are means per block."""
    events, summary = run[0].events, run[1]
    totals = {"paper": summary.minted, "provable": summary.provable}.get(accounting) or summary.as_printed
    if totals is None:
        return dict.fromkeys((name for name, _ in QUANTITIES), None)
    values = _of_totals(totals)
    if accounting == "as-printed":
        served = counting.count(run[0].scenario, counting.measured(events, accounting), run[0].duration_s)
        values |= {"sessions": float(len(served)), "keys_delivered": 2.0 * len(served)}
        values["first_key_s"] = served[0].at_s if served else None
    elif accounting == "paper":
        values["first_key_s"] = next((e.at_s for e in events if isinstance(e, Delivered) and e.key_id), None)
    return values


def _of_totals(totals: Totals) -> dict[str, float | None]:
    blocks = max(1, totals.blocks)
    return {
        "blocks": float(totals.blocks),
        "sifted_bits": totals.sifted_bits / blocks,
        "disclosed_bits": totals.disclosed_bits / blocks,
        "final_bits": totals.final_bits / blocks,
        "keys_delivered": float(totals.keys_delivered),
        "sessions": float(totals.sessions),
        "first_key_s": totals.first_key_s,
    }


def _theory(expected: Expected, quantity: str) -> float | None:
    match quantity:
        case "blocks":
            return None
        case "sessions" | "keys_delivered":
            return float(expected.keys * (2 if quantity == "keys_delivered" else 1))
        case "first_key_s":
            return expected.first_key_s
    return expected.block.get(quantity)


def _of_tunnels(summaries: Sequence[NetworkSummary]) -> tuple[Row, ...]:
    """Return rows about refusals, renewals and the age of keys."""
    quantities: tuple[tuple[str, str, Callable[[NetworkSummary], float], str], ...] = (
        (
            "refused",
            "",
            lambda each: sum(tunnel.refused for tunnel in each.tunnels.values()),
            "how often a fresh key was due and could not be had, of 204 times",
        ),
        (
            "renewals",
            "",
            lambda each: sum(tunnel.renewals for tunnel in each.tunnels.values()),
            "with the key in use, every 20 s: from 20 to 60 s, and until a fresh key comes, the old one goes on",
        ),
        (
            "key_age_max_s",
            "s",
            lambda each: max(tunnel.age_max_s or 0.0 for tunnel in each.tunnels.values()),
            "oldest key in use",
        ),
        (
            "tunnels_without_key",
            "",
            lambda each: sum(tunnel.sessions == 0 for tunnel in each.tunnels.values()),
            "of twelve: two tunnels of a link ask at the same moment, and where there is one key the same one gets it",
        ),
        ("fairness_keys", "", lambda each: each.fairness_keys, "Jain's index over the tunnels' sessions"),
        ("utilisation", "", lambda each: each.utilisation, "share of the source's time that served a link"),
    )
    table = []
    for quantity, unit, value, note in quantities:
        found = mean(value(each) for each in summaries)
        if found is not None:
            table.append(Row(quantity=quantity, unit=unit, mean=found.value, stderr=found.stderr, n=found.n, note=note))
    return tuple(table)
