"""Confirmation: both ends compare what they sent and received, before either releases the key.

With :class:`~bellweave.distill.authentication_keys.AuthenticationKeys`, by one tag each way, which nobody without the
keys can forge. Without, by SHA-256 digests: they notice accidents and meddling with messages, but prove nothing against
an enemy who replaces both.

Alice speaks first. Bob's tag leaves only after hers was right, and he holds his key back until she has ended in order:
his tag may not have reached her. Whoever reports that end to Bob falsely makes him release a key that Alice does not
have; it is as secret as any, but the next session shows that they differ, and the pool is not harmed.
"""

import hmac
from dataclasses import dataclass

from bellweave.blocks import Bytes
from bellweave.dialogue import Abort, Dialogue, Transcript, receive, refuse, until_closed
from bellweave.distill import authentication
from bellweave.distill.authentication_keys import AuthenticationKeys, Pool
from bellweave.distill.messages import AliceTag, BobTag, Confirmation
from bellweave.errors import KeysUnavailable


@dataclass(frozen=True)
class Paid:
    """What authentication of one released block cost.

    Attributes:
        spent_bits: Key that was used up since the release before: this block's pads, and those of failed sessions.
        taken_bits: Bits that the pool took from the front of the block's key; applications get the rest.
        epsilon: Chance that a forgery passed, both directions.
        scheme: How the messages were authenticated.
    """

    spent_bits: int
    taken_bits: int
    epsilon: float
    scheme: str


def alice(transcript: Transcript) -> Dialogue[None]:
    """Tell, then check the answer. When this returns, the key may be used."""
    yield Confirmation(*transcript.digests())
    yield from _check((yield from receive(Confirmation)), transcript)


def bob(transcript: Transcript) -> Dialogue[None]:
    """Check, answer, and hold the key back until Alice has ended in order: the answer may not have reached her."""
    yield from _check((yield from receive(Confirmation)), transcript)
    yield Confirmation(*transcript.digests())
    yield from until_closed()


def _check(theirs: Confirmation, transcript: Transcript) -> Dialogue[None]:
    sent, received = transcript.digests()
    if not (hmac.compare_digest(theirs.sent, received) and hmac.compare_digest(theirs.received, sent)):
        yield from refuse("the two ends saw different conversations")


def alice_authenticated(
    transcript: authentication.Transcript, keys: AuthenticationKeys, link: str, block_id: str, key: Bytes
) -> Dialogue[Paid]:
    """Spend a slot, tell, and check the answer. When this returns, the key less what the pool took may be used.

    Args:
        transcript: All that crossed since the last release.
        keys: Alice's; they have admitted this session.
        link: Name of the link.
        block_id: The block to release.
        key: Its key, shape (n,).
    """
    yield from require_admission(keys)
    pool, tag = keys.sign_first(transcript.sent, link, block_id)
    yield AliceTag(slot=pool.slot, released=pool.released, tag=tag)
    answer = yield from receive(BobTag)
    if not keys.check_answer(pool, answer.tag, transcript.received, link, block_id):
        yield from refuse("the peer's tag is wrong")
    return _paid(pool, transcript, keys.release(key))


def bob_authenticated(
    transcript: authentication.Transcript, keys: AuthenticationKeys, link: str, block_id: str, key: Bytes
) -> Dialogue[Paid]:
    """Check, spend the slot, answer, and hold the key back until Alice has ended in order; otherwise as for Alice."""
    yield from require_admission(keys)
    theirs = yield from receive(AliceTag)
    pool = keys.check_first(theirs.slot, theirs.released, theirs.tag, transcript.received, link, block_id)
    if pool is None:
        return (yield from refuse("the peer's tag is wrong"))
    yield BobTag(tag=keys.sign_answer(pool, transcript.sent, link, block_id, key))
    yield from until_closed()
    return _paid(pool, transcript, keys.release(key))


def require_admission(keys: AuthenticationKeys) -> Dialogue[None]:
    """Go on only if the keys admit a session.

    Raises:
        KeysUnavailable: They do not; the peer is told.
    """
    try:
        keys.require_admission()
    except KeysUnavailable:
        yield Abort(reason="no key is available for authentication")
        raise


def _paid(pool: Pool, transcript: authentication.Transcript, taken_bits: int) -> Paid:
    epsilon = sum(
        authentication.forgery_probability(pool.params, direction.length + STATEMENT_BYTES)
        for direction in (transcript.sent, transcript.received)
    )
    return Paid(pool.spent().spent_bits - pool.paid_bits, taken_bits, epsilon, pool.params.scheme)


STATEMENT_BYTES = 1024
"""More than what ends each direction's text takes; names of links and blocks are short."""
