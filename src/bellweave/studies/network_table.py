"""The report of a network run: what came out, what theory expects of a block, under the three accountings."""

from collections.abc import Sequence

import msgspec

from bellweave.plan import expected_block
from bellweave.results.network_records import BlockDistilled
from bellweave.results.records import BlockRecord, Report, Row
from bellweave.results.summary import Mean, mean
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun
from bellweave.sim.network.summary import NetworkSummary, Totals

MOST_LINKS = 60
"""Links whose theory is worked out; in a larger network they are alike."""


def report(run: NetworkRun, summary: NetworkSummary) -> Report:
    """Return a run's report; bits are means per block over all links, keys and sessions are of the whole run."""
    blocks = [event.block for event in run.events if isinstance(event, BlockDistilled)]
    table = _rows(run.scenario, blocks, summary.minted)
    if summary.provable is not summary.minted:
        table += _rows(run.scenario, blocks, summary.provable)
    if summary.as_printed is not None:
        table += _rows(run.scenario, blocks, summary.as_printed)
    return Report(study=run.scenario.name, rows=(*table, *_network_rows(summary)))


def _rows(scenario: Scenario, blocks: Sequence[BlockRecord], totals: Totals) -> list[Row]:
    accounting, count = totals.accounting, totals.blocks
    theory = _expected(scenario, accounting)
    minted = accounting == scenario.kms.mint
    final = _of(mean(float(block.ledger.final) for block in blocks)) if minted else _whole(totals.final_bits, count)
    note = _note(accounting, minted=minted)
    bits = {
        "sifted_bits": _of(mean(float(block.ledger.sifted) for block in blocks)),
        "disclosed_bits": _of(mean(float(block.ledger.disclosed) for block in blocks)),
        "final_bits": final,
    }
    table = [Row(quantity="blocks", unit="", accounting=accounting, mean=float(count), n=1, note=note)]
    for quantity, (value, stderr) in bits.items():
        table.append(
            Row(
                quantity=quantity,
                unit="bit",
                accounting=accounting,
                theory=theory.get(quantity),
                mean=value,
                stderr=stderr,
                n=count,
                note=f"mean per block; {note}",
            )
        )
    whole: tuple[tuple[str, str, float | None], ...] = (
        ("final_bits_in_total", "bit", float(totals.final_bits)),
        ("keys_delivered", "", float(totals.keys_delivered)),
        ("sessions", "", float(totals.sessions)),
        ("first_key_s", "s", totals.first_key_s),
    )
    if accounting == "as-printed":  # never minted: it has no keys
        whole = whole[:1]
    return table + [
        Row(quantity=quantity, unit=unit, accounting=accounting, mean=value, n=1, note=note)
        for quantity, unit, value in whole
    ]


def _expected(scenario: Scenario, accounting: str) -> dict[str, float]:
    """Return the means per block that theory expects of whole slots; links count alike, the first ones of many."""
    if accounting != scenario.kms.mint:
        return {}
    schedule, switch = scenario.schedule, scenario.switch
    lost_s = switch.reconfiguration_s + switch.synchronisation_s if switch else 0.0
    if schedule is not None:
        links = {
            name: msgspec.structs.replace(link, block_s=schedule.slot_s - lost_s)
            for name, link in scenario.link.items()
        }
        scenario = msgspec.structs.replace(scenario, link=links)
    blocks = [expected_block(scenario, name).quantities for name in list(scenario.link)[:MOST_LINKS]]
    return {
        quantity: sum(each[quantity] for each in blocks) / len(blocks)
        for quantity in ("sifted_bits", "disclosed_bits", "final_bits")
    }


def _network_rows(summary: NetworkSummary) -> list[Row]:
    tunnels = summary.tunnels.values()
    quantities: tuple[tuple[str, str, float | None, str], ...] = (
        ("refused", "", float(sum(each.refused for each in tunnels)), "a fresh key was due and could not be had"),
        ("renewals", "", float(sum(each.renewals for each in tunnels)), "sessions renewed with the key in use"),
        ("tunnels_without_key", "", float(sum(each.sessions == 0 for each in tunnels)), f"of {len(summary.tunnels)}"),
        ("key_age_max_s", "s", max((each.age_max_s or 0.0 for each in tunnels), default=None), "oldest key in use"),
        ("fairness_keys", "", summary.fairness_keys, "Jain's index over the tunnels' sessions"),
        ("fairness_bits", "", summary.fairness_bits, "Jain's index over the links' key"),
        ("utilisation", "", summary.utilisation, "share of the sources' time that served a link"),
        ("lost_share", "", summary.lost_share, "share of the sources' time that switching and synchronisation took"),
        ("wait_mean_s", "s", summary.wait_mean_s, "of a link until its next slot"),
        ("wait_max_s", "s", summary.wait_max_s, "of a link until its next slot"),
        ("alarms", "", float(sum(each.alarms for each in summary.links.values())), ""),
        ("rejected_blocks", "", float(sum(each.rejected for each in summary.links.values())), ""),
        (
            "lost_blocks",
            "",
            float(sum(each.lost for each in summary.links.values())),
            "given up before they were distilled: a node failed, or the run ended",
        ),
    )
    if not summary.tunnels:
        quantities = quantities[5:]
    return [Row(quantity=name, unit=unit, mean=value, n=1, note=note) for name, unit, value, note in quantities]


def _note(accounting: str, *, minted: bool) -> str:
    if minted:
        return "minted"
    if accounting == "provable":
        return "closed form: every link's blocks distilled as one at the end of the run, with the best sample"
    return "shown, never minted"


def _of(value: Mean | None) -> tuple[float | None, float | None]:
    return (None, None) if value is None else (value.value, value.stderr)


def _whole(bits: int, blocks: int) -> tuple[float | None, float | None]:
    return (bits / blocks if blocks else None), None
