"""The first photons and the first distillation of a process load compiled code and tables, which takes half a second.

So a process does one of each for nothing before it says that it is there, from a seed of no use to anybody. On the
first start after an installation nothing is compiled: then one process compiles and the others wait for what it keeps
on disk, instead of all compiling the same at once, which takes minutes.
"""

import contextlib
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bellweave.blocks import Role
from bellweave.dialogue import Closed, Dialogue, Message
from bellweave.errors import BellweaveError
from bellweave.network.wide.params import Ekert91
from bellweave.roles.node import Party
from bellweave.roles.randomness import Seeded
from bellweave.roles.source import RawBlock, Sampled, sampled
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import backbone_of
from bellweave.sim.cluster import distil_pairs

_NOBODYS = Seeded(0)

PAIRS = 20_000
CORRELATION = 0.98


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process of this installation warms up; where files can't be locked, don't."""
    with Path(__file__).open("rb") as file:
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415 not everywhere

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@alone()
def photons(scenario: Scenario) -> None:
    """Sample a block of a link."""
    if scenario.link:
        _sampled(scenario)


@alone()
def distillation(scenario: Scenario) -> None:
    """Distil a block of a link, or of two slaves; whether it gives key does not matter."""
    if scenario.slave and backbone_of(scenario).mode == "physical":
        _distil_pairs(scenario)
    if not scenario.link:
        return
    link = next(iter(scenario.link))
    known = msgspec.structs.replace(scenario.link[link], calibration=None)  # searching for offsets takes seconds
    single = msgspec.structs.replace(
        scenario,
        link={link: known},
        distill=msgspec.structs.replace(scenario.distill, accumulate_blocks=1),
        tunnel={},
    )
    block, seen = _sampled(single)
    roles: tuple[Role, Role] = ("alice", "bob")
    parties = [Party(single, link, role, _NOBODYS) for role in roles]
    with contextlib.suppress(BellweaveError):
        _converse([party.distil([(block.facts, own)]) for party, own in zip(parties, seen, strict=True)])


def _distil_pairs(scenario: Scenario) -> None:
    pairs = np.full((PAIRS, 3), CORRELATION)
    with contextlib.suppress(BellweaveError):
        distil_pairs("nobody", pairs, Ekert91(), scenario.distill, seed=0, block=0, start_s=0.0, end_s=1.0)


def _sampled(scenario: Scenario) -> tuple[RawBlock, Sampled]:
    optical = optical_link(scenario, next(iter(scenario.link)))
    if scenario.schedule is not None:
        optical = msgspec.structs.replace(optical, block_s=scenario.schedule.slot_s)
    block = RawBlock(optical, 0, 0.0)
    return block, sampled(scenario, block, _NOBODYS)


def _converse(roles: list[Dialogue[Any]]) -> None:
    """Run two roles against each other, until neither has anything more to hear."""
    boxes: tuple[deque[Message | None], deque[Message | None]] = (deque([None]), deque([None]))
    ended: set[int] = set()
    while any(boxes):
        for end, role in enumerate(roles):
            if boxes[end] and end not in ended:
                try:
                    _tell(role, boxes[end].popleft(), boxes[1 - end])
                except StopIteration:
                    ended.add(end)
                    boxes[1 - end].append(Closed())
            if end in ended:
                boxes[end].clear()


def _tell(role: Dialogue[Any], incoming: Message | None, said: deque[Message | None]) -> None:
    """Hand a role a message, and let it speak until it waits."""
    while (outgoing := role.send(incoming)) is not None:
        said.append(outgoing)
        incoming = None
