"""The time of day, for the drivers."""

import time


def now_s() -> float:
    """Return the seconds since 1970: keys' lives must go on over restarts and mean the same on two machines."""
    return time.time()  # noqa: TID251 the one place; everything else takes it as an argument
