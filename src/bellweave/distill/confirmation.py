"""Confirmation: both ends compare what they sent and received, before either releases the key.

SHA-256 notices accidents and meddling with messages; against an enemy who can forge both directions it proves nothing.
"""

import hmac

from bellweave.dialogue import Dialogue, Transcript, receive, refuse, until_closed
from bellweave.distill.messages import Confirmation


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
