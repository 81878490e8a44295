"""What a run leaves behind: counts, never rates, so that runs add up.

A run directory holds

======================  ============================================================================================
``manifest.json``       :class:`Manifest`: what was run; enough to run it again
``scenario.toml``       the whole scenario, defaults written out
``blocks.jsonl``        one :class:`BlockRecord` a line, appended as blocks end, in the order of links and blocks
``timing.jsonl``        wall-clock times; kept apart, so that equal runs have byte-identical records
``report.json``         :class:`Report`: the table of a study or run
======================  ============================================================================================
"""

from typing import Literal

import msgspec

from bellweave.distill.ledger import Corrections, Estimate, Ledger
from bellweave.errors import RejectionReason

FORMAT = 1
"""Version of the run directory's format."""


class Shard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which blocks of every link a run has: ``first_block`` and the ``blocks`` - 1 that follow."""

    first_block: int = 0
    blocks: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was run.

    Attributes:
        format: Version of the directory's format.
        run_id: Hash of scenario, verb, seed, version and shard.
        scenario_id: Hash of the scenario without its ``[run]`` table; runs that share it add up.
        verb: ``simulate`` or ``distil``.
        scenario: The scenario's name.
        seed, level, shard: As run.
        links: Names of the links, in the order of the records.
        recorded: Those of them that have recorded detections: one block each.
        together: How many blocks are distilled as one, and make one record.
        version: Bellweave's version.
    """

    format: Literal[1] = 1
    run_id: str
    scenario_id: str
    verb: str
    scenario: str
    seed: int
    level: str
    shard: Shard
    links: tuple[str, ...]
    recorded: tuple[str, ...] = ()
    together: int = 1
    version: str

    def wanted(self) -> list[tuple[str, int]]:
        """Return the (link, block) of every record of the whole run, in order."""
        first, count = self.shard.first_block, self.shard.blocks
        numbers = range(first, first + count, self.together)
        return [(link, block) for link in self.links for block in ((0,) if link in self.recorded else numbers)]


class BlockRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counts of one block of one link.

    Attributes:
        link, block: Which one, the first where several were distilled as one; ``block_id`` is the secret block's.
        start_s, end_s: When its photons were detected, seconds since the start of the run.
        singles_alice, singles_bob: Clicks at each node; null at the ``coincidences`` level, which has none.
        sacrificed: Detections that calibration disclosed, both nodes together.
        ledger: Every sifted bit, typed.
        estimate: What the disclosed sample showed, per basis.
        corrections: What reconciliation corrected, and in how many rounds.
        accountings: Key length in bits, >= 0, by accounting; empty if the block was rejected before it was corrected.
        provable_bits: What is proven of the minted key.
        rejection: Why the block gave no key; null if it did.
        seed: Seed of its run: records of several runs stay apart.
    """

    link: str
    block: int
    block_id: str
    seed: int
    start_s: float
    end_s: float
    singles_alice: int | None
    singles_bob: int | None
    sacrificed: int
    ledger: Ledger
    estimate: Estimate
    corrections: Corrections
    accountings: dict[str, int]
    provable_bits: int
    rejection: RejectionReason | None


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a report: a quantity as printed in a paper, as theory expects it, and as it came out.

    Attributes:
        quantity: Such as ``sifted_bits``; counts are per block.
        unit: Such as ``bit``; empty for dimensionless numbers.
        accounting: Which accounting it belongs to; null where it depends on none.
        printed: The paper's number; null where it prints none.
        theory: What closed forms expect; null where there is none.
        mean, stderr, n: Ours, its standard error, and over how many blocks.
        note: Why they differ, or what the number is conditional on.
    """

    quantity: str
    unit: str
    accounting: str | None = None
    printed: float | None = None
    theory: float | None = None
    mean: float | None = None
    stderr: float | None = None
    n: int | None = None
    note: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A study's or run's table; written to ``report.json`` at the top of ``--out``.

    Attributes:
        study: Name of the study or scenario.
        rows: The table.
        flags: What does not hold, or is missing, one sentence each, by whose numbers: ``printed``, ``ours``, ...
    """

    study: str
    rows: tuple[Row, ...]
    flags: dict[str, tuple[str, ...]] = {}
