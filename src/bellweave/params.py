"""The base of everything that can be set, and the types that carry a limit.

Parameters are frozen, keyword-only, and unknown keys are refused. msgspec checks the limits when a struct is *decoded*;
one built in Python is checked by :func:`checked`, which the verbs call before they start.
"""

from typing import Annotated, TypeVar

import msgspec

from bellweave.errors import ScenarioError


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parameter structs."""


Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
"""A dimensionless number in [0, 1]."""

NonNegative = Annotated[float, msgspec.Meta(ge=0.0)]
"""A quantity that can be zero."""

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
"""A quantity that can't be zero."""

NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]

P = TypeVar("P", bound=Params)


def checked(params: P) -> P:
    """Return ``params`` again if every value keeps its limits.

    Raises:
        ScenarioError: With the path, the value's limit and msgspec's words.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(params), type(params))
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at ")
        raise ScenarioError(words, path=place.strip("`").removeprefix("$").lstrip(".")) from None
