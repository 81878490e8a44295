"""What a network run amounts to: from its events to the numbers of ``report.json``. Pure.

Counts are kept under the accounting that minted the keys. What the other accountings would give stands beside them:

* ``as-printed`` and the others, block by block, as both ends worked them out (:attr:`LinkSummary.accountings`);
* ``provable`` by accumulation (:attr:`LinkSummary.accumulated_bits`): the sifted bits of all of a link's blocks
  distilled as one, with the best sample and a threshold two standard deviations above the measured error rate. It is a
  closed form, an upper bound of what the run could have proved: a link then gives one block at its end.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bellweave.distill.ledger import Estimate, Ledger
from bellweave.network.fairness import gaps_s, jain
from bellweave.network.scheduling import Link
from bellweave.results.network_records import Alarmed, BlockDistilled, BlockLost, Delivered, LevelSampled, SlotBegan
from bellweave.results.records import BlockRecord
from bellweave.roles.run import NetworkRun
from bellweave.scenario.schema import Scenario
from bellweave.sim.network.proven import proof
from bellweave.sim.network.tunnel_summary import TunnelSummary, summarise_tunnels


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The counts of a whole run under one accounting.

    Attributes:
        accounting: Its name.
        blocks: Distillations; several blocks that are distilled as one count once.
        sifted_bits, disclosed_bits: Of all blocks; the disclosed ones without the sample.
        final_bits: Key.
        keys_delivered: Answers with a key, of ``enc_keys`` and ``dec_keys``: two a key (the data-centre paper's 86).
        sessions: Sessions with a fresh key (its 43).
        first_key_s: When the first key was delivered, or could be; None: never.
    """

    accounting: str
    blocks: int
    sifted_bits: int
    disclosed_bits: int
    final_bits: int
    keys_delivered: int
    sessions: int
    first_key_s: float | None


@dataclass(frozen=True, kw_only=True)
class LinkSummary:
    """One link.

    Attributes:
        ends: Its two nodes.
        slots: Slots that served it.
        wait_mean_s, wait_max_s: Between the beginnings of slots that serve it; before the first and after the last too.
        blocks, rejected: Distillations, and those that gave no key.
        rejections: Reason to count.
        lost: Blocks whose photons were given up before they were distilled: a node failed, or the run ended.
        ledger, estimate: Sums over its blocks.
        accountings: Key length by accounting, summed over its blocks.
        accumulated_bits: What the run's blocks would prove, distilled as one.
        accumulated_key_s: When that is enough for one key of its tunnels (of the default size if it has none).
        keys, delivered_bits: Keys that the masters' KMEs delivered from it.
        level_bits: In stock at the last look, at Alice's end.
        alarms: Alarms raised.
    """

    link: str
    ends: Link
    slots: int
    wait_mean_s: float
    wait_max_s: float
    blocks: int
    rejected: int
    rejections: Mapping[str, int]
    lost: int
    ledger: Ledger
    estimate: Estimate
    accountings: Mapping[str, int]
    accumulated_bits: int
    accumulated_key_s: float | None
    keys: int
    delivered_bits: int
    level_bits: int
    alarms: int

    @property
    def qber(self) -> float | None:
        """Share of the disclosed samples that differed; None without a sample."""
        return self.estimate.qber


@dataclass(frozen=True, kw_only=True)
class NetworkSummary:
    """A whole run.

    Attributes:
        duration_s: Of all slots.
        minted: Under the accounting that minted the keys.
        provable: The same run's blocks, accumulated link by link; equal to ``minted`` where ``provable`` minted.
            ``sessions`` are then the whole keys that the bits are enough for, ``keys_delivered`` twice as many.
        as_printed: Blocks and bits by the paper's printed removal, never minted; None where the scenario has none.
        links, tunnels: By name, in the scenario's order.
        slots: Slots that began.
        utilisation: Share of the sources' time in which a link was served, what was lost to switching taken off.
        lost_share: Share of the sources' time that switching and synchronisation took.
        wait_mean_s, wait_max_s: Of a link until its next slot, over all links.
        fairness_bits, fairness_keys: Jain's index over links' final bits, and over tunnels' sessions.
    """

    duration_s: float
    minted: Totals
    provable: Totals
    as_printed: Totals | None
    links: Mapping[str, LinkSummary]
    tunnels: Mapping[str, TunnelSummary]
    slots: int
    utilisation: float
    lost_share: float
    wait_mean_s: float
    wait_max_s: float
    fairness_bits: float
    fairness_keys: float


def summarise(run: NetworkRun) -> NetworkSummary:
    """Return what a run amounts to; of a run that was read from its directory just the same."""
    tunnels = summarise_tunnels(run)
    links, waits_s = _links(run)
    slots = [event for event in run.events if isinstance(event, SlotBegan)]
    schedule = run.scenario.schedule
    sources, slot_s = (schedule.sources, schedule.slot_s) if schedule else (1, 0.0)
    whole_s = len(slots) * sources * slot_s or 1.0
    before: tuple[str, ...] = ()
    lost_s = 0.0
    for slot in slots:
        lost_s += slot.lost_s * len(set(slot.links) - set(before))  # a link that goes on loses nothing
        before = slot.links
    minted = _minted(run, links, tunnels)
    return NetworkSummary(
        duration_s=run.duration_s,
        minted=minted,
        provable=minted if minted.accounting == "provable" else _provable(run.scenario, minted, links),
        as_printed=_as_printed(minted, links),
        links=links,
        tunnels=tunnels,
        slots=len(slots),
        utilisation=(sum(slot_s * len(slot.links) for slot in slots) - lost_s) / whole_s,
        lost_share=lost_s / whole_s,
        wait_mean_s=sum(waits_s) / len(waits_s) if waits_s else 0.0,
        wait_max_s=max(waits_s, default=0.0),
        fairness_bits=jain(link.ledger.final for link in links.values()),
        fairness_keys=jain(tunnel.sessions for tunnel in tunnels.values()),
    )


