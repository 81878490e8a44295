"""Before a block is used its two ends prove to each other that they hold the same bytes.

The tag is Poly1305 (RFC 8439, 2.5) with the public, random ``r`` of the message and, as ``s``, the block's own last
bytes, which are spent on it. So it tells nothing of the rest, and two blocks that differ in the rest have the same tag
with a probability of at most 8 L / 2^106 for L pieces of 16 bytes, 2^-92 for the longest block. With 64 confirmation
bits the tag is cut to its first 8 bytes and masked with those (XOR); that leaves 2^-28, enough against accidents. With
none there is no tag: the two only tell each other which blocks they hold. A block too short to pay for its tag has none
either, and is spent.

``s`` masks one tag only. So the lead first asks which blocks the peer holds, then draws ``r``, and says the same
message again, never another one, until it is answered. A lead that crashes just then makes a second tag of the block;
who has broken the link's TLS, too, then learns 128 bits of it.
"""

import hmac
from typing import Literal

from cryptography.hazmat.primitives.poly1305 import Poly1305

from bellweave.errors import PeerRefused
from bellweave.kms import operations
from bellweave.kms.effects import Apply, Work, apply, apply_all, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Confirm, Confirmed
from bellweave.kms.operations import Settle, Verdicts, Waiting
from bellweave.kms.records import Block

NONCE_BYTES = 16
AT_ONCE = 64
ROUNDS = 16
"""How many times so many blocks are asked about at a time: those that the peer lacks are passed over."""

Settled = Literal["confirmed", "quarantined"]
Verdict = Literal["confirmed", "quarantined", "absent", "held"]


def tag(block: Block, nonce: bytes, tag_bytes: int) -> bytes:
    """Return the proof that one holds this block, ``tag_bytes`` (16, 8, or 0) long; empty if the block is no longer.

    The ``nonce`` is 16 random bytes, drawn after both ends hold the block.
    """
    if not tag_bytes or len(block.material) <= tag_bytes:
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


def confirm(memory: Memory, peer: str, pool: str) -> Work[None]:
    """At the lead: have the peer check the blocks that wait, and settle those that it holds, too.

    Raises:
        PeerUnreachable, PeerRefused: The rest goes on waiting.
    """
    yield from _prove(memory, peer, pool)
    asked: set[str] = set()
    for _ in range(ROUNDS):
        waiting = yield from apply(Waiting(pool=pool, limit=AT_ONCE + len(asked)))
        blocks = [block for block in waiting if block.block_id not in asked]
        if not blocks:
            return
        asked.update(block.block_id for block in blocks)
        question = Confirm(pool=pool, key=b"", tags=tuple((block.block_id, b"") for block in blocks))
        verdicts = yield from _ask(memory, peer, question)
        if pool in memory.confirming:  # another work is about to send tags, perhaps of these blocks
            return
        held = [block for block, verdict in zip(blocks, verdicts, strict=True) if verdict == "held"]
        if held:
            nonce = memory.entropy.bytes(NONCE_BYTES)
            tag_bytes = memory.params.confirmation_bits // 8
            tags = tuple((block.block_id, tag(block, nonce, tag_bytes)) for block in held)
            memory.confirming[pool] = Confirm(pool=pool, key=nonce, tags=tags)
            yield from _prove(memory, peer, pool)


def _prove(memory: Memory, peer: str, pool: str) -> Work[None]:
    """Send the tags that wait for an answer, the same until it comes."""
    message = memory.confirming.get(pool)
    if message is not None:
        yield from _ask(memory, peer, message)
        memory.confirming.pop(pool, None)


def _ask(memory: Memory, peer: str, message: Confirm) -> Work[tuple[Verdict, ...]]:
    """Ask for verdicts, and settle the blocks on which there is one; one that has expired meanwhile stays as it is."""
    reply = yield from ask(peer, message, Confirmed)
    if len(reply.verdicts) != len(message.tags):
        raise PeerRefused(f"{peer} gave {len(reply.verdicts)} verdicts on {len(message.tags)} blocks")
    verdicts = dict(zip((name for name, _ in message.tags), reply.verdicts, strict=True))
    waiting = yield from apply(Waiting(pool=message.pool, limit=len(verdicts), block_ids=tuple(verdicts)))
    settled = tuple(
        _settle(block, verdict, memory.params.confirmation_bits // 8)
        for block in waiting
        if (verdict := verdicts[block.block_id]) == "confirmed" or verdict == "quarantined"
    )
    if settled:
        yield Apply(settled)
    return reply.verdicts


def answer_confirm(memory: Memory, sender: str, message: Confirm) -> Work[Confirmed]:
    """Check the lead's tags; a block that differs goes into quarantine at both ends."""
    pool = message.pool
    if memory.roster.pools.get(pool) != sender or memory.roster.leads(pool):
        raise PeerRefused(f"{sender} does not lead {pool} here")
    if len(message.key) not in {0, NONCE_BYTES}:
        raise PeerRefused(f"the key of a confirmation has {NONCE_BYTES} bytes, not {len(message.key)}")
    names = tuple(name for name, _ in message.tags)
    waiting, known = yield from apply_all(
        Waiting(pool=pool, limit=len(names), block_ids=names), Verdicts(pool=pool, block_ids=names)
    )
    verdicts: list[Verdict] = [_told(each) for each in known]
    if message.key:
        tag_bytes = memory.params.confirmation_bits // 8
        blocks = {block.block_id: block for block in waiting}
        settled = []
        for index, (name, theirs) in enumerate(message.tags):
            if name in blocks:
                same = hmac.compare_digest(tag(blocks[name], message.key, tag_bytes), theirs)
                verdict: Settled = "confirmed" if same else "quarantined"
                verdicts[index] = verdict
                settled.append(_settle(blocks[name], verdict, tag_bytes))
        if settled:
            yield from apply_all(*settled)
    return Confirmed(verdicts=tuple(verdicts))


def _told(verdict: operations.Verdict | None) -> Verdict:
    if verdict is None:
        return "absent"
    return "held" if verdict == "waiting" else verdict


def _settle(block: Block, verdict: Settled, tag_bytes: int) -> Settle:
    spent_bytes = min(tag_bytes, len(block.material))
    return Settle(pool=block.pool, block_id=block.block_id, verdict=verdict, tag_bytes=spent_bytes)
