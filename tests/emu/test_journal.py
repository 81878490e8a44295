from bellweave.emu.deployment import Stocked
from bellweave.emu.journal import Journal, Stocks
from bellweave.results.network_records import FaultChanged, Happening
from bellweave.testing.data_centres import small


def at(second: float) -> FaultChanged:
    return FaultChanged(at_s=second, fault=f"at {second:g}", active=True)


def test_events_are_handed_on_in_order_of_time_once_they_have_waited() -> None:
    seen: list[Happening] = []
    journal = Journal(seen.append, wait_s=0.5)
    for second in (1.2, 1.0, 1.4):
        journal.note(at(second))

    journal.advance(1.6)
    assert seen == [at(1.0)]
    journal.advance(1.8)
    assert seen == [at(1.0), at(1.2)]
    journal.close()
    assert journal.events == [at(1.0), at(1.2), at(1.4)]
    assert journal.late == 0


def test_an_event_that_comes_too_late_is_noted_at_the_moment_of_the_last_one() -> None:
    journal = Journal(wait_s=0.5)
    journal.note(at(2.0))
    journal.advance(3.0)
    journal.note(at(1.0))
    journal.close()

    assert [event.at_s for event in journal.events] == [2.0, 2.0]
    assert journal.events[1] == FaultChanged(at_s=2.0, fault="at 1", active=True)
    assert journal.late == 1


def test_stock_is_that_of_alices_end_and_what_waits_is_counted_at_both() -> None:
    stocks = Stocks(small(3, 4))

    def told(kme: str, available: int, reserved: int) -> tuple[int, int]:
        sample = stocks.sampled(
            Stocked(at_s=1.0, link="user1-user2", kme=kme, available_bits=available, reserved_bits=reserved)
        )
        return sample.level_bits, sample.waiting_bits

    assert told("user2", 800, 256) == (800, 256)
    assert told("user1", 1000, 0) == (1000, 256)
    assert told("user2", 600, 512) == (1000, 512)
