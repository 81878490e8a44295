"""Before a block is used its two ends prove to each other that they hold the same bytes.

The tag is Poly1305 (RFC 8439, 2.5) with the public, random ``r`` of the message and, as ``s``, the block's own last
bytes, which are spent on it. So it tells nothing of the rest, and two blocks that differ in the rest have the same tag
with a probability of at most 8 L / 2^106 for L pieces of 16 bytes, 2^-92 for the longest block. With 64 confirmation
bits the tag is cut to its first 8 bytes and masked with those (XOR); that leaves 2^-28, enough against accidents. With
none there is no tag: the two only tell each other which blocks they hold.
"""

import hmac
from typing import Literal

from cryptography.hazmat.primitives.poly1305 import Poly1305

from bellweave.errors import PeerRefused
from bellweave.kms.effects import Work, apply, apply_all, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Confirm, Confirmed
from bellweave.kms.operations import Settle, Verdicts, Waiting
from bellweave.kms.records import Block

NONCE_BYTES = 16
AT_ONCE = 64


def tag(block: Block, nonce: bytes, tag_bytes: int) -> bytes:
    """Return the proof that one holds this block, which is longer than ``tag_bytes`` (16, 8, or 0: no proof).

    The ``nonce`` is 16 random bytes, drawn after both ends hold the block.
    """
    if not tag_bytes:
        return b""
    body, pad = block.material[:-tag_bytes], block.material[-tag_bytes:]
    whole = tag_bytes == NONCE_BYTES
    poly = Poly1305(nonce + (pad if whole else bytes(NONCE_BYTES)))
    for name in (block.pool.encode(), block.block_id.encode()):
        poly.update(len(name).to_bytes(4, "big") + name)
    poly.update(body)
    result = poly.finalize()
    if whole:
        return result
    return bytes(a ^ b for a, b in zip(result[:tag_bytes], pad, strict=True))


def confirm(memory: Memory, peer: str, pool: str) -> Work[int]:
    """At the lead: have the peer check some blocks that wait, and settle those that it knows. Return how many.

    Raises:
        PeerUnreachable, PeerRefused: They go on waiting.
    """
    tag_bytes = memory.params.confirmation_bits // 8
    waiting = yield from apply(Waiting(pool=pool, limit=AT_ONCE))
    blocks = yield from _settle_short(waiting, tag_bytes)
    if not blocks:
        return 0
    nonce = memory.entropy.bytes(NONCE_BYTES)
    tags = tuple((block.block_id, tag(block, nonce, tag_bytes)) for block in blocks)
    reply = yield from ask(peer, Confirm(pool=pool, key=nonce, tags=tags), Confirmed)
    if len(reply.verdicts) != len(blocks):
        raise PeerRefused(f"{peer} gave {len(reply.verdicts)} verdicts on {len(blocks)} blocks")
    settled = tuple(
        Settle(pool=pool, block_id=block.block_id, verdict=verdict, tag_bytes=tag_bytes)
        for block, verdict in zip(blocks, reply.verdicts, strict=True)
        if verdict != "absent"
    )
    if settled:
        yield from apply_all(*settled)
    return len(settled)


def answer_confirm(memory: Memory, sender: str, message: Confirm) -> Work[Confirmed]:
    """Check the lead's tags; a block that differs goes into quarantine at both ends."""
    pool = message.pool
    if memory.roster.pools.get(pool) != sender or memory.roster.leads(pool):
        raise PeerRefused(f"{sender} does not lead {pool} here")
    if len(message.key) != NONCE_BYTES:
        raise PeerRefused(f"the key of a confirmation has {NONCE_BYTES} bytes, not {len(message.key)}")
    tag_bytes = memory.params.confirmation_bits // 8
    names = tuple(name for name, _ in message.tags)
    waiting, known = yield from apply_all(
        Waiting(pool=pool, limit=len(names), block_ids=names), Verdicts(pool=pool, block_ids=names)
    )
    blocks = {block.block_id: block for block in (yield from _settle_short(waiting, tag_bytes))}
    settled = []
    verdicts: list[Literal["confirmed", "quarantined", "absent"]] = [
        "absent" if each is None or each == "waiting" else each for each in known
    ]
    for index, (name, theirs) in enumerate(message.tags):
        if name in blocks:
            same = hmac.compare_digest(tag(blocks[name], message.key, tag_bytes), theirs)
            verdict: Literal["confirmed", "quarantined"] = "confirmed" if same else "quarantined"
            settled.append(Settle(pool=pool, block_id=name, verdict=verdict, tag_bytes=tag_bytes))
            verdicts[index] = verdict
    if settled:
        yield from apply_all(*settled)
    return Confirmed(verdicts=tuple(verdicts))


def _settle_short(blocks: tuple[Block, ...], tag_bytes: int) -> Work[tuple[Block, ...]]:
    """Spend blocks that are too short to pay for their tag; return the others."""
    short = [block for block in blocks if len(block.material) <= tag_bytes]
    if short:
        yield from apply_all(
            *(
                Settle(pool=block.pool, block_id=block.block_id, verdict="confirmed", tag_bytes=len(block.material))
                for block in short
            )
        )
    return tuple(block for block in blocks if len(block.material) > tag_bytes)
