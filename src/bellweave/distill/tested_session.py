"""A session after a test: announce, judge, distil what is left.

The test is a stage that returns the key rounds and its :data:`~bellweave.distill.evidence.Evidence`. A CHSH test that
shows no entanglement ends both ends here, with an outcome like that of any block which gives no key.
"""

from typing import TypeVar

from bellweave.blocks import Role, Rounds
from bellweave.dialogue import Dialogue, reject
from bellweave.distill import session
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.chsh import CLASSICAL, ChshTest
from bellweave.distill.evidence import Evidence
from bellweave.distill.ledger import Book
from bellweave.distill.outcome import Context, Outcome, rejected
from bellweave.distill.params import Distillation
from bellweave.errors import BlockRejected
from bellweave.rng import Entropy

E = TypeVar("E", bound=Evidence | None)


def distilled(
    role: Role,
    testing: Dialogue[tuple[Rounds, E]],
    params: Distillation,
    context: Context,
    entropy: Entropy,
    *,
    keys: AuthenticationKeys | None = None,
) -> Dialogue[tuple[Outcome, E]]:
    """Run the test, then the session; both are authenticated if there are keys.

    Args:
        role: One's own.
        testing: One's own role of the test, and of what comes before.
        params: How to distil; the same at both ends.
        context: Which block this is; the same at both ends.
        entropy: Of the session.
        keys: Authentication keys that have admitted this session; None: digests of the session are compared.

    Raises:
        ProtocolError: The peer or the line broke the protocol; the peer raises as well.
    """
    transcript = keys.transcript() if keys else None
    rounds, evidence = yield from (transcript.watch(testing) if transcript else testing)
    if isinstance(evidence, ChshTest) and not evidence.passes:
        try:
            yield from reject("chsh not above 2", f"S is at least {evidence.bound:.4f}, the limit is {CLASSICAL}")
        except BlockRejected as why:
            return rejected(why.reason, Book()), evidence
    role_of = session.alice if role == "alice" else session.bob
    outcome = yield from role_of(rounds, params, context, entropy, keys=keys, transcript=transcript, evidence=evidence)
    return outcome, evidence
