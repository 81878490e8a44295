"""What a slot of each link is expected to give, worked out when a scheduler asks: those that do not pay nothing."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from bellweave.plan.supply import slot_yields
from bellweave.scenario.schema import Scenario


class SlotBits(Mapping[str, float]):
    """Key in bits that applications can draw of a slot of a link, in the mean, by link, as in the plan."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    @cached_property
    def _bits(self) -> dict[str, float]:
        return {link: each.key_bits for link, each in slot_yields(self._scenario).items()}

    def __getitem__(self, link: str) -> float:
        return self._bits[link]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scenario.link)

    def __len__(self) -> int:
        return len(self._scenario.link)
