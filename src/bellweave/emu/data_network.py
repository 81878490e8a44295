"""The data network of a run whose tunnels are IPsec: a world with gateways in it, watched over by the supervisor.

It starts before the nodes and ends after them; their agents drive the daemons through sockets in the run directory. A
daemon that ends, or is killed by a fault, is started again, and its agents bring their tunnels up.
"""

import asyncio
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from bellweave.edge import probe_feed
from bellweave.edge.fabric import Layout, Side, planned
from bellweave.edge.gateway import Shared
from bellweave.edge.probe import PROBE_HZ, ProbePlan
from bellweave.edge.world_network import WorldNetwork
from bellweave.emu.deployment import Ipsec
from bellweave.results.network_records import ProcessChanged
from bellweave.scenario.schema import Scenario

WORLD = "world"
SECRET_BYTES = 32
SHORT = 80
"""Longest path of a folder for sockets, bytes; theirs may have 107."""

RESTART_S = 1.0

SIDES: tuple[Side, Side] = ("client", "server")


class DataNetwork:
    """The world of one run; ``async with DataNetwork(...) as network``.

    Args:
        scenario: Says which tunnels there are.
        folder: For the daemons' files.
        layout: How hosts and gateways are put together.
        kernel_esp: Whether the kernel has ESP.
        probe_hz: Probes a second in each tunnel.
        note: Gets what becomes of the world and its daemons.
        now: Seconds since the run began.

    Attributes:
        probes: Socket that tells what the probe stream of each tunnel meets.
    """

    probes: Path

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        layout: Layout,
        *,
        kernel_esp: bool,
        probe_hz: float = PROBE_HZ,
        note: Callable[[ProcessChanged], None],
        now: Callable[[], float],
    ) -> None:
        self._scenario = scenario
        self._probes = ProbePlan(rate_hz=probe_hz)
        tunnels = {name: (tunnel.client, tunnel.server) for name, tunnel in scenario.tunnel.items()}
        wires = scenario.data_network
        self._fabric = planned(tunnels, layout)
        self._network = WorldNetwork(
            self._fabric,
            folder,
            kernel_esp=kernel_esp,
            latency_s=wires.latency_s,
            bits_per_s=wires.bandwidth_bits_per_s,
        )
        self._folder = folder
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._note, self._now = note, now
        self._watches: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._network.start()
        self._note(
            ProcessChanged(at_s=self._now(), process=WORLD, state="ready", detail=f"process {self._network.world.pid}")
        )
        for charon in self._network.charons.values():
            self._note(ProcessChanged(at_s=self._now(), process=f"charon {charon.name}", state="ready"))
            self._watches.append(asyncio.create_task(charon.watch(self._noting(charon.name))))
        self.probes = self._short() / "probes"
        self._watches.append(asyncio.create_task(self._keep_probing()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._network.close()
        if self._sockets is not None:
            self._sockets.cleanup()
        self._note(ProcessChanged(at_s=self._now(), process=WORLD, state="ended"))

    def channels(self) -> Mapping[tuple[str, str], Ipsec]:
        """Return what the agents of each tunnel end must know of its gateway; a fresh base secret for each tunnel."""
        made = {}
        for name, tunnel in self._scenario.tunnel.items():
            auth = Shared(secret=secrets.token_bytes(SECRET_BYTES))
            for side in SIDES:
                made[name, str(side)] = Ipsec(
                    gateway=self._network.gateway(name, side, auth, tunnel.mode), probes=str(self.probes)
                )
        return made

    async def kill(self, tunnel: str, side: str) -> None:
        """Kill the daemon at one end of a tunnel; it is started again by itself."""
        charon = self._network.charon(tunnel, "client" if side == "client" else "server")
        self._note(ProcessChanged(at_s=self._now(), process=f"charon {charon.name}", state="killed"))
        await charon.kill()

    def _short(self) -> Path:
        """Return a private folder whose path leaves room for the name of a socket."""
        if len(str(self._folder)) < SHORT:
            return self._folder
        self._sockets = tempfile.TemporaryDirectory(prefix="bellweave-")
        return Path(self._sockets.name)

    async def _keep_probing(self) -> None:
        """Have the program that probes all tunnels run, and start it again if it ends."""
        hosts = {}
        for name in self._scenario.tunnel:
            client, server = (self._fabric.places[name, side] for side in SIDES)
            hosts[name] = (client.host, client.inner), (server.host, server.inner)
        while True:
            self.probes.unlink(missing_ok=True)
            spawned = await self._network.world.spawn(
                "", probe_feed.command(self.probes, hosts, self._probes), log=self._folder / "probes.log"
            )
            code = await spawned.wait()
            self._note(ProcessChanged(at_s=self._now(), process="probes", state="ended", detail=f"exit code {code}"))
            await asyncio.sleep(RESTART_S)

    def _noting(self, name: str) -> Callable[[str, str], None]:
        def note(state: str, detail: str) -> None:
            process = f"charon {name}"
            if state == "ready":
                self._note(ProcessChanged(at_s=self._now(), process=process, state="ready", detail=detail))
            else:
                self._note(ProcessChanged(at_s=self._now(), process=process, state="ended", detail=detail))

        return note
