"""Random numbers in compiled loops: xoshiro256++ (Blackman and Vigna, ACM TOMS 47, 36, 2021), and what is made of them.

A state of its own lets a run stop and go on at any moment; it is seeded from a named stream.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}
"""Nothing here allocates, so numba need not count references to the state's arrays."""

SEARCHED = 24
"""Above so many attempts at once the number of successes is found by bisection."""

_FAR = 1 << 40
"""Attempts until a success that is not to be expected; the limit keeps times within 63 bits."""


_INSIDE: dict[str, Any] = _OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Python never calls these; without the code that unpacks arguments they compile in half the time."""


def inlined(function: F) -> F:
    """Compile a function into those that call it."""
    result: F = njit(forceinline=True, **_INSIDE)(function)
    return result


def shared(function: F) -> F:
    """Compile a function once for all compiled ones that call it."""
    result: F = njit(**_INSIDE)(function)
    return result


def called(function: F) -> F:
    """Compile a function that Python calls; kept on disk between runs."""
    result: F = njit(cache=True, **_OPTIONS)(function)
    return result


def seeded(rng: np.random.Generator) -> NDArray[np.uint64]:
    """Return a fresh state, shape (4,); it is never all zero."""
    state = rng.integers(0, 1 << 64, size=4, dtype=np.uint64)
    state[0] |= np.uint64(1)
    return state


@inlined
def uniform(state: NDArray[np.uint64]) -> float:
    """Return the next number, uniform in [0, 1), a multiple of 2^-53."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    total = s0 + s3
    result = ((total << np.uint64(23)) | (total >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    state[0], state[1], state[2] = s0, s1, s2
    state[3] = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return float(result >> np.uint64(11)) * 1.1102230246251565e-16


@inlined
def successes(u: float, row: NDArray[np.float64], attempts: int) -> int:
    """Return the first k whose cumulative probability ``row[k]`` is above ``u``; at most ``attempts``."""
    if attempts <= SEARCHED:
        k = 0
        while k < attempts and u >= row[k]:
            k += 1
        return k
    low, high = 0, attempts
    while low < high:
        middle = (low + high) >> 1
        if u >= row[middle]:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def attempts_until(u: float, log_failure: float) -> int:
    """Return the number of attempts up to and with the first success; ``log_failure`` < 0 is that of one failing."""
    wait = math.log(1.0 - u) / log_failure
    if not wait < _FAR:
        return _FAR
    return 1 + int(wait)


def binomial_table(success: float, most: int) -> NDArray[np.float64]:
    """Return the probabilities of at most k successes out of n, row n and column k, shape (most + 1, most + 1)."""
    table = np.ones((most + 1, most + 1))
    chance = np.zeros(most + 2)
    chance[0] = 1.0
    for n in range(1, most + 1):
        chance[1 : n + 1] = chance[1 : n + 1] * (1.0 - success) + chance[:n] * success
        chance[0] *= 1.0 - success
        table[n, :n] = np.minimum(np.cumsum(chance[:n]), 1.0)
    return table
