"""The table of a link: printed, expected by theory, ours."""

from collections.abc import Sequence

from bellweave.plan import expected_block
from bellweave.results.records import BlockRecord, Row
from bellweave.results.summary import QUANTITIES, Mean, accounting_mean, mean, quantity_mean
from bellweave.scenario.schema import Scenario
from bellweave.studies.published import Published

ACCOUNTINGS = ("paper", "as-printed", "individual", "shor-preskill", "provable")
"""In the order of the table; all of them are shown, `[kms] mint` says which one fixed the keys."""

BY_ACCOUNTING = frozenset({"removed_bits", "final_bits", "rate_bps"})
"""Quantities that depend on the accounting that mints."""


def rows(scenario: Scenario, records: Sequence[BlockRecord], *, published: Published | None = None) -> tuple[Row, ...]:
    """Return the rows of every link of a scenario, per block; of several links, quantities carry the link's name."""
    table: list[Row] = []
    for link in scenario.link:
        blocks = [record for record in records if record.link == link]
        suffix = f" of {link}" if len(scenario.link) > 1 else ""
        table += _link_rows(scenario, link, blocks, suffix, published)
    return tuple(table)


def _link_rows(
    scenario: Scenario, link: str, blocks: Sequence[BlockRecord], suffix: str, published: Published | None
) -> list[Row]:
    expected = expected_block(scenario, link)
    printed = published.numbers if published else {}
    mint = scenario.kms.mint
    table = []
    for quantity, (unit, _) in QUANTITIES.items():
        minted = quantity in BY_ACCOUNTING
        table.append(
            _row(
                quantity + suffix,
                unit,
                accounting=mint if minted else None,
                printed=printed.get(quantity),
                theory=expected.quantities.get(quantity),
                ours=quantity_mean(blocks, quantity),
                note=published.note(quantity, mint) if published else "",
            )
        )
    for accounting in ACCOUNTINGS:
        ours = accounting_mean(blocks, accounting)
        if accounting != mint and ours is not None:
            table.append(
                _row(
                    "final_bits" + suffix,
                    "bit",
                    accounting=accounting,
                    theory=expected.accountings.get(accounting),
                    ours=ours,
                    printed=printed.get("final_bits") if accounting == "as-printed" else None,
                    note=published.note("final_bits", accounting) if published else "",
                )
            )
    table.append(_accepted(blocks, suffix))
    return table


def _row(
    quantity: str,
    unit: str,
    *,
    accounting: str | None,
    theory: float | None,
    ours: Mean | None,
    printed: float | None,
    note: str,
) -> Row:
    return Row(
        quantity=quantity,
        unit=unit,
        accounting=accounting,
        printed=printed,
        theory=theory,
        mean=ours.value if ours else None,
        stderr=ours.stderr if ours else None,
        n=ours.n if ours else 0,
        note=note,
    )


def _accepted(blocks: Sequence[BlockRecord], suffix: str) -> Row:
    ours = mean(float(block.rejection is None) for block in blocks)
    reasons = sorted({block.rejection for block in blocks if block.rejection is not None})
    note = f"rejected: {', '.join(reasons)}" if reasons else ""
    return _row("accepted_blocks" + suffix, "", accounting=None, theory=None, ours=ours, printed=None, note=note)
