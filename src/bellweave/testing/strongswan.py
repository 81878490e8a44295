"""Real strongSwan for tests: what it needs of the system, and a network of gateways in a world of its own."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from bellweave.edge import world_capture
from bellweave.edge.fabric import FABRIC, End, Layout, planned
from bellweave.edge.gateway import Certified, Gateway, Shared
from bellweave.edge.ipsec_channel import IpsecChannel
from bellweave.edge.world_network import WorldNetwork
from bellweave.edge.world_places import DAEMON, LIBIPSEC, PLUGIN_FOLDERS
from bellweave.testing.system import program

SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")

PACKAGES = {
    "unshare": "util-linux",
    "ip": "iproute2",
    "ping": "iputils-ping",
    DAEMON: "charon-systemd",
    "libstrongswan-vici.so": "strongswan-swanctl",
    "libstrongswan-openssl.so": "libstrongswan-standard-plugins",
    f"libstrongswan-{LIBIPSEC}.so": "libcharon-extra-plugins",
}
"""Programs and plugins to the Debian packages that they come with."""


def require_strongswan() -> None:
    """Return if tunnels can run here; install what is missing as root, else skip the test (in CI: fail it)."""
    for name, package in PACKAGES.items():
        program(name, package, PLUGIN_FOLDERS if name.endswith(".so") else SBIN)


@dataclass
class Lab:
    """A network whose gateways are driven from here.

    Attributes:
        network: It.
        channels: Each end of each tunnel.
    """

    network: WorldNetwork
    channels: Mapping[End, IpsecChannel] = field(default_factory=dict)

    def channel(self, tunnel: str, side: Literal["client", "server"]) -> IpsecChannel:
        """Return one end of a tunnel."""
        return self.channels[tunnel, side]

    async def refresh(self, tunnel: str, key_id: str, key: bytes, old: str | None = None) -> None:
        """Bring a key into use as agents do: server first, old key destroyed last."""
        client, server = self.channel(tunnel, "client"), self.channel(tunnel, "server")
        await server.load(key_id, key)
        await client.load(key_id, key)
        await client.switch(key_id)
        await server.verify(key_id)
        if old is not None:
            await client.destroy(old)
            await server.destroy(old)

    async def ping(self, tunnel: str, count: int = 3) -> int:
        """Return how many of so many pings from end to end of a tunnel came back."""
        here, there = self.network.fabric.places[tunnel, "client"], self.network.fabric.places[tunnel, "server"]
        command = ["ping", "-q", "-c", str(count), "-i", "0.02", "-W", "1", "-I", here.inner, there.inner]
        said = await self.network.world.run(command, namespace=here.host, check=False)
        return int(said.partition(" transmitted, ")[2].partition(" ")[0] or 0)


@asynccontextmanager
async def captured(network: WorldNetwork, folder: Path, marker: bytes) -> AsyncIterator[Callable[[], dict[str, Any]]]:
    """Count what passes between gateways; gives a function that returns the counts so far, kind by kind."""
    out = folder / "captured.json"
    argv = [sys.executable, "-I", "-S", world_capture.__file__, str(out), marker.hex()]
    spawned = await network.world.spawn(FABRIC, argv, log=folder / "capture.log")
    await network.world.run(["sh", "-c", f"while [ ! -e '{out}' ]; do sleep 0.02; done"], timeout_s=60.0)
    yield lambda: cast("dict[str, Any]", json.loads(out.read_text()))
    await network.world.kill(spawned, 9)


@asynccontextmanager
async def lab(
    folder: Path,
    tunnels: Mapping[str, tuple[str, str]],
    *,
    layout: Layout = "bridge",
    mode: Literal["ppk", "psk"] = "ppk",
    auth: Mapping[End, Shared | Certified] | None = None,
) -> AsyncIterator[Lab]:
    """Run a network; all its channels are started."""
    require_strongswan()
    fabric = planned(tunnels, layout)
    async with WorldNetwork(fabric, folder) as network:
        base = Shared(secret=bytes(range(32)))
        gateways: list[Gateway] = [
            network.gateway(tunnel, side, (auth or {}).get((tunnel, side), base), mode)
            for tunnel, side in fabric.places
        ]
        found = Lab(network, {(each.tunnel, each.side): IpsecChannel(each) for each in gateways})
        try:
            for channel in found.channels.values():
                await channel.start()
            yield found
        finally:
            for channel in found.channels.values():
                await channel.close()
