"""One party of a distillation as a process of its own: ``distil_peer.py alice PORT`` or ``bob 0`` (prints its port)."""

import asyncio
import hashlib
import sys

import msgspec

from bellweave.distill.outcome import Outcome
from bellweave.edge import dialogue_tcp
from bellweave.testing.pairs import DISTILLATION, Block

BLOCKS = [Block(seed=seed, count=2441, qber=qber) for seed, qber in ((1, 0.064), (2, 0.2), (3, 0.01))]


def describe(outcome: Outcome) -> str:
    bits = outcome.block.bits if outcome.block else b""
    return f"{hashlib.sha256(bits).hexdigest()} {outcome.rejection} {msgspec.json.encode(outcome.ledger).decode()}"


async def alice(port: int) -> None:
    reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
    for block in BLOCKS:
        outcome = await dialogue_tcp.run(block.roles()[0], reader, writer, DISTILLATION, timeout_s=20.0)
        print(describe(outcome))
    await dialogue_tcp.close(writer)


async def bob() -> None:
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for block in BLOCKS:
            outcome = await dialogue_tcp.run(block.roles()[1], reader, writer, DISTILLATION, timeout_s=20.0)
            print(describe(outcome))
        done.set()

    async with dialogue_tcp.listening(handle) as port:
        print(port, flush=True)
        await done.wait()


if __name__ == "__main__":
    asyncio.run(alice(int(sys.argv[2])) if sys.argv[1] == "alice" else bob())