def _links(run: NetworkRun) -> tuple[dict[str, LinkSummary], list[float]]:
    """Return every link's summary, and all waiting times of all links."""
    served: dict[str, list[float]] = {name: [] for name in run.scenario.link}
    blocks: dict[str, list[BlockDistilled]] = {name: [] for name in run.scenario.link}
    lost: dict[str, set[int]] = {name: set() for name in run.scenario.link}
    alarms: Counter[str] = Counter()
    level_bits = dict.fromkeys(run.scenario.link, 0)
    for event in run.events:
        match event:
            case SlotBegan():
                for name in event.links:
                    served[name].append(event.at_s)
            case BlockDistilled():
                blocks[event.block.link].append(event)
            case BlockLost():
                lost[event.link].update(event.blocks)
            case LevelSampled():
                level_bits[event.link] = event.level_bits
            case Alarmed() if not event.over:
                alarms[event.link] += 1
    drawn = _drawn(run)
    summaries, all_waits_s = {}, []
    for name, link in run.scenario.link.items():
        waits_s = gaps_s(served[name], 0.0, run.duration_s)
        all_waits_s += waits_s
        keys, delivered_bits = drawn.get(frozenset((link.alice, link.bob)), (0, 0))
        records = [event.block for event in blocks[name]]
        proven = proof(run.scenario, blocks[name], _key_bits(run.scenario, name))
        rejections = Counter(str(record.rejection) for record in records if record.rejection is not None)
        summaries[name] = LinkSummary(
            link=name,
            ends=(link.alice, link.bob),
            slots=len(served[name]),
            wait_mean_s=sum(waits_s) / len(waits_s),
            wait_max_s=max(waits_s),
            blocks=len(records),
            rejected=sum(rejections.values()),
            rejections=rejections,
            lost=len(lost[name]),
            ledger=sum((record.ledger for record in records), Ledger()),
            estimate=sum((record.estimate for record in records), Estimate()),
            accountings=_accountings(records),
            accumulated_bits=proven.bits,
            accumulated_key_s=proven.key_s,
            keys=keys,
            delivered_bits=delivered_bits,
            level_bits=level_bits[name],
            alarms=alarms[name],
        )
    return summaries, all_waits_s


def _drawn(run: NetworkRun) -> dict[frozenset[str], tuple[int, int]]:
    """Return keys and bits that clients got, by the two nodes between which they were drawn."""
    table = run.scenario.tunnel
    drawn: dict[frozenset[str], tuple[int, int]] = {}
    for event in run.events:
        if isinstance(event, Delivered) and event.side == "client" and event.key_id:
            ends = frozenset((table[event.tunnel].client, table[event.tunnel].server))
            keys, bits = drawn.get(ends, (0, 0))
            drawn[ends] = keys + 1, bits + event.bits
    return drawn


def _accountings(records: list[BlockRecord]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for record in records:
        total.update(record.accountings)
    return dict(total)


def _key_bits(scenario: Scenario, link: str) -> int:
    """Return the size of the smallest key that is drawn from a link."""
    ends = {scenario.link[link].alice, scenario.link[link].bob}
    sizes = [tunnel.key_bits for tunnel in scenario.tunnel.values() if {tunnel.client, tunnel.server} == ends]
    return min(sizes, default=scenario.kms.key_size_bits)


def _minted(run: NetworkRun, links: Mapping[str, LinkSummary], tunnels: Mapping[str, TunnelSummary]) -> Totals:
    given = [event for event in run.events if isinstance(event, Delivered) and event.key_id]
    return Totals(
        accounting=run.scenario.kms.mint,
        blocks=sum(link.blocks for link in links.values()),
        sifted_bits=sum(link.ledger.sifted for link in links.values()),
        disclosed_bits=sum(link.ledger.disclosed for link in links.values()),
        final_bits=sum(link.ledger.final for link in links.values()),
        keys_delivered=len(given),
        sessions=sum(tunnel.sessions for tunnel in tunnels.values()),
        first_key_s=given[0].at_s if given else None,
    )


def _provable(scenario: Scenario, minted: Totals, links: Mapping[str, LinkSummary]) -> Totals:
    keys = sum(
        link.accumulated_bits // _key_bits(scenario, name)
        for name, link in links.items()
        if any({tunnel.client, tunnel.server} == set(link.ends) for tunnel in scenario.tunnel.values())
    )
    firsts_s = [link.accumulated_key_s for link in links.values() if link.accumulated_key_s is not None]
    return Totals(
        accounting="provable",
        blocks=minted.blocks,
        sifted_bits=minted.sifted_bits,
        disclosed_bits=minted.disclosed_bits,
        final_bits=sum(link.accumulated_bits for link in links.values()),
        keys_delivered=2 * keys,
        sessions=keys,
        first_key_s=min(firsts_s, default=None) if keys else None,
    )


def _as_printed(minted: Totals, links: Mapping[str, LinkSummary]) -> Totals | None:
    if not any("as-printed" in link.accountings for link in links.values()):
        return None
    return Totals(
        accounting="as-printed",
        blocks=minted.blocks,
        sifted_bits=minted.sifted_bits,
        disclosed_bits=minted.disclosed_bits,
        final_bits=sum(link.accountings.get("as-printed", 0) for link in links.values()),
        keys_delivered=0,
        sessions=0,
        first_key_s=None,
    )


__all__ = ["LinkSummary", "NetworkSummary", "Totals", "TunnelSummary", "summarise"]
