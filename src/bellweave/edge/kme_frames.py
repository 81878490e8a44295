"""How messages lie in the stream between two KMEs.

Grammar: a frame is four bytes, the length of what follows them; four bytes, the number of the question, its top bit set
in the answer to it; and one message of :data:`bellweave.kms.messages.CODEC`. Numbers are big-endian; each end counts
its own questions.
"""

import struct
from collections.abc import Iterator

from bellweave.errors import ProtocolError

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest message: room for the copies of a multicast of the most and the largest keys that can be configured."""

ANSWER = 1 << 31
"""The bit of a question's number that marks the answer to it."""

_HEAD = struct.Struct(">II")
_LENGTH_BYTES = 4
_NUMBER_BYTES = 4


def framed(number: int, data: bytes) -> bytes:
    """Return the frame that carries an encoded message.

    Raises:
        ProtocolError: The message is longer than :data:`MAX_MESSAGE_BYTES`.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {len(data)} bytes, the limit is {MAX_MESSAGE_BYTES}")
    return _HEAD.pack(_NUMBER_BYTES + len(data), number) + data


class Frames:
    """Takes frames out of a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._wanted_bytes = _HEAD.size

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next piece and return the frames that it completes: (number, message).

        Raises:
            ProtocolError: A frame is too long or too short. The stream is of no further use.
        """
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes < self._wanted_bytes:
            return  # joined once, when all of it is there: a long frame comes in hundreds of pieces
        data = b"".join(self._pieces) if len(self._pieces) > 1 else piece
        start = 0
        self._wanted_bytes = _HEAD.size
        while len(data) - start >= _HEAD.size:
            length, number = _HEAD.unpack_from(data, start)
            if not _NUMBER_BYTES <= length <= _NUMBER_BYTES + MAX_MESSAGE_BYTES:
                raise ProtocolError(f"a frame of {length} bytes, the limit is {_NUMBER_BYTES + MAX_MESSAGE_BYTES}")
            end = start + _LENGTH_BYTES + length
            if end > len(data):
                self._wanted_bytes = end - start
                break
            yield number, data[start + _HEAD.size : end]
            start = end
        rest = data[start:]
        self._pieces = [rest] if rest else []
        self._held_bytes = len(rest)
