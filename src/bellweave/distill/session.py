"""One distillation: from matched rounds to a secret block, or to the reason why there is none.

The two roles, :func:`alice` and :func:`bob`, are dialogues that any driver can run (:mod:`bellweave.dialogue`). Both
return an :class:`~bellweave.distill.outcome.Outcome`, with a reason when physics or chance denies a key; only a peer or
a line that breaks the protocol makes them raise. Nothing is released before both ends have compared what they sent and
received (:mod:`bellweave.distill.confirmation`), so that a message altered, lost or replayed on the way costs both ends
the block and never leaves them with different keys.

Entropy: Alice draws every seed. Bob takes none, his argument keeps the two signatures alike.
"""

import msgspec

from bellweave.blocks import Bytes, Role, Rounds
from bellweave.dialogue import Dialogue, Transcript, reject
from bellweave.distill import accounting, amplification, authentication, confirmation, estimation, setup, sifting
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.confirmation import Paid
from bellweave.distill.evidence import Evidence
from bellweave.distill.ledger import Book
from bellweave.distill.outcome import Context, Minted, Outcome, accepted, rejected
from bellweave.distill.params import Distillation
from bellweave.distill.reconciliation.interface import named
from bellweave.errors import BlockRejected, PeerAborted
from bellweave.rng import Entropy

__all__ = ["Context", "Outcome", "alice", "bob"]


def alice(
    rounds: Rounds,
    params: Distillation,
    context: Context,
    entropy: Entropy,
    *,
    keys: AuthenticationKeys | None = None,
    transcript: authentication.Transcript | None = None,
    evidence: Evidence | None = None,
) -> Dialogue[Outcome]:
    """Distil as Alice, whose bits are the reference.

    Args:
        rounds: What Alice knows of the block's rounds.
        params: How to distil; the same at both ends.
        context: Which block this is; the same at both ends.
        entropy: Source of the public seeds; each must be unpredictable until it is announced.
        keys: Authentication keys that have admitted this session; None: digests are compared, which proves nothing.
        transcript: What ``keys`` made, if something crossed before that the tags shall cover.
        evidence: What a test of other rounds of the block showed; it then says how long the key is.

    Raises:
        ProtocolError: The peer or the line broke the protocol; the peer raises as well.
        KeysUnavailable: The keys did not admit a session.
    """
    book = Book()
    key = _alice(rounds, params, context, entropy, book, evidence)
    return (yield from _concluded("alice", key, params, context, book, keys, transcript, evidence))


def bob(
    rounds: Rounds,
    params: Distillation,
    context: Context,
    entropy: Entropy,  # noqa: ARG001
    *,
    keys: AuthenticationKeys | None = None,
    transcript: authentication.Transcript | None = None,
    evidence: Evidence | None = None,
) -> Dialogue[Outcome]:
    """Distil as Bob, whose bits are corrected; otherwise as :func:`alice`."""
    book = Book()
    key = _bob(rounds, params, context, book, evidence)
    return (yield from _concluded("bob", key, params, context, book, keys, transcript, evidence))


def _alice(
    rounds: Rounds,
    params: Distillation,
    context: Context,
    entropy: Entropy,
    book: Book,
    evidence: Evidence | None,
) -> Dialogue[Bytes]:
    yield from setup.alice(setup.digest(rounds, *_agreed(params, context, evidence)))
    sifted = yield from sifting.alice(rounds, params.minimum_sifted_bits, book)
    kept = yield from estimation.alice(sifted, params, entropy, book)
    corrected = yield from named(params.reconciliation).alice(kept, params.verification_bits, entropy, book)
    length = yield from _key_length(params, context.mint, book, evidence)
    return (yield from amplification.alice(corrected, length, entropy))


def _bob(
    rounds: Rounds, params: Distillation, context: Context, book: Book, evidence: Evidence | None
) -> Dialogue[Bytes]:
    yield from setup.bob(setup.digest(rounds, *_agreed(params, context, evidence)))
    sifted = yield from sifting.bob(rounds, params.minimum_sifted_bits, book)
    kept = yield from estimation.bob(sifted, params, book)
    corrected = yield from named(params.reconciliation).bob(kept, params.verification_bits, book)
    length = yield from _key_length(params, context.mint, book, evidence)
    return (yield from amplification.bob(corrected, length))


def _agreed(params: Distillation, context: Context, evidence: Evidence | None) -> list[msgspec.Struct]:
    return [params, context] if evidence is None else [params, context, evidence]


def _key_length(params: Distillation, mint: Minted, book: Book, evidence: Evidence | None) -> Dialogue[int]:
    """Return the length that the minting accounting gives, >= 1; both ends find it from public counts."""
    if evidence is None:
        book.accountings = accounting.lengths(book.ledger, book.estimate, params)
    else:
        book.accountings = evidence.lengths(book.ledger, book.estimate, params)
    length = book.accountings[mint]
    if length < 1:
        yield from reject("too short", f"accounting {mint!r} leaves {length} bits")
    return length


def _concluded(
    role: Role,
    distil: Dialogue[Bytes],
    params: Distillation,
    context: Context,
    book: Book,
    keys: AuthenticationKeys | None,
    transcript: authentication.Transcript | None,
    evidence: Evidence | None,
) -> Dialogue[Outcome]:
    """Distil and confirm; a block that physics or chance denies a key becomes an outcome without one."""
    try:
        if keys is None:
            key, paid = (yield from _compared(role, distil)), None
        else:
            key, paid = yield from _authenticated(role, distil, context, keys, transcript or keys.transcript())
    except BlockRejected as why:
        return rejected(why.reason, book)
    except PeerAborted as why:
        if why.rejection is None:
            raise
        return rejected(why.rejection, book)
    return accepted(key, role, params, context, book, paid, evidence)


def _compared(role: Role, distil: Dialogue[Bytes]) -> Dialogue[Bytes]:
    transcript = Transcript()
    key = yield from transcript.watch(distil)
    yield from (confirmation.alice if role == "alice" else confirmation.bob)(transcript)
    return key


def _authenticated(
    role: Role,
    distil: Dialogue[Bytes],
    context: Context,
    keys: AuthenticationKeys,
    transcript: authentication.Transcript,
) -> Dialogue[tuple[Bytes, Paid]]:
    yield from confirmation.require_admission(keys)
    key = yield from transcript.watch(distil)
    confirm = confirmation.alice_authenticated if role == "alice" else confirmation.bob_authenticated
    paid = yield from confirm(transcript, keys, context.link, context.block_id, key)
    return key, paid
