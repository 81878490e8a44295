from collections import Counter

from bellweave.distill.params import Distillation
from bellweave.network.wide.cluster.turns import every_pair
from bellweave.network.wide.params import Master, MdiQkd, Slave
from bellweave.sim.cluster import Distilled, cluster_blocks

NAMES = ("ada", "bea", "cyd", "dot")
PARAMS = Distillation(qber_threshold=0.03)


def made(slots: int) -> list[Distilled]:
    slaves = {name: Slave(master="m", length_km=2.0) for name in NAMES}
    master = Master(mdi=MdiQkd(light="single-photon", pulse_rate_hz=1e6))
    found = cluster_blocks(master, slaves, every_pair(NAMES), PARAMS, PARAMS, seed=1, slots=slots, slot_s=0.2)
    return list(found)


def test_every_pair_of_a_cluster_gets_proven_key_by_both_protocols() -> None:
    blocks = made(6)

    counts = Counter((each.record.link, each.record.block_id.split("/")[1]) for each in blocks)
    assert counts == {(name, "ekert"): 2 for name in every_pair(NAMES)} | {
        (name, "mdi"): 1 for name in every_pair(NAMES)
    }
    for each in blocks:
        assert each.alice is not None
        assert each.bob is not None
        assert each.alice.agrees_with(each.bob)
        assert each.alice.provable_bits > 0
    assert len({each.record.block_id for each in blocks}) == len(blocks) == 18


def test_slots_follow_each_other_in_time() -> None:
    starts = [each.record.start_s for each in made(2)]

    assert starts == [0.0] * 3 + [0.2] * 3
