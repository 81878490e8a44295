"""A slave's ends of its demands, in ``physical`` mode: what the source sends of it, and what is told to the source."""

from collections.abc import Iterator

from bellweave.blocks import Role
from bellweave.distill.chsh import ChshTest
from bellweave.emu import quanta
from bellweave.emu.messages import Measurement, Reported
from bellweave.emu.pair import Done, Piece
from bellweave.errors import ProtocolError
from bellweave.results.network_records import BlockLost
from bellweave.roles.randomness import Randomness
from bellweave.roles.slave import Slave, Tested, methods_of
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import backbone_of


class SlaveEnds:
    """All of a slave's ends; none in a data centre, and none in ``paper`` mode.

    Args:
        name: The slave's.
        scenario: Which may have clusters.
        randomness: What this slave draws from.
    """

    def __init__(self, name: str, scenario: Scenario, randomness: Randomness) -> None:
        self._demands = scenario.demand
        self._ends: dict[str, tuple[Slave, str]] = {}
        demands = scenario.demand.items() if scenario.slave and backbone_of(scenario).mode == "physical" else ()
        for demand, ends in demands:
            if name in {ends.a, ends.b}:
                role: Role = "alice" if name == ends.a else "bob"
                for method in methods_of(scenario, demand):
                    slave = Slave(scenario, demand, method, role, randomness)
                    self._ends[slave.link] = slave, ends.b if role == "alice" else ends.a

    def __iter__(self) -> Iterator[tuple[Slave, str]]:
        """Yield each end, and the slave at the other one."""
        return iter(self._ends.values())

    def piece(self, message: Measurement) -> tuple[str, Piece]:
        """Return what the source sent: of which link, and this slave's part of the block.

        Raises:
            ProtocolError: It does not concern this slave, or is not as it must be.
        """
        link = f"{message.demand}/{message.method}"
        if link not in self._ends:
            raise ProtocolError(f"the source sends of a demand {link!r} that does not end here")
        slave, _ = self._ends[link]
        block = slave.block(message.number, message.start_s, message.end_s)
        return link, Piece(0, (block, quanta.measured(message)))

    def report(self, done: Done) -> Reported:
        """Return what is told to the source of a block that was distilled, at its Alice's end."""
        assert isinstance(done.party, Slave), "a slave's end"  # noqa: S101
        assert isinstance(done.ended, Tested), "and what it returns"  # noqa: S101
        outcome, evidence = done.ended.outcome, done.ended.evidence
        (piece,) = done.pieces
        return Reported(
            demand=done.party.demand,
            method=done.party.method,
            number=piece.number,
            sifted_bits=outcome.ledger.sifted,
            final_bits=outcome.block.bit_count if outcome.block else 0,
            provable_bits=outcome.block.provable_bits if outcome.block else 0,
            ingested_bits=done.ingested_bits,
            qber=outcome.estimate.qber,
            chsh=evidence.value if isinstance(evidence, ChshTest) else None,
            rejection=outcome.rejection,
        )

    def lost(self, event: BlockLost) -> list[Reported]:
        """Return what is told to the source of blocks that came to nothing; only Alice's end speaks."""
        slave, _ = self._ends[event.link]
        if slave.role == "bob":
            return []
        return [Reported(slave.demand, slave.method, number, rejection=event.reason) for number in event.blocks]

    def demand_of(self, link: str) -> str | None:
        """Return the demand of one of these ends; None if it is none of them."""
        return self._ends[link][0].demand if link in self._ends else None
