"""Count keys by hand: blocks flow into a link's pool, tunnels ask at their moments, and whoever asks first is served.

It knows nothing of photons, KMEs or messages, so it is what theory expects of the simulation's key management; fed with
a run's own blocks it must give that run's own sessions.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bellweave.plan import expected_block
from bellweave.results.network_records import BlockDistilled, Event
from bellweave.scenario.schema import Scenario

Supply = Mapping[str, Sequence[tuple[float, float]]]
"""By link: (moment in seconds, bits that then reach the pool), in order of time."""


@dataclass(frozen=True)
class Served:
    """A key that a tunnel got at a moment."""

    at_s: float
    tunnel: str


def count(scenario: Scenario, supply: Supply, horizon_s: float, *, chunk_bits: int = 8) -> list[Served]:
    """Return who is served when, in order of time.

    A pool gives key in whole bytes, or in whole chunks: what has not filled one can't be used yet.

    Args:
        scenario: Its links and tunnels.
        supply: What reaches the pools.
        horizon_s: Requests at this moment and later are not made.
        chunk_bits: Size in which a pool releases bits.
    """
    taken = dict.fromkeys(scenario.link, 0)
    served = []
    for at_s, tunnel, link in _requests(scenario, horizon_s):
        came_bits = sum(8 * (int(bits) // 8) for moment_s, bits in supply.get(link, ()) if moment_s < at_s)
        key_bits = scenario.tunnel[tunnel].key_bits
        if taken[link] + key_bits <= came_bits // chunk_bits * chunk_bits:
            taken[link] += key_bits
            served.append(Served(at_s, tunnel))
    return served


def expected(scenario: Scenario, *, accounting: str | None = None, block_bits: float | None = None) -> Supply:
    """Return what theory expects to reach the pools: links in turn, every block like the mean one.

    Args:
        scenario: With a ``[schedule]`` of one source; links are served in their order.
        accounting: Which one; default: the one that mints.
        block_bits: Key of a slot, if it is known; then ``accounting`` is not asked.
    """
    schedule = scenario.schedule
    if schedule is None:
        return {}
    links, together = list(scenario.link), scenario.distill.accumulate_blocks
    slots = schedule.slots or scenario.run.blocks
    supply: dict[str, list[tuple[float, float]]] = {name: [] for name in links}
    gain = {
        name: block_bits * together
        if block_bits is not None
        else expected_block(scenario, name).accountings[accounting or scenario.kms.mint]
        for name in links
    }
    for at, name in enumerate(links):
        for turn in range(together, (slots - at + len(links) - 1) // len(links) + 1, together):
            slot = (turn - 1) * len(links) + at
            supply[name].append(((slot + 1) * schedule.slot_s, gain[name]))
    return supply


def measured(events: Iterable[Event], accounting: str | None = None) -> Supply:
    """Return what reached the pools in a run: the key that was minted, or what another accounting would give."""
    supply: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        if isinstance(event, BlockDistilled):
            block = event.block
            bits = block.ledger.final if accounting is None else max(0, block.accountings.get(accounting, 0))
            supply.setdefault(block.link, []).append((event.at_s, bits))
    return supply


def _requests(scenario: Scenario, horizon_s: float) -> Iterator[tuple[float, str, str]]:
    """Yield (moment, tunnel, link) of every request, in order of time; those without a link ask in vain."""
    link_of = {frozenset((link.alice, link.bob)): name for name, link in scenario.link.items()}
    found = []
    for order, (name, tunnel) in enumerate(scenario.tunnel.items()):
        link = link_of.get(frozenset((tunnel.client, tunnel.server)))
        if link is None or horizon_s <= tunnel.start_s:
            continue
        turns = math.ceil((horizon_s - tunnel.start_s) / tunnel.period_s - 1e-9)
        found += [(tunnel.start_s + turn * tunnel.period_s, order, name, link) for turn in range(turns)]
    for at_s, _, name, link in sorted(found):
        yield at_s, name, link
