"""The digest tells everything apart that both ends must share."""

import numpy as np
import pytest

from bellweave.blocks import Rounds
from bellweave.dialogue import Abort
from bellweave.distill import setup
from bellweave.distill.messages import VERSION, Proposal
from bellweave.distill.params import Distillation
from bellweave.errors import ProtocolError
from bellweave.testing.pairs import Block


def test_the_digest_covers_parameters_context_and_ids_and_nothing_private() -> None:
    zeros, ones = np.zeros(3, np.uint8), np.ones(3, np.uint8)
    ids = np.array([1, 5, 9], np.int64)
    params, context = Distillation(), Block(1, 3, 0.0).context
    digest = setup.digest(Rounds(ids, zeros, zeros), params, context)

    assert digest == setup.digest(Rounds(ids, ones, ones), params, context)
    others = {
        setup.digest(Rounds(ids + 1, zeros, zeros), params, context),
        setup.digest(Rounds(ids, zeros, zeros), Distillation(epsilon=1e-9), context),
        setup.digest(Rounds(ids, zeros, zeros), params, Block(2, 3, 0.0).context),
        setup.digest(Rounds(ids, zeros, zeros), context, params),
    }
    assert len(others | {digest}) == 5


def test_another_version_of_the_protocol_is_refused() -> None:
    role = setup.bob(bytes(32))
    role.send(None)

    assert isinstance(role.send(Proposal(version=VERSION + 1, role="alice", digest=bytes(32))), Abort)
    with pytest.raises(ProtocolError, match=f"expected version {VERSION} of the protocol, not {VERSION + 1}"):
        role.send(None)
