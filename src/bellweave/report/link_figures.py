"""Figures of one link: its blocks by QBER, where the bits go, where the photons go, what each accounting gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bellweave.photonics.params import Arm, OpticalLink
from bellweave.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, figure, save
from bellweave.results.records import BlockRecord
from bellweave.results.summary import accounting_mean, mean, quantity_mean
from bellweave.units import to_db

ACCOUNTING_COLOURS = {"paper": ORANGE, "as-printed": GREY, "individual": GREEN, "shor-preskill": SKY, "provable": BLUE}


def block_panels(
    blocks: Sequence[BlockRecord], title: str, printed: Mapping[str, float], out: Path, name: str = "blocks"
) -> list[Path]:
    """Draw every block's QBER and bits, sorted by estimated QBER as in the paper's Fig. 5 and 6, with the means."""
    chosen = sorted((block for block in blocks if block.ledger.sample), key=lambda block: block.estimate.qber or 0.0)
    order = np.arange(1, len(chosen) + 1)
    panels = (
        ("qber", "estimated QBER (%)", 100.0, VERMILION),
        ("sifted_bits", "sifted key (bit)", 1.0, BLUE),
        ("disclosed_bits", "disclosed in\nreconciliation (bit)", 1.0, PURPLE),
        ("removed_bits", "removed by privacy\namplification (bit)", 1.0, GREEN),
        ("final_bits", "final key (bit)", 1.0, ORANGE),
    )
    with figure(8.0, 10.0) as drawing:
        axes = drawing.subplots(len(panels), 1, sharex=True)
        for ax, (quantity, label, scale, colour) in zip(axes, panels, strict=True):
            values = np.array([scale * _value(block, quantity) for block in chosen])
            ax.plot(order, values, "o", ms=3.5, color=colour)
            ours = float(values.mean()) if values.size else 0.0
            ax.axhline(ours, color=colour, lw=1.2, label=f"our mean {_shown(ours)}")
            if quantity in printed:
                theirs = scale * printed[quantity]
                ax.axhline(theirs, color="black", lw=1.0, ls="--", label=f"printed {_shown(theirs)}")
            ax.set_ylabel(label)
            ax.set_xlim(0, len(chosen) + 1)
            ax.margins(y=0.25)
            ax.legend(loc="upper left", ncols=2, fontsize=8.5)
        axes[0].set_title(f"{title}: {len(chosen)} blocks")
        axes[-1].set_xlabel("block, sorted by estimated QBER")
        drawing.align_ylabels(axes)
        return save(drawing, out, name)


def waterfall(blocks: Sequence[BlockRecord], title: str, out: Path, name: str = "waterfall") -> list[Path]:
    """Draw where the sifted bits of an average block go, until the ledger is closed."""
    quantities = ("sifted_bits", "sample_bits", "disclosed_bits", "removed_bits")
    sums = {quantity: quantity_mean(blocks, quantity) for quantity in quantities}
    steps = [("sifted", _mean(sums["sifted_bits"]), BLUE), ("sample for\nQBER", -_mean(sums["sample_bits"]), VERMILION)]
    kinds = (
        ("top", "block\nparities"),
        ("bisection", "bisection\nparities"),
        ("check", "check\nparities"),
        ("repair", "repairs"),
        ("tag", "verification\ntag"),
    )
    for kind, label in kinds:
        steps.append((label, -_average([getattr(block.ledger, kind) for block in blocks]), PURPLE))
    steps += [
        ("privacy\namplification", -_mean(sums["removed_bits"]), GREEN),
        ("authenti-\ncation", -_mean(quantity_mean(blocks, "authentication_bits")), SKY),
        ("rejected\nblocks", -_mean(quantity_mean(blocks, "rejected_bits")), GREY),
        ("final key", _mean(quantity_mean(blocks, "final_bits")), ORANGE),
    ]
    with figure(9.0, 4.6) as drawing:
        ax = drawing.subplots()
        level = 0.0
        steps = [step for step in steps if round(step[1]) != 0 or step[0] == "final key"]
        for place, (label, change, colour) in enumerate(steps):
            whole = label in {"sifted", "final key"}
            bottom = 0.0 if whole else level + min(change, 0.0)
            ax.bar(place, abs(change), bottom=bottom, color=colour, width=0.7)
            sign = "" if whole or round(change) == 0 else "+"
            ax.text(place, bottom + abs(change), f"{change:{sign}.0f}", ha="center", va="bottom", fontsize=9)
            level = change if whole else level + change
        ax.set_xticks(range(len(steps)), [label for label, _, _ in steps], fontsize=9)
        ax.set_ylabel("bit per block (mean)")
        ax.set_title(f"{title}: where the sifted bits go")
        ax.grid(visible=False, axis="x")
        return save(drawing, out, name)


def loss_budget(link: OpticalLink, title: str, out: Path) -> list[Path]:
    """Draw the losses of both arms in the order of the path, detectors included."""
    ends = (("Alice", link.alice), ("Bob", link.bob))
    palette = dict(zip(dict.fromkeys(name for _, arm in ends for name in _losses(arm)), _cycle(), strict=False))
    with figure(9.0, 3.0) as drawing:
        ax = drawing.subplots()
        for row, (_, arm) in enumerate(ends):
            left = 0.0
            for name, loss_db in _losses(arm).items():
                ax.barh(row, loss_db, left=left, color=palette[name], edgecolor="white", height=0.55)
                if loss_db >= 0.45:
                    ax.text(
                        left + loss_db / 2, row, f"{loss_db:.2f}", ha="center", va="center", fontsize=8.5, color="black"
                    )
                left += loss_db
            ax.text(left, row, f"  {left:.2f} dB", va="center", fontweight="bold")
        handles = [ax.barh(0, 0, color=colour) for colour in palette.values()]
        ax.legend(handles, list(palette), ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9)
        ax.set_yticks(range(len(ends)), [name for name, _ in ends])
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.set_xlabel("loss (dB)")
        ax.set_xlim(0, 1.15 * max(1.0, *(sum(_losses(arm).values()) for _, arm in ends)))
        drawing.suptitle(f"{title}: loss budget", x=0.01, ha="left", fontsize=11)
        return save(drawing, out, "loss-budget")


def accountings(blocks: Sequence[BlockRecord], title: str, printed_final: float | None, out: Path) -> list[Path]:
    """Draw the key per block that each accounting gives, with standard errors, beside the printed one."""
    names = [name for name in ACCOUNTING_COLOURS if accounting_mean(blocks, name) is not None]
    with figure(7.0, 3.0) as drawing:
        ax = drawing.subplots()
        for row, name in enumerate(names):
            ours = accounting_mean(blocks, name)
            value, stderr = (ours.value, ours.stderr or 0.0) if ours else (0.0, 0.0)
            ax.barh(row, value, xerr=stderr, color=ACCOUNTING_COLOURS[name], height=0.6, capsize=3)
            ax.text(value + stderr, row, f"  {value:.0f}", va="center")
        if printed_final is not None:
            ax.axvline(printed_final, color="black", ls="--", lw=1.0)
            ax.text(printed_final, len(names) - 0.45, f" printed {printed_final:.0f}", fontsize=9, va="center")
        labels = {"as-printed": "as-printed\n(never minted)", "shor-preskill": "shor-preskill\n(asymptotic)",
                  "provable": "provable\n(finite key)"}  # fmt: skip
        ax.set_yticks(range(len(names)), [labels.get(name, name) for name in names])
        ax.set_ylim(len(names) - 0.2, -0.6)
        ax.grid(visible=False, axis="y")
        ax.margins(x=0.12)
        ax.set_xlabel("key per block (bit)")
        ax.set_title(f"{title}: what each accounting gives")
        return save(drawing, out, "accountings")


def accumulation(curves: Mapping[str, Sequence[tuple[int, float]]], simulated: tuple[int, float] | None,
                 printed_final: float | None, title: str, out: Path) -> list[Path]:  # fmt: skip
    """Draw provable key a block against the number of blocks that are distilled as one.

    Args:
        curves: By label, (number of blocks, bits a block).
        simulated: Number of blocks, and provable bits a block that distilling them as one gave.
        printed_final: What the paper prints a block.
        title: Of the link.
        out: Directory.
    """
    looks = ((BLUE, "-"), (SKY, "--"), (GREY, ":"))
    with figure(7.5, 4.2) as drawing:
        ax = drawing.subplots()
        for (label, points), (colour, line) in zip(curves.items(), looks, strict=False):
            ax.plot(
                [n for n, _ in points], [bits for _, bits in points], line, color=colour, marker="o", ms=3, label=label
            )
        if simulated is not None:
            ax.plot(*simulated, "D", color=ORANGE, ms=8, zorder=5, label="simulated: both parties, one distillation")
        if printed_final is not None:
            ax.axhline(printed_final, color="black", ls="--", lw=1.0)
            ax.text(1.0, printed_final, f"printed {printed_final:.0f}, nothing of it proven", va="bottom", fontsize=9)
        ax.set_xscale("log")
        ax.set_xlabel("blocks distilled as one")
        ticks = [n for n in (1, 2, 5, 10, 20, 50, 100) if any(n <= points[-1][0] for points in curves.values())]
        ax.set_xticks(ticks, [str(n) for n in ticks])
        ax.minorticks_off()
        ax.set_ylim(bottom=0)
        ax.set_ylabel("provable key (bit per block)")
        ax.set_title(f"{title}: provable key against accumulated blocks")
        ax.legend(loc="best", fontsize=9)
        return save(drawing, out, "accumulation")


def qber_scan(points: Sequence[tuple[float, Mapping[str, tuple[float, float]], Mapping[str, float]]], title: str,
              out: Path) -> list[Path]:  # fmt: skip
    """Draw key per block against QBER: points are (QBER, ours: accounting -> (mean, stderr), theory: -> bits)."""
    with figure(7.5, 4.2) as drawing:
        ax = drawing.subplots()
        for name in ("as-printed", "paper", "shor-preskill", "provable"):
            colour = ACCOUNTING_COLOURS[name]
            x = [100 * q for q, _, _ in points]
            ours = [mine[name] for _, mine, _ in points]
            ax.errorbar(
                x, [m for m, _ in ours], yerr=[s for _, s in ours], fmt="o", ms=4, capsize=2, color=colour, label=name
            )
            if all(name in theory for _, _, theory in points):
                ax.plot(x, [theory[name] for _, _, theory in points], color=colour, lw=1.2)
        ax.set_xlabel("QBER of the link (%)")
        ax.set_ylabel("key per block (bit)")
        ax.set_title(f"{title}: key against QBER")
        ax.legend(
            title="points: simulated (rejected blocks count 0)\nlines: theory of the mean block",
            fontsize=9,
            title_fontsize=9,
        )
        ax.set_ylim(bottom=-20)
        return save(drawing, out, "qber-scan")


def _losses(arm: Arm) -> dict[str, float]:
    efficiency = arm.node.detector.efficiency
    return dict(arm.loss_db) | ({"detector": to_db(efficiency)} if efficiency < 1.0 else {})


def _cycle() -> list[str]:
    return [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#F0E442", GREY] * 4


def _value(block: BlockRecord, name: str) -> float:
    return (block.estimate.qber or 0.0) if name == "qber" else float(getattr(block.ledger, name.removesuffix("_bits")))


def _average(values: Sequence[float]) -> float:
    average = mean(values)
    return average.value if average else 0.0


def _mean(average: object) -> float:
    return float(getattr(average, "value", 0.0))


def _shown(number: float) -> str:
    """Return a mean with four digits, from ten thousand on whole: 61,130, not 6.113e+04."""
    return f"{number:,.0f}" if abs(number) >= 10_000.0 else f"{number:.4g}"
