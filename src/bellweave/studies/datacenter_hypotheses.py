"""Why was the paper's key delivery slow for 900 s, and why 43 sessions? Every hypothesis is run, none is tuned.

Each changes one thing (the last one several) of the preset, is simulated with the same seeds, and stands beside what
counting by hand expects of it. That a number comes near 43 proves nothing; the shape in time must fit, too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bellweave.network.params import Fault
from bellweave.results.network_records import Event, SessionBegan
from bellweave.results.summary import Mean, mean
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.studies import datacenter_counting as counting

Change = Callable[[Scenario], Scenario]

SLOW_S = 900.0
"""Until when the paper calls its delivery slow."""

BYTE_BITS = 8

PRINTED_BITS = 554.0
"""Key of a block, as the paper prints it."""


@dataclass(frozen=True)
class Hypothesis:
    """One explanation to try.

    Attributes:
        name: Short.
        sentence: What is assumed.
        change: The preset with it.
        chunk_bits: Size in which pools release key. Our KMS cuts at bytes; larger chunks are counted by hand over the
            blocks of the simulation, because our KMS can't do it.
    """

    name: str
    sentence: str
    change: Change
    chunk_bits: int = BYTE_BITS


@dataclass(frozen=True)
class Found:
    """What a hypothesis gives.

    Attributes:
        hypothesis: Which one.
        horizon_s: Length of the runs.
        sessions: Mean over the seeds of sessions with a fresh key (the paper's 43).
        theory: The same, counted by hand over expected blocks.
        printed_theory: The same over blocks of the printed 554 bits.
        first_s: Mean moment of the first session; None where a run has none.
        late_share: Share of the sessions that began in the paper's last 150 s, 900 to 1050 s, of those until then.
        moments_s: When the sessions of each seed's run began.
    """

    hypothesis: Hypothesis
    horizon_s: float
    sessions: Mean
    theory: int
    printed_theory: int
    first_s: Mean | None
    late_share: float | None
    moments_s: tuple[tuple[float, ...], ...]


def hypotheses() -> tuple[Hypothesis, ...]:
    """Return all of them, the text as it stands first."""
    found = [
        Hypothesis("as the text says", "nothing else", lambda scenario: scenario),
        Hypothesis("four times as long", "the run lasts 400 blocks, 4200 s", lambda each: _slots(each, 400)),
    ]
    for blocks in (2, 4, 8, 16):
        sentence = f"{blocks} blocks of a link are distilled as one (paper accounting)"
        found.append(Hypothesis(f"{blocks} blocks distilled as one", sentence, _accumulated(blocks)))
    for bits in (1024, 2048, 4096):
        sentence = f"a KMS releases key in chunks of {bits} bits; counted over the simulation's own blocks"
        found.append(Hypothesis(f"KMS chunks of {bits} bits", sentence, lambda each: each, bits))
    for late_s in (300.0, 600.0, 900.0):
        sentence = f"tunnels ask from {late_s:.0f} s on; key is stocked until then"
        found.append(Hypothesis(f"tunnels start at {late_s:.0f} s", sentence, _late_tunnels(late_s)))
    for late_s in (300.0, 600.0):
        sentence = f"detectors, KMSs and gateways are down until {late_s:.0f} s; the pairs of that time are lost"
        found.append(Hypothesis(f"all nodes up at {late_s:.0f} s", sentence, _late_nodes(late_s)))
    found += [
        Hypothesis("unaligned timers", "the twelve timers are 5 s apart", _unaligned),
        Hypothesis(
            "two keys a session",
            "a session takes 1024 bits, as if each end drew 512 of its own: 86 different keys, 43 sessions",
            _two_keys,
        ),
        Hypothesis(
            "three together",
            "4 blocks distilled as one, tunnels from 300 s on, timers 5 s apart",
            lambda each: _unaligned(_late_tunnels(300.0)(_accumulated(4)(each))),
        ),
    ]
    return tuple(found)


def try_all(
    scenario: Scenario, seeds: Sequence[int], chosen: Sequence[Hypothesis], simulated: Callable[[], None]
) -> Iterator[Found]:
    """Run hypotheses with every seed, at the level of coincidences; yield what each gives.

    Args:
        scenario: The preset.
        seeds: At least one.
        chosen: Some of :func:`hypotheses`.
        simulated: Called after each run.
    """
    scenario = msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, level="coincidences"))
    plain: list[NetworkRun] = []
    for hypothesis in chosen:
        changed = hypothesis.change(scenario)
        if hypothesis.chunk_bits == BYTE_BITS or not plain:
            runs = []
            for seed in seeds:
                runs.append(simulate_network(_seeded(changed, seed)))
                simulated()
            plain = plain or runs
        else:
            runs = plain
        yield _found(hypothesis, changed, runs)


def session_moments_s(events: Sequence[Event]) -> tuple[float, ...]:
    """Return when sessions with a fresh key began."""
    return tuple(event.at_s for event in events if isinstance(event, SessionBegan) and not event.renewed)


def _found(hypothesis: Hypothesis, changed: Scenario, runs: Sequence[NetworkRun]) -> Found:
    horizon_s = runs[0].duration_s
    chunk_bits = hypothesis.chunk_bits
    if chunk_bits == BYTE_BITS:
        moments = tuple(session_moments_s(run.events) for run in runs)
    else:
        counted = [
            counting.count(changed, counting.measured(run.events), horizon_s, chunk_bits=chunk_bits) for run in runs
        ]
        moments = tuple(tuple(served.at_s for served in each) for each in counted)
    sessions = mean(float(len(each)) for each in moments)
    if sessions is None:
        raise ValueError("a hypothesis needs at least one seed")
    seen = [at_s for each in moments for at_s in each if at_s < SLOW_S + 150.0]
    return Found(
        hypothesis=hypothesis,
        horizon_s=horizon_s,
        sessions=sessions,
        theory=_counted(changed, horizon_s, chunk_bits, None),
        printed_theory=_counted(changed, horizon_s, chunk_bits, PRINTED_BITS),
        first_s=mean(each[0] for each in moments if each),
        late_share=sum(at_s >= SLOW_S for at_s in seen) / len(seen) if seen else None,
        moments_s=moments,
    )


def _counted(changed: Scenario, horizon_s: float, chunk_bits: int, block_bits: float | None) -> int:
    """Return the sessions that counting by hand expects; what happens while all nodes are down does not count."""
    supply = counting.expected(changed, block_bits=block_bits)
    down_s = max((fault.until_s or 0.0 for fault in changed.fault.values()), default=0.0)
    slot_s = changed.schedule.slot_s if changed.schedule else 0.0
    up = {link: [each for each in blocks if each[0] - slot_s >= down_s] for link, blocks in supply.items()}
    served = counting.count(changed, up if down_s else supply, horizon_s, chunk_bits=chunk_bits)
    return sum(1 for each in served if each.at_s >= down_s)


def _seeded(scenario: Scenario, seed: int) -> Scenario:
    return msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, seed=seed))


def _slots(scenario: Scenario, slots: int) -> Scenario:
    schedule = scenario.schedule and msgspec.structs.replace(scenario.schedule, slots=slots)
    return msgspec.structs.replace(scenario, schedule=schedule)


def _accumulated(blocks: int) -> Change:
    def change(scenario: Scenario) -> Scenario:
        distill = msgspec.structs.replace(scenario.distill, accumulate_blocks=blocks)
        return msgspec.structs.replace(scenario, distill=distill)

    return change


def _late_tunnels(start_s: float) -> Change:
    def change(scenario: Scenario) -> Scenario:
        late = {name: msgspec.structs.replace(each, start_s=start_s) for name, each in scenario.tunnel.items()}
        return msgspec.structs.replace(scenario, tunnel=late)

    return change


def _late_nodes(start_s: float) -> Change:
    def change(scenario: Scenario) -> Scenario:
        faults = {f"{name}-late": Fault(at_s=1.0, until_s=start_s, down=name) for name in scenario.node}
        return msgspec.structs.replace(scenario, fault=faults)

    return change


def _unaligned(scenario: Scenario) -> Scenario:
    apart_s = 60.0 / len(scenario.tunnel)
    spread = {
        name: msgspec.structs.replace(each, start_s=each.start_s + apart_s * at)
        for at, (name, each) in enumerate(scenario.tunnel.items())
    }
    return msgspec.structs.replace(scenario, tunnel=spread)


def _two_keys(scenario: Scenario) -> Scenario:
    double = {name: msgspec.structs.replace(each, key_bits=2 * each.key_bits) for name, each in scenario.tunnel.items()}
    return msgspec.structs.replace(scenario, tunnel=double)
