"""Expanded key: both ends make the same of one seed, whatever gets lost on the way."""

import hashlib
import hmac
from typing import Any

import pytest

from bellweave.errors import ScenarioError
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Ask
from bellweave.kms.expansion import LABEL, expand
from bellweave.kms.messages import Done, Expand, Refused
from bellweave.kms.params import Kms
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import block, network, starter
from bellweave.testing.stores import ledger

POOL = "kme-a|kme-b/expanded"
DIRECT = "kme-a|kme-b/direct"
EXPANSION = {"kmes": ("kme-a", "kme-b"), "block_bits": 4096, "low_bits": 4096}
PAIR = {"master": "alice", "slave": "bob", "origins": ["expanded"]}


def expanding(size_bytes: int = 1024, **more: Any) -> Network:
    net = network(Kms(confirmation_bits=0, low_keys=0), pairs=[PAIR], expansions=[EXPANSION | more])
    for name, peer in (("kme-a", "kme-b"), ("kme-b", "kme-a")):
        net.run(name, net.kme(name).ingest(block("seedbed", size_bytes), peer, net.now_s))
    return net


def ticks(net: Network, count: int = 3) -> None:
    for _ in range(count):
        net.now_s += 1.0
        net.tick()


def draw(net: Network, count: int = 4) -> Any:
    wanted = Wanted(master="alice", slaves=("bob",), count=count, size_bits=256)
    return net.run("kme-a", net.kme("kme-a").draw(wanted, net.now_s))


def test_the_generator_is_counter_mode_of_sp_800_108_with_hmac_sha256() -> None:
    seed, size_bytes = bytes(range(32)), 100
    context = b"\0\0\0\4pool\0\0\0\2id"
    fixed = LABEL + b"\0" + context + (8 * size_bytes).to_bytes(4, "big")
    blocks = (hmac.digest(seed, i.to_bytes(4, "big") + fixed, hashlib.sha256) for i in range(1, 5))
    assert expand(seed, "pool", "id", size_bytes) == b"".join(blocks)[:size_bytes]


def test_other_seeds_pools_and_blocks_give_other_bytes() -> None:
    seed = bytes(32)
    made = {
        expand(seed, "pool", "id", 64),
        expand(seed, "poo", "lid", 64),
        expand(seed, "pool", "id2", 64),
        expand(bytes(31) + b"1", "pool", "id", 64),
    }
    assert len(made) == 4


def test_both_ends_hold_the_same_and_pay_the_seed() -> None:
    net = expanding()
    ticks(net)

    keys = draw(net, 16)
    taken = net.run("kme-b", net.kme("kme-b").take("bob", "alice", tuple(key.key_id for key in keys), net.now_s))
    assert taken == keys
    for name in ("kme-a", "kme-b"):
        assert ledger(net.store(name), POOL) == {"ingested": 4096, "delivered": 4096}
        assert ledger(net.store(name), DIRECT) == {"ingested": 8192, "available": 7936, "expansion": 256}


def test_nothing_of_it_counts_as_proven() -> None:
    net = expanding()
    ticks(net)
    statement = draw(net)[0].statement
    assert (statement.origin, statement.provable, statement.epsilon) == ("expanded", False, 1.0)
    assert statement.block_ids == ("seedbed",)


def test_the_pool_is_kept_above_its_low_watermark() -> None:
    net = expanding()
    ticks(net)
    draw(net, 1)
    ticks(net)
    assert ledger(net.store("kme-a"), POOL)["ingested"] == 2 * 4096
    ticks(net)
    assert ledger(net.store("kme-a"), POOL)["ingested"] == 2 * 4096


def test_too_little_direct_key_stops_it_and_more_lets_it_go_on() -> None:
    net = expanding(size_bytes=31)
    ticks(net)
    assert not ledger(net.store("kme-a"), POOL)
    for name, peer in (("kme-a", "kme-b"), ("kme-b", "kme-a")):
        net.run(name, net.kme(name).ingest(block("more", 1), peer, net.now_s))
    ticks(net)
    assert ledger(net.store("kme-a"), POOL)["available"] == 4096


def until_expand(net: Network) -> Running[None]:
    ticks(net, 0)
    running = Running(net, "kme-a", net.kme("kme-a").tick(net.now_s))
    while not (isinstance(running.effect, Ask) and isinstance(running.effect.message, Expand)):
        running.step()
    return running


