"""What a slot of each link is expected to give, worked out when a scheduler asks: those that do not pay nothing."""

from collections.abc import Iterator, Mapping

import msgspec

from bellweave.plan.link import expected_block
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario


class SlotBits(Mapping[str, float]):
    """Key in bits that a block of a link is expected to give, by link; equal links are worked out once."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._known: dict[str, float] = {}
        self._alike: dict[bytes, float] = {}

    def __getitem__(self, link: str) -> float:
        if link not in self._known:
            self._known[link] = self._value(link)
        return self._known[link]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scenario.link)

    def __len__(self) -> int:
        return len(self._scenario.link)

    def _value(self, link: str) -> float:
        scenario = self._scenario
        optical = msgspec.structs.replace(optical_link(scenario, link), name="")
        key = msgspec.msgpack.encode(optical)
        if key not in self._alike:
            accountings: Mapping[str, float] = expected_block(scenario, link).accountings
            self._alike[key] = accountings[scenario.kms.mint] / scenario.distill.accumulate_blocks
        return self._alike[key]
