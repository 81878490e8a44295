"""Setup: both ends speak the same protocol about the same block with the same parameters, or stop at once."""

import hashlib
import hmac

import msgspec

from bellweave.blocks import Role, Rounds
from bellweave.dialogue import Dialogue, receive, refuse
from bellweave.distill.messages import VERSION, Proposal


def digest(rounds: Rounds, *agreed: msgspec.Struct) -> bytes:
    """Return SHA-256 of what both ends must share: parameters, context and the ids of the rounds; 32 bytes."""
    parts = [*(msgspec.msgpack.encode(part) for part in agreed), rounds.id.astype("<i8").tobytes()]
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.digest()


def alice(mine: bytes) -> Dialogue[None]:
    """Propose, then check the answer."""
    yield Proposal(version=VERSION, role="alice", digest=mine)
    yield from _check((yield from receive(Proposal)), "bob", mine)


def bob(mine: bytes) -> Dialogue[None]:
    """Check the proposal, then answer."""
    yield from _check((yield from receive(Proposal)), "alice", mine)
    yield Proposal(version=VERSION, role="bob", digest=mine)


def _check(theirs: Proposal, role: Role, mine: bytes) -> Dialogue[None]:
    if theirs.role != role:
        yield from refuse(f"expected a proposal by {role}, not by {theirs.role}")
    if theirs.version != VERSION:
        yield from refuse(f"expected version {VERSION} of the protocol, not {theirs.version}")
    if not hmac.compare_digest(theirs.digest, mine):
        yield from refuse("the two ends differ in parameters, context or rounds")
