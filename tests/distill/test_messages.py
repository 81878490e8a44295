"""The wire format, byte by byte: a change here breaks peers of another version, so VERSION must rise with it."""

import pytest

from bellweave.dialogue import Codec, Message, encode
from bellweave.distill import messages

GOLDEN: list[tuple[Message, str]] = [
    (
        messages.Proposal(version=1, role="alice", digest=b"\1\2"),
        "84a474797065a850726f706f73616ca776657273696f6e01a4726f6c65a5616c696365a6646967657374c4020102",
    ),
    (messages.Bases(bases=b"\x80"), "82a474797065a54261736573a56261736573c40180"),
    (messages.Parities(bits=b"\xa0"), "82a474797065a85061726974696573a462697473c401a0"),
    (messages.Differences(bits=b""), "82a474797065ab446966666572656e636573a462697473c400"),
    (messages.Verified(), "81a474797065a85665726966696564"),
]


@pytest.mark.parametrize(("message", "data"), GOLDEN, ids=lambda value: type(value).__name__)
def test_messages_look_like_this_on_the_wire(message: Message, data: str) -> None:
    assert encode(message).hex() == data
    assert Codec(*messages.KINDS).decode(bytes.fromhex(data)) == message


def test_every_message_class_of_the_module_may_cross() -> None:
    defined = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message
    }

    assert set(messages.KINDS) == defined
    assert messages.VERSION == 2
