"""A whole cluster, block by block: the master's turns, and key for the pairs whose turn it is."""

from collections.abc import Iterator, Mapping

from bellweave.distill.params import Distillation
from bellweave.network.scheduling import Link
from bellweave.network.wide.cluster.turns import Turns
from bellweave.network.wide.params import Master, Slave
from bellweave.scenario.cluster_optics import Pair
from bellweave.sim.cluster.ends import Distilled, Level
from bellweave.sim.cluster.run import distil_ekert, distil_mdi


def cluster_blocks(
    master: Master,
    slaves: Mapping[str, Slave],
    pairs: Mapping[str, Link],
    ekert: Distillation,
    mdi: Distillation,
    *,
    seed: int,
    slots: int,
    slot_s: float,
    weights: Mapping[str, float] | None = None,
    level: Level = "rounds",
) -> Iterator[Distilled]:
    """Yield the blocks of so many slots: in each, floor(V/2) of Ekert91 at most and one of MDI-QKD.

    Each pair whose turn it is has a source of pairs of its own at the master, as Eq. 6 counts them; a block's number is
    its slot.

    Args:
        master: Of the cluster.
        slaves: By name.
        pairs: Who wants key, by name.
        ekert: How rounds of Ekert91 are distilled.
        mdi: How those of MDI-QKD are.
        seed: The run's seed.
        slots: How many.
        slot_s: Length of a slot.
        weights: Share of each pair; None: all alike.
        level: How much is simulated.
    """
    turns = Turns(pairs, weights)
    own = {name: Pair(master, a, slaves[a], b, slaves[b]) for name, (a, b) in pairs.items()}
    for slot in range(slots):
        turn = turns.following()
        for name in turn.ekert:
            yield distil_ekert(own[name], ekert, seed=seed, block=slot, block_s=slot_s, level=level)
        if turn.mdi is not None:
            yield distil_mdi(own[turn.mdi], mdi, seed=seed, block=slot, block_s=slot_s, level=level)
