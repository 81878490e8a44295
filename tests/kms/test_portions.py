from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.dialogue import Message
from bellweave.errors import PeerRefused
from bellweave.kms import portions
from bellweave.kms.driver import Network
from bellweave.kms.messages import AskMarks, Assign, MarksAre, Next, Refused, Want
from bellweave.kms.operations import Cut, Free, Marks, NextNumber, Portions, Skip
from bellweave.kms.params import Kms
from bellweave.kms.records import Buffer, Portion, Statement
from bellweave.kms.store import MemoryStore
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import feed, network

A, B, POOL = "kme-a", "kme-b", "kme-a|kme-b/direct"
ALICE, BOB = Buffer(master="alice", slave="bob", pool=POOL), Buffer(master="bob", slave="alice", pool=POOL)
STATEMENT = Statement(
    block_ids=("x",), origin="direct", hops=1, epsilon=0.0, provable=True, provenance="test", made_s=0.0
)


@pytest.fixture
def net() -> Network:
    result = network(Kms(low_keys=0, high_keys=0))
    feed(result, A, B, "x", 1000 + 16)
    return result


def portion(number: int, start_bytes: int, length_bytes: int, block_id: str = "x", buffer: Buffer = BOB) -> Portion:
    return Portion(buffer=buffer, number=number, block_id=block_id, start_bytes=start_bytes, length_bytes=length_bytes)


def answer(net: Network, kme: str, message: Message) -> Message:
    return net.run(kme, net.kme(kme).answer(B if kme == A else A, message, net.now_s))


def at(net: Network, kme: str, *operations: Any) -> Any:
    (result,) = net.store(kme).apply(operations)
    return result


def listed(net: Network, kme: str) -> tuple[Portion, ...]:
    result: tuple[Portion, ...] = at(net, kme, Portions(pool=POOL, number=0))
    return result


@given(
    blocks=st.lists(st.integers(1, 50), max_size=6),
    shares=st.lists(st.integers(0, 60), max_size=5),
    first=st.integers(0, 9),
)
def test_a_layout_gives_each_its_bytes_as_far_as_they_reach(blocks: list[int], shares: list[int], first: int) -> None:
    free = [
        Free(block_id=str(index), start_bytes=3, length_bytes=size, statement=STATEMENT, expires_s=1.0)
        for index, size in enumerate(blocks)
    ]
    buffers = [Buffer(master=str(index), slave="s", pool=POOL) for index in range(len(shares))]
    made = portions.lay_out(first, free, zip(buffers, shares, strict=True))

    assert [each.number for each in made] == list(range(first, first + len(made)))
    ends = dict.fromkeys(map(str, range(len(blocks))), 3)
    for each in made:
        assert each.start_bytes == ends[each.block_id]
        assert each.length_bytes > 0
        ends[each.block_id] += each.length_bytes
    assert all(ends[str(index)] <= 3 + size for index, size in enumerate(blocks))
    left = sum(blocks)
    for buffer, share in zip(buffers, shares, strict=True):
        assert sum(each.length_bytes for each in made if each.buffer == buffer) == min(share, left)
        left -= min(share, left)


def test_portions_that_arrive_in_the_wrong_order_are_sent_again(net: Network) -> None:
    first, second = portion(0, 0, 100), portion(1, 100, 100)

    assert answer(net, B, Assign(portions=(second,))) == Next(number=0)
    assert answer(net, B, Assign(portions=(first, second))) == Next(number=2)
    assert answer(net, B, Assign(portions=(first,))) == Next(number=2)


def test_the_peer_wants_and_gets_no_less_than_a_key(net: Network) -> None:
    none = answer(net, A, Want(buffer=BOB, number=0, least_bytes=1001, most_bytes=2000))
    some = answer(net, A, Want(buffer=BOB, number=0, least_bytes=32, most_bytes=2000))

    assert none == Assign(portions=())
    assert some == Assign(portions=(portion(0, 0, 1000),))


