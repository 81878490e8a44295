"""Keys that a KME draws for another KME: one-time pads and seeds. They come from the direct pool that the two share.

A pad is drawn for one message and used once. What is said again after a cut is the same message, byte for byte; what is
said anew has a new pad.
"""

from bellweave.errors import PeerRefused
from bellweave.kms import drawing
from bellweave.kms.effects import Work, apply
from bellweave.kms.memory import Memory
from bellweave.kms.operations import Levels, Take
from bellweave.kms.records import Buffer, Material, Purpose
from bellweave.kms.wanted import Wanted


def xor(one: bytes, other: bytes) -> bytes:
    """Return the exclusive or of two strings of one length.

    >>> xor(b"AB", b"  ")
    b'ab'

    Raises:
        ValueError: Their lengths differ: a pad covers all of its message.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one)} bytes can't be padded with {len(other)}")
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def wanted_of(memory: Memory, peer: str, count: int, size_bytes: int, purpose: Purpose) -> Wanted:
    """Return the request of this KME for keys that it shares with another one."""
    return Wanted(
        master=f"@{memory.kme}",
        slaves=(f"@{peer}",),
        count=count,
        size_bits=8 * size_bytes,
        route="direct",
        purpose=purpose,
    )


def draw_one(memory: Memory, peer: str, size_bytes: int, purpose: Purpose, now_s: float) -> Work[Material]:
    """Draw one key for another KME.

    Raises:
        DeliveryError: As :func:`bellweave.kms.drawing.draw`.
    """
    (material,) = yield from drawing.draw(memory, wanted_of(memory, peer, 1, size_bytes, purpose), now_s)
    return material


def take_of(memory: Memory, sender: str, key_id: bytes, now_s: float) -> Take:
    """Return the operation that takes a key which another KME drew for this one."""
    return Take(caller=f"@{memory.kme}", master=f"@{sender}", key_ids=(key_id,), now_s=now_s)


def take_one(memory: Memory, sender: str, key_id: bytes, now_s: float) -> Work[Material]:
    """Take a key that another KME drew for this one.

    Raises:
        UnknownKeys, StoreFailed: It is not taken.
        PeerRefused: That KME has not greeted since this one started, which may run on a backup.
    """
    if sender in memory.strangers:
        raise PeerRefused(f"{memory.kme} is not in step with {sender} yet")
    (material,) = yield from apply(take_of(memory, sender, key_id, now_s))
    return material


def lacks(pool: str, low_bits: int) -> Work[bool]:
    """Return whether a pool holds less than so many bits that are in no buffer."""
    (level,) = yield from apply(Levels(buffers=(Buffer(master="", slave="", pool=pool),)))
    return 8 * (level.free_bytes + level.waiting_bytes) < low_bits
