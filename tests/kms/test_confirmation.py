import pytest

from bellweave.errors import PeerRefused
from bellweave.kms.confirmation import confirm, tag
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply, Ask
from bellweave.kms.messages import Confirm, Confirmed, Refused
from bellweave.kms.operations import Accounts, Verdicts
from bellweave.kms.params import Kms
from bellweave.kms.records import Block, Statement
from bellweave.testing.key_servers import block, feed, network

A, B, POOL = "kme-a", "kme-b", "kme-a|kme-b/direct"
STATEMENT = Statement(
    block_ids=("x",), origin="direct", hops=1, epsilon=0.0, provable=True, provenance="test", made_s=0.0
)


def held(material: bytes, block_id: str = "x", pool: str = POOL) -> Block:
    return Block(pool=pool, block_id=block_id, material=material, statement=STATEMENT, expires_s=1.0)


def ingest(net: Network, kme: str, block_id: str, size_bytes: int, seed: int = 1) -> None:
    made = block(block_id, size_bytes, seed)
    net.run(kme, net.kme(kme).ingest(made, B if kme == A else A, net.now_s))


def _first_confirmation(net: Network) -> Confirm:
    """Return the first tags that the lead is about to send."""
    work = Running(net, A, net.kme(A).tick(net.now_s))
    while not (isinstance(work.effect, Ask) and isinstance(work.effect.message, Confirm) and work.effect.message.key):
        work.step()
    return work.effect.message


def accounts(net: Network, kme: str) -> dict[str, int]:
    (pools,) = net.store(kme).apply([Accounts()])
    return {name: bits for name, bits in pools[POOL].items() if bits}


def test_the_blocks_end_masks_its_tag() -> None:
    # a Poly1305 tag is a number mod 2^128 to which its s is added
    one = int.from_bytes(tag(held(b"body" + bytes(16)), bytes(range(16)), 16), "little")
    two = int.from_bytes(tag(held(b"body" + b"\x05" + bytes(15)), bytes(range(16)), 16), "little")

    assert (two - one) % (1 << 128) == 5


@pytest.mark.parametrize("tag_bytes", [8, 16])
def test_a_tag_differs_with_every_part_of_what_it_proves(tag_bytes: int) -> None:
    material = bytes(range(64))
    tags = {
        tag(held(material), bytes(16 * [7]), tag_bytes),
        tag(held(bytes([1]) + material[1:]), bytes(16 * [7]), tag_bytes),
        tag(held(material[:-1] + bytes([1])), bytes(16 * [7]), tag_bytes),
        tag(held(material, "y"), bytes(16 * [7]), tag_bytes),
        tag(held(material, pool="kme-a|kme-c/direct"), bytes(16 * [7]), tag_bytes),
        tag(held(material), bytes(16 * [8]), tag_bytes),
    }

    assert {len(each) for each in tags} == {tag_bytes}
    assert len(tags) == 6


@pytest.mark.parametrize(("bits", "spent"), [(128, 128), (64, 64), (0, 0)])
def test_a_block_that_both_hold_is_confirmed_and_pays_for_its_tag(bits: int, spent: int) -> None:
    net = network(Kms(confirmation_bits=bits, low_keys=0))  # type: ignore[arg-type]
    feed(net, A, B, "block", 100)

    for kme in (A, B):
        paid = {"authentication": spent} if spent else {}
        assert accounts(net, kme) == {"ingested": 800, "available": 800 - spent} | paid


def test_a_block_that_differs_goes_into_quarantine_at_both_ends() -> None:
    net = network()
    ingest(net, A, "block", 100)
    ingest(net, B, "block", 100, seed=2)
    net.tick()

    for kme in (A, B):
        assert net.store(kme).apply([Verdicts(pool=POOL, block_ids=("block",))]) == [("quarantined",)]
        assert accounts(net, kme)["quarantined"] == 800 - accounts(net, kme).get("authentication", 0)


