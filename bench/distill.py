"""Distillation: whole blocks here, reconciliation and hashing in files of their own; one object holds all rows.

Blocks of the data-centre paper: 2441 sifted bits at 6.4 % (P2P), 1224 at 5.8 % (DC). CPU time (`time.process_time`) is
the median over many blocks, both parties in memory. "authenticated" adds tags, and the pool of keys that pays for them;
"paper_dc" reconciles as the paper does, the others by the default. Give it both cores: only the rows over TCP use two,
each party on one.

    python bench/distill.py            a table
    python bench/distill.py --json     one object {measure: {value, unit, target}}
    python bench/distill.py --quick    fewer frames and blocks
"""

import argparse
import json
import statistics
import time

import distill_hashing
import distill_reconciliation

from bellweave import rng
from bellweave.dialogue import Dialogue
from bellweave.distill import session
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.params import Distillation, Reconciliation
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, Block, correlated_rounds

BLOCKS = 200

Measures = dict[str, dict[str, float | str | None]]
Keys = tuple[AuthenticationKeys, AuthenticationKeys]


def roles(block: Block, keys: Keys | None) -> tuple[Dialogue[session.Outcome], Dialogue[session.Outcome]]:
    """Return Alice's and Bob's roles; they authenticate if they have keys."""
    if keys is None:
        return block.roles()
    for end in keys:
        end.admit(0.0)
    alice, bob = correlated_rounds(rng.stream(block.seed, "bench", "rounds"), block.count, block.qber)
    return (
        session.alice(alice, block.params, block.context, rng.stream(block.seed, "bench", "alice"), keys=keys[0]),
        session.bob(bob, block.params, block.context, rng.stream(block.seed, "bench", "bob"), keys=keys[1]),
    )


def distillation_ms(
    sifted: int, qber: float, blocks: int, keys: Keys | None = None, *, reconciliation: Reconciliation = "low-latency"
) -> float:
    """Return the median CPU time of a block, both parties."""
    times = []
    for seed in range(blocks + 1):
        both = roles(Block(seed, sifted, qber, Distillation(reconciliation=reconciliation)), keys)
        start_s = time.process_time()
        alice, bob = converse(*both, DISTILLATION)
        if seed:  # the first one loads compiled code
            times.append(time.process_time() - start_s)
        assert alice.ledger == bob.ledger
        assert alice.ledger.closes()
        assert alice.block is None or (bob.block is not None and alice.block.agrees_with(bob.block))
    return 1e3 * statistics.median(times)


def measure(*, quick: bool = False) -> Measures:
    """Return every measure."""
    blocks = BLOCKS // 4 if quick else BLOCKS
    keys = AuthenticationKeys.started("alice", bytes(1000)), AuthenticationKeys.started("bob", bytes(1000))
    found = {
        "p2p_distillation_cpu": distillation_ms(2441, 0.064, blocks),
        "p2p_distillation_authenticated_cpu": distillation_ms(2441, 0.064, blocks, keys),
        "dc_distillation_cpu": distillation_ms(1224, 0.058, blocks),
        "p2p_distillation_paper_dc_cpu": distillation_ms(2441, 0.064, blocks, reconciliation="paper-dc"),
        "dc_distillation_paper_dc_cpu": distillation_ms(1224, 0.058, blocks, reconciliation="paper-dc"),
    }
    rows: Measures = {name: {"value": value, "unit": "ms/block", "target": 3.0} for name, value in found.items()}
    return rows | distill_hashing.measure(quick=quick) | distill_reconciliation.measure(quick=quick)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer frames and blocks")
    options = parser.parse_args()
    rows = measure(quick=options.quick)
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:44} {row['value']:10.4f} {row['unit']:10} target {row['target']}")


if __name__ == "__main__":
    main()