def finish(running: Running[None]) -> None:
    while not running.done:
        running.step()


@pytest.mark.parametrize("acted", [True, False])
def test_a_message_or_answer_that_is_lost_costs_no_second_seed(acted: bool) -> None:
    net = expanding()
    running = until_expand(net)
    if acted:
        net.perform("kme-a", running.effect)  # type: ignore[arg-type]
    net.cut("kme-a", "kme-b")
    finish(running)
    assert not ledger(net.store("kme-a"), POOL)
    net.mend("kme-a", "kme-b")
    ticks(net)

    for name in ("kme-a", "kme-b"):
        assert ledger(net.store(name), POOL) == {"ingested": 4096, "available": 4096}
        assert ledger(net.store(name), DIRECT)["expansion"] == 256


def test_a_seed_that_the_peer_has_lost_is_given_up_for_another() -> None:
    net = expanding()
    running = until_expand(net)
    answer = Running(net, "kme-b", net.kme("kme-b").answer("kme-a", running.effect.message, net.now_s))  # type: ignore[union-attr]
    answer.step()
    answer.step()  # the seed is taken; then it crashes
    answer.close()
    finish(running)
    net.now_s += 2.0
    ticks(net)

    for name in ("kme-a", "kme-b"):
        assert ledger(net.store(name), POOL) == {"ingested": 4096, "available": 4096}
        assert ledger(net.store(name), DIRECT)["expansion"] == 512


def test_a_peer_that_does_not_know_the_pool_costs_ever_less() -> None:
    net = expanding()
    net.kme("kme-b")._expansions._expansions.clear()
    ticks(net, 64)
    assert ledger(net.store("kme-a"), DIRECT)["expansion"] <= 7 * 256
    assert not ledger(net.store("kme-a"), POOL)


@pytest.mark.parametrize(
    "wrong",
    [{"size_bytes": 513}, {"size_bytes": 0}, {"pool": DIRECT}, {"pool": "x|y/expanded"}, {"seed_id": bytes(16)}],
)
def test_what_was_not_agreed_on_is_refused(wrong: dict[str, Any]) -> None:
    net = expanding()
    running = until_expand(net)
    message = running.effect.message  # type: ignore[union-attr]
    assert isinstance(message, Expand)
    values = {name: getattr(message, name) for name in message.__struct_fields__} | wrong
    assert isinstance(net.run("kme-b", net.kme("kme-b").answer("kme-a", Expand(**values), net.now_s)), Refused)
    assert isinstance(net.run("kme-b", net.kme("kme-b").answer("kme-a", message, net.now_s)), Done)
    assert isinstance(net.run("kme-a", net.kme("kme-a").answer("kme-b", message, net.now_s)), Refused)


def test_a_seed_that_is_too_short_is_refused() -> None:
    net = expanding()
    running = until_expand(net)
    wanted = Wanted(master="@kme-a", slaves=("@kme-b",), count=1, size_bits=248, purpose="expansion")
    (short,) = net.run("kme-a", net.kme("kme-a").draw(wanted, net.now_s))
    message = running.effect.message  # type: ignore[union-attr]
    assert isinstance(message, Expand)
    message = Expand(
        pool=POOL, block_id="b", seed_id=short.key_id, size_bytes=message.size_bytes, expires_s=message.expires_s
    )
    answer = net.run("kme-b", net.kme("kme-b").answer("kme-a", message, net.now_s))
    assert isinstance(answer, Refused)
    assert "256 bits, not 248" in answer.problem


def test_a_block_on_its_way_is_not_shown() -> None:
    net = expanding()
    running = until_expand(net)
    net.cut("kme-a", "kme-b")
    finish(running)
    (making,) = net.kme("kme-a")._expansions._making.values()
    assert "material" not in repr(making)
    assert repr(making.additions[0].block.material)[2:20] not in repr(making)


def test_a_pool_with_a_stranger_is_refused_at_the_start() -> None:
    start = starter("kme-a", Kms(), {"alice": "kme-a"}, peers=(), expansions=({"kmes": ("kme-a", "kme-x")},))
    with pytest.raises(ScenarioError, match="kme-a and kme-x are no peers"):
        start()