def test_a_block_that_one_end_lacks_waits_until_it_comes() -> None:
    net = network(Kms(low_keys=0))
    ingest(net, A, "block", 100)
    net.tick()
    assert net.store(A).apply([Verdicts(pool=POOL, block_ids=("block",))]) == [("waiting",)]
    ingest(net, B, "block", 100)
    net.tick()

    for kme in (A, B):
        assert net.store(kme).apply([Verdicts(pool=POOL, block_ids=("block",))]) == [("confirmed",)]


def test_a_verdict_whose_answer_was_lost_is_told_again() -> None:
    net = network(Kms(low_keys=0))
    for kme in (A, B):
        ingest(net, kme, "block", 100)
        ingest(net, kme, "other", 100, seed=1 if kme == A else 2)
    message = _first_confirmation(net)
    answer = net.run(B, net.kme(B).answer(A, message, net.now_s))
    assert answer == Confirmed(verdicts=("confirmed", "quarantined"))  # it never arrives
    net.crash(B)
    net.mend(A, B)

    verdicts = {kme: net.store(kme).apply([Verdicts(pool=POOL, block_ids=("block", "other"))]) for kme in (A, B)}
    assert verdicts[A] == verdicts[B] == [("confirmed", "quarantined")]


@pytest.mark.parametrize("size_bytes", [0, 1, 16])
def test_blocks_too_short_for_a_tag_are_spent(size_bytes: int) -> None:
    net = network(Kms(low_keys=0))
    for kme in (A, B):
        ingest(net, kme, "short", size_bytes)
        ingest(net, kme, "long", 17)
    net.tick()

    for kme in (A, B):
        assert accounts(net, kme) == {
            "ingested": 8 * (17 + size_bytes),
            "available": 8,
            "authentication": 8 * (16 + size_bytes),
        }


def test_only_the_lead_asks_and_only_about_pools_that_are_shared() -> None:
    net = network()
    wrong = [
        (A, B, Confirm(pool=POOL, key=bytes(16), tags=())),
        (B, A, Confirm(pool="kme-b|kme-c/direct", key=bytes(16), tags=())),
        (B, A, Confirm(pool=POOL, key=bytes(15), tags=())),
    ]
    for kme, sender, message in wrong:
        assert isinstance(net.run(kme, net.kme(kme).answer(sender, message, net.now_s)), Refused)


def test_a_peer_that_leaves_out_a_verdict_settles_nothing() -> None:
    net = network()
    ingest(net, A, "block", 100)
    confirming = confirm(net.kme(A)._memory, B, POOL)
    asking = next(confirming)
    assert isinstance(asking, Apply)
    confirming.send(net.store(A).apply(asking.operations))
    with pytest.raises(PeerRefused, match="0 verdicts on 1"):
        confirming.send(Confirmed(verdicts=()))


def test_no_second_tag_is_made_of_a_block_whose_first_was_sent() -> None:
    net = network(Kms(low_keys=0))
    for kme in (A, B):
        ingest(net, kme, "block", 100)
    first = _first_confirmation(net)
    net.cut(A, B)
    net.mend(A, B)  # greets and confirms

    assert net.store(B).apply([Verdicts(pool=POOL, block_ids=("block",))]) == [("confirmed",)]
    assert [each for each in net.said(A, Confirm) if each.key] == [first]


def test_two_ticks_at_once_send_one_tag_of_each_block() -> None:
    net = network(Kms(low_keys=0))
    for kme in (A, B):
        ingest(net, kme, "block", 100)
    works = [Running(net, A, net.kme(A).tick(net.now_s)) for _ in range(2)]
    while not all(work.done for work in works):
        for work in works:
            if not work.done:
                work.step()

    assert len({each.key for each in net.said(A, Confirm) if each.key}) == 1
    assert accounts(net, A) == accounts(net, B)


def test_blocks_that_the_peer_lacks_do_not_keep_others_waiting() -> None:
    net = network(Kms(low_keys=0))
    for index in range(70):
        ingest(net, A, f"lost {index}", 20)
    feed(net, A, B, "block", 100)

    assert net.store(A).apply([Verdicts(pool=POOL, block_ids=("block", "lost 0"))]) == [("confirmed", "waiting")]
