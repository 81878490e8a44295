"""What can be set about key management."""

from typing import Literal

from bellweave.params import Params


class Kms(Params, frozen=True, kw_only=True):
    """Key management.

    Attributes:
        mint: The accounting that fixes how long a block's key is: ``provable`` (finite key) or ``paper`` (as the
            papers do; its keys carry the provable length beside it, often 0).
    """

    mint: Literal["provable", "paper"] = "provable"
