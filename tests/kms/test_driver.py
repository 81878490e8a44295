import pytest

from bellweave.errors import PeerRefused, PeerUnreachable
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply, Work, apply, ask
from bellweave.kms.messages import Done, Ping, Retract, Welcome
from bellweave.kms.operations import Witness
from bellweave.testing.key_servers import network

A, B = "kme-a", "kme-b"


def ping(changes: int) -> Work[Done]:
    return (yield from ask(B, Ping(changes=changes), Done))


def told(net: Network) -> int:
    (changes,) = net.store(B).apply([Witness(peer=A)])
    result: int = changes
    return result


def test_an_answer_that_is_lost_comes_after_the_other_end_has_acted() -> None:
    net = network()
    net.lose_answers(A, B)

    with pytest.raises(PeerUnreachable):
        net.run(A, ping(50))
    assert told(net) == 50
    assert net.run(A, ping(51)) == Done()


def test_over_a_link_that_is_cut_nobody_is_reached() -> None:
    net = network()
    net.cut(A, B)

    with pytest.raises(PeerUnreachable):
        net.run(A, ping(50))
    assert told(net) < 50


def test_a_refusal_and_an_answer_of_another_kind_are_errors() -> None:
    net = network()

    with pytest.raises(PeerRefused, match="can't answer Done"):
        net.run(A, ask(B, Done(), Done))
    with pytest.raises(PeerRefused, match="answered Retract with Done"):
        net.run(A, ask(B, Retract(key_ids=()), Welcome))


def test_work_can_be_advanced_by_hand() -> None:
    net = network()
    work = Running(net, A, ping(50))
    with pytest.raises(ValueError, match="under way"):
        work.result()
    work.act()
    assert (told(net), work.done) == (50, False)
    work.resume()
    assert (work.done, work.result()) == (True, Done())
    with pytest.raises(ValueError, match="ended"):
        work.act()


def test_work_that_was_given_up_has_no_result() -> None:
    work = Running(network(), A, ping(50))
    work.close()

    assert work.done
    with pytest.raises(PeerUnreachable):
        work.result()


def test_a_kme_that_crashed_starts_anew_on_its_store() -> None:
    net = network()
    before = net.kme(B)
    net.run(A, ping(50))
    net.crash(B)

    assert net.kme(B) is not before
    assert told(net) == 50
    assert not net.kme(A).in_step(B)


def test_store_operations_run_at_the_kmes_own_store() -> None:
    net = network()
    net.run(A, apply(Witness(peer="x", changes=7)))

    assert [net.perform(kme, Apply((Witness(peer="x"),))) for kme in (A, B)] == [[7], [0]]
