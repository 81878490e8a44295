"""The figure of the study of routers: what each achieves, as a share of the optimum."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bellweave.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, figure, save

COLOURS = {
    "hops": GREY,
    "length": SKY,
    "reliability": PURPLE,
    "rate": BLUE,
    "multipath": GREEN,
    "online": ORANGE,
}
TITLES = {
    "max-min": "Max-min: the rate that every demand can have",
    "total": "Total: the sum of all rates",
}


def shares(cases: Mapping[tuple[str, str, str], Sequence[float]], out: Path) -> list[Path]:
    """Draw the share of the optimum by router, network and goal; dots are single sets of demands.

    Args:
        cases: By network, goal (``max-min`` or ``total``) and router, the shares of the sets.
        out: Directory.
    """
    networks = list(dict.fromkeys(network for network, _, _ in cases))
    routers = list(dict.fromkeys(router for _, _, router in cases))
    width = 0.8 / len(routers)
    with figure(9.0, 6.4) as drawing:
        axes = drawing.subplots(2, 1, sharex=True)
        for ax, (goal, title) in zip(axes, TITLES.items(), strict=True):
            for at, router in enumerate(routers):
                where = np.arange(len(networks)) + (at - (len(routers) - 1) / 2) * width
                values = [cases.get((network, goal, router), ()) for network in networks]
                means = [float(np.mean(each)) if each else 0.0 for each in values]
                ax.bar(where, means, 0.9 * width, color=COLOURS[router], label=router)
                dots = [(x, share) for x, each in zip(where, values, strict=True) for share in each]
                ax.plot(*zip(*dots, strict=True), ".", color="black", ms=4)
            ax.axhline(1.0, color="black", ls="--", lw=1.2)
            ax.set_ylim(0.0, 1.08)
            ax.set_ylabel("share of the optimum")
            ax.set_title(title)
            ax.grid(visible=False, axis="x")
        axes[1].set_xticks(range(len(networks)), networks)
        drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(routers))
        return save(drawing, out, "routers")
