"""How the engine's functions are compiled.

None of them allocates, so numba need not count references: with its counting (atomic additions wherever an array is
touched) the engine takes three times as long. ``_nrt`` is numba's own name for that choice; ``forceinline`` makes the
arrays' descriptions local to the one function that is called.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}


def compiled(function: F) -> F:
    """Compile a function that Python calls; kept on disk between runs."""
    result: F = njit(cache=True, **_OPTIONS)(function)
    return result


def inlined(function: F) -> F:
    """Compile a function into those that call it."""
    result: F = njit(forceinline=True, **_OPTIONS)(function)
    return result
