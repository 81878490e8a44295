"""An emulated network as a process of its own, for `bench/emulation.py` and `bench/soak.py`.

    python bench/emulation_run.py SCENARIO.toml OUT CHANNEL LAYOUT PROBE_HZ

prints every event, one JSON object a line, and ends in order upon SIGINT. It is `bellweave emulate --json` without the
report, and holds no events. With `BELLWEAVE_PRINTS` (a file) and `BELLWEAVE_PRINTS_SECRET` set, each agent adds a line
for each key that it gets: its id, and an HMAC-SHA256 of it under a secret of this run, which the caller forgets. Two
equal keys have equal fingerprints; of a key a fingerprint tells nothing.
"""

import asyncio
import functools
import hashlib
import hmac
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from bellweave.emu import agent_keys, child, children, running
from bellweave.emu.supervisor import Request, emulate
from bellweave.results.network_records import Happening
from bellweave.scenario.load import load
from bellweave.tunnel.rotation import KeyArrived

PRINTS, SECRET = "BELLWEAVE_PRINTS", "BELLWEAVE_PRINTS_SECRET"


def main() -> int:
    """Be the supervisor, or one of its processes."""
    if sys.argv[1:2] == ["--child"]:
        if PRINTS in os.environ:
            _fingerprint(Path(os.environ[PRINTS]), bytes.fromhex(os.environ[SECRET]))
        return child.main()
    scenario, out, channel, layout, probe_hz = sys.argv[1:]
    command = (sys.executable, str(Path(__file__).resolve()), "--child")
    running.Child = functools.partial(children.Child, command=command)  # type: ignore[attr-defined,assignment]
    request = Request(
        scenario=load(scenario), out=Path(out), channel=channel, layout=layout, hold=False, probe_hz=float(probe_hz)  # type: ignore[arg-type]
    )  # fmt: skip
    asyncio.run(_run(request))
    return 0


async def _run(request: Request) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    encode = msgspec.json.Encoder().encode
    output = sys.stdout.buffer

    def watch(event: Happening) -> None:
        output.write(encode(event) + b"\n")
        output.flush()

    await emulate(request, stop=stop, watch=watch, say=lambda text: print(text, file=sys.stderr, flush=True))


def _fingerprint(path: Path, secret: bytes) -> None:
    """Have agents of this process add a fingerprint of each key that they get to a file."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    taken = agent_keys.AgentKeys._taken  # noqa: SLF001 the one place where every key comes by

    def noting(self: Any, keys: Any, *args: Any) -> Any:
        answer = taken(self, keys, *args)
        if isinstance(answer, KeyArrived):
            found = hmac.new(secret, keys[0].bits, hashlib.sha256).hexdigest()
            line = {"tunnel": self._ends.tunnel, "side": self._side, "key_id": answer.key_id, "print": found}
            os.write(file, json.dumps(line).encode() + b"\n")
        return answer

    agent_keys.AgentKeys._taken = noting  # type: ignore[method-assign,assignment]  # noqa: SLF001


if __name__ == "__main__":
    sys.exit(main())
