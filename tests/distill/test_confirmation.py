"""Keys are released only to ends that saw the same conversation."""

import pytest

from bellweave.dialogue import Dialogue, Transcript, receive
from bellweave.distill import confirmation
from bellweave.distill.messages import Verified
from bellweave.errors import PeerAborted, ProtocolError
from bellweave.sim.classical import converse, settle
from bellweave.testing.pairs import DISTILLATION


def says(count: int) -> Dialogue[None]:
    for _ in range(count):
        yield Verified()


def hears(count: int) -> Dialogue[None]:
    for _ in range(count):
        yield from receive(Verified)


def alice(said: int) -> Dialogue[str]:
    transcript = Transcript()
    yield from transcript.watch(says(said))
    yield from confirmation.alice(transcript)
    return "key"


def bob(heard: int) -> Dialogue[str]:
    transcript = Transcript()
    yield from transcript.watch(hears(heard))
    yield from confirmation.bob(transcript)
    return "key"


def test_equal_transcripts_release_both_keys() -> None:
    assert converse(alice(2), bob(2), DISTILLATION) == ("key", "key")


def test_a_message_put_in_on_the_way_releases_none() -> None:
    """Bob heard one that Alice never sent: the first is delivered twice by pretending that it is the second."""
    transcript = Transcript()

    def forgetful() -> Dialogue[str]:
        yield Verified()
        yield from transcript.watch(says(1))
        yield from confirmation.alice(transcript)
        return "key"

    hers, his = settle(forgetful(), bob(2), DISTILLATION)

    assert isinstance(his, ProtocolError)
    assert isinstance(hers, PeerAborted)


@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_confirmation_releases_none(which: int) -> None:
    def flip(direction: str, number: int, data: bytes) -> bytes:
        last = ("alice to bob", 1) if which == 0 else ("bob to alice", 0)
        return data[:-1] + bytes([data[-1] ^ 1]) if (direction, number) == last else data

    hers, his = settle(alice(1), bob(1), DISTILLATION, tamper=flip)

    assert isinstance(hers, ProtocolError)
    assert isinstance(his, ProtocolError)
