"""The time of day, for the drivers."""

import time

_offset_s = 0.0


def now_s() -> float:
    """Return the seconds since 1970: keys' lives must go on over restarts and mean the same on two machines."""
    return time.time() + _offset_s  # noqa: TID251 the one place; everything else takes it as an argument


def step(offset_s: float) -> None:
    """Let this process's clock be wrong by so many seconds from now on: a fault of an emulated network; 0 ends it."""
    global _offset_s  # noqa: PLW0603 a machine has one clock
    _offset_s = offset_s
