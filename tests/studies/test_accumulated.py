"""Blocks distilled as one: expected beforehand, then done; theory and mechanism meet."""

import msgspec
import numpy as np
import pytest

from bellweave.distill import accounting
from bellweave.distill.finite_key import proofs
from bellweave.distill.params import Distillation
from bellweave.kms.params import Kms
from bellweave.results.records import BlockRecord
from bellweave.scenario.load import load
from bellweave.scenario.schema import Run, Scenario
from bellweave.sim.run import simulate
from bellweave.studies import accumulated
from bellweave.studies.accumulated import Accumulated


@pytest.fixture(scope="module")
def vienna() -> Accumulated:
    return accumulated.accumulate(load("vienna2004"), 30)


def test_what_was_expected_of_the_papers_blocks_is_what_distilling_them_as_one_gives(vienna: Accumulated) -> None:
    """One draw: sifted bits scatter by 0.4 %, disclosed ones by their errors; a tenth of the key is four sigma."""
    expected = dict(vienna.curves["tl17"])[30] * 30

    assert vienna.record.rejection is None
    assert vienna.record.ledger.final == vienna.by_proof["tl17"] == vienna.record.provable_bits
    assert vienna.by_proof["tl17"] == pytest.approx(expected, rel=0.1)
    assert vienna.by_proof["tl17"] < vienna.by_proof["lim21"] < vienna.by_proof["exact"]


def test_curves_rise_from_nothing_and_name_every_proof(vienna: Accumulated) -> None:
    for curve in vienna.curves.values():
        values = [bits for _, bits in curve]
        assert [n for n, _ in curve] == [1, 2, 3, 5, 7, 10, 14, 20, 30]
        assert values[0] == 0.0
        assert values == sorted(values)
    assert vienna.first_blocks == pytest.approx(5.4, abs=0.2)


def test_rows_say_which_proof_minted_and_which_are_only_shown(vienna: Accumulated) -> None:
    table = accumulated.rows(vienna)
    notes = {row.accounting: row.note for row in table if row.quantity == "30 blocks as one"}

    assert "not minted" in notes["lim21"]
    assert "not peer reviewed" in notes["exact"]
    assert "not peer reviewed" in notes["sampling-free"]
    assert "fixed beforehand" in notes["provable"]
    assert {row.quantity for row in table} == {"30 blocks as one", "30 blocks as one, rate", "blocks to first key"}


def test_too_few_blocks_are_expected_to_give_nothing_and_do() -> None:
    few = accumulated.accumulate(load("vienna2004"), 3)

    assert few.record.rejection is not None
    assert few.by_proof.get("tl17", 0) == 0
    assert dict(few.curves["tl17"])[3] == 0.0
    assert "too short" in accumulated.rows(few)[0].note or "above limit" in accumulated.rows(few)[0].note


def together(blocks: int) -> Scenario:
    params = Distillation(accumulate_blocks=20, sample_fraction=0.3, qber_threshold=0.075, reconciliation="low-latency")
    how = Run(seed=3, blocks=blocks, level="coincidences")
    return msgspec.structs.replace(load("vienna2004"), distill=params, kms=Kms(mint="provable"), run=how)


@pytest.mark.agreement
def test_the_mean_provable_length_is_the_formula_of_the_mean_counts() -> None:
    """Twelve accumulations of twenty blocks; the standard error is that of the mean, held to four of them."""
    scenario = together(240)
    records = simulate(scenario, workers=1).records
    lengths = np.array([record.ledger.final for record in records], float)
    given = [counts(record) for record in records]
    n, k, leak = (float(np.mean([each[i] for each in given])) for i in range(3))
    tag = accounting.tag_strength(records[0].ledger, scenario.distill)
    expected = proofs.key_length(round(n), round(k), 0.075, leak - tag, tag, scenario.distill.epsilon)

    assert all(record.rejection is None for record in records)
    assert abs(lengths.mean() - expected) < 4.0 * lengths.std(ddof=1) / len(lengths) ** 0.5 + 1.0


def counts(record: BlockRecord) -> tuple[int, int, int]:
    ledger = record.ledger
    return ledger.sifted - ledger.sample, ledger.sample, ledger.disclosed
