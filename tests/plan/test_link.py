"""Plans: blocks and seconds to the first provable key, biased bases, accumulation, flags."""

import msgspec
import pytest

from bellweave.plan import expected_block, plan_link
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario


def with_distillation(**changes: object) -> Scenario:
    scenario = load("vienna2004")
    return msgspec.structs.replace(scenario, distill=msgspec.structs.replace(scenario.distill, **changes))


def test_the_first_provable_key_of_the_papers_link_takes_about_six_blocks() -> None:
    """Facts page, section 8: about 53 s with the threshold at the error rate itself; two sigma above, a little more."""
    lines = {(line.quantity, line.unit): line.value for line in plan_link(load("vienna2004"), "alice-bob").lines}

    seconds = lines["first provable key, at best (TL17)", "s"]
    assert seconds == pytest.approx(56, abs=2)
    assert lines["first provable key, at best (TL17)", "blocks"] == 6
    assert lines["first provable key, at best (exact tail, not peer reviewed)", "s"] < 0.5 * seconds + 1
    assert lines["first provable key, as set (TL17)", "s"] > 5 * seconds


def test_a_plan_flags_what_its_mean_block_lacks_and_what_its_asymptotic_rate_assumes() -> None:
    plan = plan_link(load("vienna2004"), "alice-bob")

    assert [sentence.partition(":")[0] for sentence in plan.flags] == [
        "amplification",
        "too short",
        "authentication",
        "f = 1",
    ]


def test_accumulated_blocks_count_as_one() -> None:
    one = expected_block(load("vienna2004"), "alice-bob")
    twenty = expected_block(
        with_distillation(accumulate_blocks=20, qber_threshold=0.072, reconciliation="low-latency"), "alice-bob"
    )

    assert twenty.quantities["sifted_bits"] == pytest.approx(20 * one.quantities["sifted_bits"])
    assert twenty.accountings["provable"] > 0 == one.accountings["provable"]
    assert twenty.quantities["rate_bps"] == pytest.approx(twenty.quantities["final_bits"] / 210.0)


def test_the_rarer_basis_is_planned_as_the_sample() -> None:
    scenario = with_distillation(estimation="per-basis", accumulate_blocks=50, qber_threshold=0.07)
    per_basis = expected_block(scenario, "alice-bob").quantities

    assert per_basis["sample_bits"] == pytest.approx(per_basis["sifted_bits"] / 2)
    assert expected_block(scenario, "alice-bob").accountings["provable"] > 0


def test_hopeless_links_have_no_first_key() -> None:
    scenario = with_distillation(qber_threshold=0.02, qber_limit=0.49)
    nodes = {
        name: msgspec.structs.replace(node, noise=msgspec.structs.replace(node.noise, rotation_sigma_rad=0.9))
        for name, node in scenario.node.items()
    }
    plan = plan_link(msgspec.structs.replace(scenario, node=nodes), "alice-bob")

    assert not [line for line in plan.lines if line.quantity.startswith("first provable key, at best")]