@pytest.mark.parametrize(
    "message",
    [
        Assign(portions=()),
        Assign(portions=(portion(0, 0, 1),)),  # only the lead assigns
        Want(buffer=ALICE, number=0, least_bytes=1, most_bytes=1),  # no buffer of the sender's
        Want(buffer=Buffer(master="bob", slave="bert", pool=POOL), number=0, least_bytes=1, most_bytes=1),
        Want(buffer=Buffer(master="bob", slave="x", pool="kme-b|kme-c/direct"), number=0, least_bytes=1, most_bytes=1),
        AskMarks(pool="kme-b|kme-c/direct", numbers=(0,)),
    ],
)
def test_what_does_not_concern_the_sender_is_refused(net: Network, message: Message) -> None:
    assert isinstance(answer(net, A, message), Refused)


def test_portions_of_several_pools_are_refused(net: Network) -> None:
    other = Buffer(master="bob", slave="alice", pool="kme-a|kme-b/relayed")

    assert isinstance(answer(net, B, Assign(portions=(portion(0, 0, 1), portion(0, 0, 1, buffer=other)))), Refused)


@pytest.mark.parametrize(("ahead", "behind"), [(A, B), (B, A)])
def test_either_end_gets_portions_that_it_lacks_from_the_other(net: Network, ahead: str, behind: str) -> None:
    made = (portion(0, 0, 40), portion(1, 40, 40))
    at(net, ahead, Cut(portions=made))
    net.cut(A, B)
    net.mend(A, B)

    assert listed(net, behind) == made


def test_hundreds_of_portions_are_caught_up_with(net: Network) -> None:
    many = tuple(portion(number, number, 1) for number in range(600))
    at(net, A, Cut(portions=many))
    net.cut(A, B)
    net.mend(A, B)

    assert at(net, B, NextNumber(pool=POOL)) == 600


def test_hundreds_of_portions_are_pushed(net: Network) -> None:
    many = tuple(portion(number, number, 1) for number in range(600))
    at(net, A, Cut(portions=many))
    net.run(A, portions.push(B, POOL, many[590:]))

    assert at(net, B, NextNumber(pool=POOL)) == 600


def test_a_portion_whose_block_is_lost_is_replaced_by_an_empty_one_and_given_up_by_its_master(net: Network) -> None:
    net.crash(B, MemoryStore())
    net.mend(A, B)
    feed(net, A, B, "y", 1000 + 16)

    wanted = Wanted(master="alice", slaves=("bob",), count=20, size_bits=256)
    keys = net.run(A, net.kme(A).draw(wanted, net.now_s))
    assert {name for key in keys for name in key.statement.block_ids} == {"y"}
    assert [(each.block_id, each.length_bytes) for each in listed(net, A)] == [("x", 640), ("y", 640)]
    assert [(each.block_id, each.length_bytes) for each in listed(net, B)] == [("y", 0), ("y", 640)]
    taken = net.run(B, net.kme(B).take("bob", "alice", tuple(key.key_id for key in keys), net.now_s))
    assert taken == keys


def test_a_peer_that_has_nothing_to_fill_a_number_with_is_not_pushed_for_ever(net: Network) -> None:
    net.crash(B, MemoryStore())
    net.mend(A, B)

    with pytest.raises(PeerRefused, match="can't hold portion 0"):
        net.run(A, net.kme(A).draw(Wanted(master="alice", slaves=("bob",), count=1, size_bits=256), net.now_s))


def test_marks_tell_how_far_a_portion_is_used_and_that_an_empty_one_is_useless(net: Network) -> None:
    made = (portion(0, 0, 40), portion(1, 40, 0))
    for kme in (A, B):
        at(net, kme, Cut(portions=made))
    at(net, B, Skip(pool=POOL, cursors=((0, 10),)))

    assert answer(net, B, AskMarks(pool=POOL, numbers=(0, 1, 2))) == MarksAre(marks=(10, -1, -1))


def test_a_store_from_a_backup_makes_up_for_cursors_and_marks(net: Network) -> None:
    made = (portion(0, 0, 40, buffer=ALICE), portion(1, 40, 40))
    for kme in (A, B):
        at(net, kme, Cut(portions=made))
    at(net, B, Skip(pool=POOL, cursors=((0, 10), (1, 20))))
    net.run(A, portions.skip_used(B, POOL))

    assert at(net, A, Marks(pool=POOL, numbers=(0, 1))) == (10, 20)
