"""What papers print: ``published.toml`` beside this file, read into structs."""

import tomllib
from importlib import resources

import msgspec

from bellweave.distill.finite_key.proofs import key_length, tag_bits_for
from bellweave.distill.flags import Figures


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A link as printed.

    Attributes:
        title: For figures and tables.
        section: Where in the paper the numbers stand.
        numbers: Mean per block by quantity, as printed.
        notes: By ``quantity`` or ``quantity/accounting``: what a reader must know about printed against ours.
        qber_scan: Values of the QBER to scan, besides the study's own; empty for none.
    """

    title: str
    section: str
    numbers: dict[str, float]
    notes: dict[str, str]
    qber_scan: tuple[float, ...] = ()

    def note(self, quantity: str, accounting: str) -> str:
        """Return the note on a quantity under an accounting, on one line; empty for none."""
        return " ".join(self.notes.get(f"{quantity}/{accounting}", self.notes.get(quantity, "")).split())

    def figures(self, qber: float, block_s: float, epsilon: float) -> Figures:
        """Return the printed block as flags judge it.

        Args:
            qber: Error rate, where none is printed.
            block_s: Length of a block.
            epsilon: Failure probability of the finite-key statement.
        """
        printed = self.numbers
        qber = printed.get("qber", qber)
        key, sample = printed["sifted_bits"] - printed["sample_bits"], printed["sample_bits"]
        tag = tag_bits_for(epsilon)
        return Figures(
            sifted=printed["sifted_bits"],
            sample=sample,
            qber=qber,
            disclosed=printed["disclosed_bits"],
            removed=printed["removed_bits"],
            final=printed["final_bits"],
            duration_s=block_s,
            provable=key_length(round(key), round(sample), qber, printed["disclosed_bits"], tag, epsilon),
            authentication_bits=0,
        )


def studies() -> dict[str, Published]:
    """Return the studies that ``bellweave reproduce`` knows; each is named like its preset."""
    text = (resources.files("bellweave.studies") / "published.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Published])
