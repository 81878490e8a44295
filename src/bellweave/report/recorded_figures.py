"""Figures of a recorded experiment: correlation peaks, coincidence matrix, the choice of the window."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from bellweave.report.style import BLUE, GREY, ORANGE, VERMILION, figure, save
from bellweave.results.recorded import Findings

KINDS = {"other basis": GREY, "equal bits": BLUE, "opposite bits": VERMILION}
PS_PER_NS = 1e3


def draw(findings: Findings, out: Path) -> list[Path]:
    """Draw all of them as PNG and SVG; return the files."""
    return [*peaks(findings, out), *matrix(findings, out), *window(findings, out)]


def peaks(findings: Findings, out: Path) -> list[Path]:
    """Draw the time differences before and after the channels' delays are taken off, by what the channels mean."""
    edges_ns = np.array(findings.edges_ps) / PS_PER_NS
    bin_ns = float(edges_ns[1] - edges_ns[0])
    with figure(8.0, 6.2) as drawing:
        before, after = drawing.subplots(2, 1, sharex=True)
        for ax, when in ((before, "before"), (after, "after")):
            for kind, colour in KINDS.items():
                chosen = [getattr(peak, when) for peak in findings.peaks if peak.kind == kind]
                label = f"{kind} ({len(chosen)} channel pairs)"
                counts = np.sum(chosen, axis=0)
                ax.stairs(counts, edges_ns, color=colour, lw=1.4, label=label)
            ax.set_ylabel(f"coincidences per {bin_ns:g} ns")
            ax.set_yscale("symlog", linthresh=10, linscale=0.8)
            ax.set_ylim(0, None)
            ax.set_yticks([0, 5, 10, 30, 100], ["0", "5", "10", "30", "100"])
        before.set_title("Disclosed slices, clock offset removed: each pair of channels peaks elsewhere")
        before.legend(loc="upper left")
        rms_ns = findings.residual_ps / PS_PER_NS
        after.set_title(f"Channel delays removed: all peaks within {rms_ns:.2g} ns of zero (rms)")
        half = findings.window_ps / 2 / PS_PER_NS
        after.axvspan(-half, half, color=ORANGE, alpha=0.35, lw=0, zorder=0, label=f"window, {2 * half:.2f} ns")
        after.legend(handles=[after.patches[-1]], loc="upper left")
        after.set_xlabel("Bob's time - Alice's time (ns)")
        after.set_xlim(edges_ns[0], edges_ns[-1])
        return save(drawing, out, "correlation-peaks")


def matrix(findings: Findings, out: Path) -> list[Path]:
    """Draw how often each of Alice's channels coincides with each of Bob's, and what chance gives."""
    counts = np.array(findings.matrix())
    kinds = np.array([peak.kind for peak in findings.peaks]).reshape(counts.shape)
    expected = np.array([peak.expected for peak in findings.peaks]).reshape(counts.shape)
    with figure(6.4, 5.6) as drawing:
        ax = drawing.subplots()
        ax.grid(visible=False)
        image = ax.imshow(np.sqrt(counts), cmap="cividis", aspect="equal")
        for (row, column), count in np.ndenumerate(counts):
            light = "black" if count > counts.max() / 4 else "white"
            text = f"{count}\n({expected[row, column]:.1f})"
            weight = "bold" if kinds[row, column] == "equal bits" else "normal"
            ax.text(column, row, text, ha="center", va="center", color=light, fontweight=weight)
            if kinds[row, column] != "other basis":
                colour = VERMILION if kinds[row, column] == "opposite bits" else "white"
                corner = (column - 0.46, row - 0.46)
                ax.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=colour, lw=2))
        ax.set_xticks(range(counts.shape[1]), [f"{c.role} ({c.number})" for c in findings.bob.channels])
        ax.set_yticks(range(counts.shape[0]), [f"{c.role} ({c.number})" for c in findings.alice.channels])
        ax.set_xlabel("Bob's detector (channel)")
        ax.set_ylabel("Alice's detector (channel)")
        ax.set_title(
            f"Coincidences within {findings.width_ps / PS_PER_NS:g} ns in the slices (by chance)\n"
            "framed: equal basis; red: opposite bits, the errors"
        )
        bar = drawing.colorbar(image, ax=ax, shrink=0.8, label="coincidences")
        ticks = [n for n in (0, 10, 50, 100, 200, 400, 1000) if n <= counts.max()]
        bar.set_ticks(np.sqrt(ticks).tolist(), labels=[str(n) for n in ticks])
        return save(drawing, out, "coincidence-matrix")


def window(findings: Findings, out: Path) -> list[Path]:
    """Draw QBER, sifted bits and secret share against the window, and the window taken."""
    width_ns = np.array([point.window_ps for point in findings.scan]) / PS_PER_NS
    sifted = np.array([point.sifted for point in findings.scan], float)
    errors = np.array([point.errors for point in findings.scan], float)
    secret = np.array([point.secret_bits for point in findings.scan])
    with figure(8.0, 7.4) as drawing:
        axes = drawing.subplots(3, 1, sharex=True)
        for basis, (name, colour, marker) in enumerate((("Z", BLUE, "o"), ("X", ORANGE, "s"))):
            rate = (errors[:, basis] + 0.5) / (sifted[:, basis] + 1.0)
            spread = np.sqrt(rate * (1 - rate) / np.maximum(sifted[:, basis], 1.0))
            shown = 100 * errors[:, basis] / np.maximum(sifted[:, basis], 1.0)
            label = f"basis {name}"
            axes[0].errorbar(width_ns, shown, 100 * spread, fmt=f"{marker}-", color=colour, ms=4, lw=1)
            axes[1].plot(width_ns, sifted[:, basis], f"{marker}-", color=colour, ms=4, lw=1, label=label)
        axes[2].plot(width_ns, secret, "D-", color=VERMILION, ms=4, lw=1)
        axes[0].set_ylabel("QBER (%)")
        axes[1].set_ylabel("sifted bits in the slices")
        axes[2].set_ylabel("asymptotic key\nin the slices (bit)")
        axes[2].set_xlabel("coincidence window, full width (ns)")
        taken_ns = findings.window_ps / PS_PER_NS
        taken = f"{'chosen' if findings.window_chosen else 'given'}: {taken_ns:.2f} ns"
        for ax in axes:
            ax.set_ylim(0, None)
            ax.axvline(taken_ns, color="black", ls="--", lw=1.2, label=taken)
        axes[1].legend(loc="upper left")
        axes[2].set_xscale("log")
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if width_ns[0] <= t <= width_ns[-1]]
        axes[2].set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes[2].minorticks_off()
        drawing.align_ylabels(axes)
        axes[0].set_title("Disclosed slices: what each window gives")
        return save(drawing, out, "window")
