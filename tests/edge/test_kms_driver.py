import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bellweave.dialogue import Message
from bellweave.edge.kms_driver import Driver
from bellweave.edge.store_writer import StoreWriter
from bellweave.errors import PeerRefused, PeerUnreachable, StoreFailed
from bellweave.kms.effects import Apply, Ask, Work, apply, ask
from bellweave.kms.messages import Done, Hello, MarksAre, Ping, Refused, Retract
from bellweave.kms.operations import NextNumber


class Numbers:
    """A store whose pools count up; one named ``broken`` fails."""

    def __init__(self) -> None:
        self.next = 0

    def apply(self, operations: Any) -> list[Any]:
        if any(each.pool == "broken" for each in operations):
            raise StoreFailed("broken")
        self.next += 1
        return [self.next for _ in operations]

    def close(self) -> None:
        pass


class Echoes:
    """A KME that answers Ping with what its store says, and links on which others answer later, or never."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Message]] = []
        self.answers: dict[str, Message | PeerUnreachable] = {}
        self.held: list[Callable[[], None]] = []
        self.hold = False

    def answer(self, sender: str, message: Message, now_s: float) -> Work[Message]:
        if isinstance(message, Ping):
            number = yield from apply(NextNumber(pool="p"))
            return MarksAre((number, message.changes))
        if isinstance(message, Retract):
            raise ZeroDivisionError
        raise PeerRefused(f"no {type(message).__name__} from {sender}")

    def ask(self, kme: str, message: Message, then: Callable[[Message | Any], None]) -> None:
        self.asked.append((kme, message))
        answer = self.answers.get(kme, PeerUnreachable(f"{kme} is not connected"))
        if self.hold:
            self.held.append(lambda: then(answer))
        else:
            then(answer)


def driver_of(echoes: Echoes, *, inline: bool = True) -> tuple[Driver, StoreWriter]:
    writer = StoreWriter(Numbers(), inline=inline)
    return Driver(echoes, "kme-a", writer, echoes), writer


def counting(times: int) -> Work[list[int]]:
    numbers = []
    for _ in range(times):
        numbers.append((yield from apply(NextNumber(pool="p"))))  # noqa: PERF401 no comprehension can yield
    return numbers


@pytest.mark.parametrize("inline", [True, False])
async def test_work_gets_the_results_of_its_operations_in_order(inline: bool) -> None:
    driver, writer = driver_of(Echoes(), inline=inline)

    assert await driver.run(counting(5)) == [1, 2, 3, 4, 5]
    assert driver.running == 0
    await writer.close()


async def test_long_work_on_a_store_in_memory_needs_no_deep_stack() -> None:
    driver, _ = driver_of(Echoes())

    assert len(await driver.run(counting(20_000))) == 20_000


@pytest.mark.parametrize("inline", [True, False])
async def test_an_error_of_the_store_arrives_where_the_work_yields(inline: bool) -> None:
    def careful() -> Work[str]:
        try:
            yield from apply(NextNumber(pool="broken"))
        except StoreFailed as error:
            return f"caught: {error}"
        return "not caught"

    driver, writer = driver_of(Echoes(), inline=inline)

    assert await driver.run(careful()) == "caught: broken"
    with pytest.raises(StoreFailed, match="broken"):
        await driver.run(apply(NextNumber(pool="broken")))
    assert driver.running == 0
    await writer.close()


async def test_work_asks_another_kme_over_the_links() -> None:
    echoes = Echoes()
    echoes.answers["kme-b"] = Done()
    driver, _ = driver_of(echoes)

    assert await driver.run(ask("kme-b", Ping(7), Done)) == Done()
    assert echoes.asked == [("kme-b", Ping(7))]
    with pytest.raises(PeerUnreachable, match="kme-c is not connected"):
        await driver.run(ask("kme-c", Ping(7), Done))


async def test_a_kme_that_asks_itself_needs_no_link() -> None:
    echoes = Echoes()
    driver, _ = driver_of(echoes)

    assert await driver.run(ask("kme-a", Ping(7), MarksAre)) == MarksAre((1, 7))
    with pytest.raises(PeerRefused, match="kme-a refused: no Hello from kme-a"):
        await driver.run(ask("kme-a", Hello("kme-a", "kme-a", "", 0), Done))
    assert echoes.asked == []


async def test_whatever_goes_wrong_with_an_answer_is_a_refusal() -> None:
    driver, _ = driver_of(Echoes())
    said: list[Message] = []

    driver.answer("kme-b", Hello("kme-b", "kme-a", "", 0), said.append)
    driver.answer("kme-b", Retract(()), said.append)

    assert said == [Refused("no Hello from kme-b"), Refused("internal error: ZeroDivisionError")]
    assert driver.running == 0


async def test_work_goes_on_to_its_end_when_its_caller_has_gone() -> None:
    ended: list[str] = []

    def two_steps() -> Work[None]:
        try:
            yield Ask("kme-b", Ping(1))
            yield Apply((NextNumber(pool="p"),))
        except BaseException:
            ended.append("cut short")
            raise
        ended.append("whole")

    echoes = Echoes()
    echoes.hold = True
    echoes.answers["kme-b"] = Done()
    driver, _ = driver_of(echoes)
    caller = asyncio.ensure_future(driver.run(two_steps()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert (ended, driver.running) == ([], 1)

    echoes.held.pop()()

    assert (ended, driver.running) == (["whole"], 0)


async def test_one_can_wait_until_nothing_is_under_way() -> None:
    echoes = Echoes()
    echoes.hold = True
    driver, _ = driver_of(echoes)
    await driver.idle()
    driver.start(ask("kme-b", Ping(1), Done), lambda _result, _error: None)
    waiting = asyncio.ensure_future(driver.idle())
    await asyncio.sleep(0)
    assert not waiting.done()

    echoes.held.pop()()

    await asyncio.wait_for(waiting, 1.0)


async def test_work_that_yields_nonsense_raises_where_it_is_waited_for() -> None:
    def nonsense() -> Work[None]:
        yield "apply it"  # type: ignore[misc]

    driver, _ = driver_of(Echoes())

    with pytest.raises(TypeError, match="Apply or Ask, not str"):
        await driver.run(nonsense())
    assert driver.running == 0
