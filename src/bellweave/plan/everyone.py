"""When every tunnel of a link has had a key, where there is less of it than they ask for.

Where the KMEs set key aside (``kms.low_keys`` above 0), a link's tunnels take turns, and the last one's key comes after
as many keys as there are tunnels. Else whoever asks first takes what there is. That is counted, request by request:
blocks come evenly, tunnels ask at their moments and again after ``retry_s``, and those that ask at the same moment do
so in the order of the file. A tunnel that always asks before another one leaves it nothing, however often that retries.
"""

import heapq
import math
from collections.abc import Sequence

from bellweave.network.theory import ROUNDING, Supply
from bellweave.tunnel.params import Tunnel

REQUESTS = 10_000
"""So many are looked at; a tunnel that has no key by then is taken to get none."""


def all_keyed_s(tunnels: Sequence[Tunnel], supply: Supply, *, by_turns: bool) -> float | None:
    """Return when the last of a link's tunnels gets its first key, seconds; None: never.

    Args:
        tunnels: That use the link, in the order of the file.
        supply: The link's key.
        by_turns: Whether the KMEs set key aside.
    """
    if supply.bits <= 0.0 or not tunnels:
        return None
    if not by_turns:
        return _counted_s(tunnels, supply)
    came_bits, last_s = 0.0, 0.0
    for tunnel in sorted(tunnels, key=lambda each: each.start_s):
        came_bits += tunnel.key_bits
        last_s = max(last_s, asked_s(tunnel, supply.enough_s(came_bits)))
    return last_s


def asked_s(tunnel: Tunnel, ready_s: float) -> float:
    """Return the first moment of asking at which a key is ready, for a tunnel that asks until it has one."""
    at_s = tunnel.start_s
    if math.isinf(ready_s):
        return math.inf
    if tunnel.retry_s is None:
        return at_s + tunnel.period_s * max(0, math.ceil((ready_s - at_s) / tunnel.period_s - ROUNDING))
    if ready_s > at_s:
        at_s += tunnel.period_s * math.floor((ready_s - at_s) / tunnel.period_s + ROUNDING)
        at_s += tunnel.retry_s * max(0, math.ceil((ready_s - at_s) / tunnel.retry_s - ROUNDING))
    return at_s


def _counted_s(tunnels: Sequence[Tunnel], supply: Supply) -> float | None:
    taken_bits, without = 0.0, set(range(len(tunnels)))
    due = [(tunnel.start_s, order) for order, tunnel in enumerate(tunnels)]
    heapq.heapify(due)
    for _ in range(REQUESTS):
        at_s, order = heapq.heappop(due)
        tunnel = tunnels[order]
        stock_bits = supply.bits_until(at_s) - taken_bits
        gets = stock_bits >= tunnel.key_bits * (1.0 - ROUNDING)
        if gets:
            taken_bits += tunnel.key_bits
            without.discard(order)
            if not without:
                return at_s
        past = math.floor((at_s - tunnel.start_s) / tunnel.period_s + ROUNDING)
        next_s = tunnel.start_s + (past + 1) * tunnel.period_s
        if not gets and tunnel.retry_s is not None:
            next_s = min(next_s, at_s + tunnel.retry_s)
        heapq.heappush(due, (next_s, order))
    return None
