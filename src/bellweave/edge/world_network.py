"""A data network that runs: a world, what is built in it, and a strongSwan daemon on every gateway."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from cryptography import x509
from cryptography.x509.oid import NameOID

from bellweave.edge.charon import Charon
from bellweave.edge.fabric import End, Fabric, Side, build
from bellweave.edge.fabric_delay import Applied, apply
from bellweave.edge.gateway import Certified, Gateway, Shared
from bellweave.edge.world import World
from bellweave.scenario.directory import sae_names

STARTS_AT_ONCE = 6
"""Daemons that start at the same time; more only wait for each other."""


class WorldNetwork:
    """A world with a network and its gateways' daemons; ``async with WorldNetwork(...) as network``.

    Args:
        fabric: The network.
        folder: For the daemons' files, a folder for each; must not lie under ``/run``.
        kernel_esp: Whether the kernel has ESP (:mod:`bellweave.edge.doctor`).
        latency_s: One way between gateways; what came of it is in ``applied``.
        bits_per_s: Of each gateway's line; None: any.
        world: Where to build it; None: one of its own.

    Attributes:
        charons: Namespace of each gateway to its daemon.
        applied: Delay and bandwidth as measured; None before the start.
    """

    def __init__(
        self,
        fabric: Fabric,
        folder: Path,
        *,
        kernel_esp: bool = False,
        latency_s: float = 0.0,
        bits_per_s: float | None = None,
        world: World | None = None,
    ) -> None:
        self.fabric = fabric
        self.world = world or World()
        self.applied: Applied | None = None
        self._kernel_esp = kernel_esp
        self._folder = folder
        self._latency_s = latency_s
        self._bits_per_s = bits_per_s
        self.charons: Mapping[str, Charon] = {
            namespace: Charon(
                self.world, namespace, folder / namespace, name=_name(fabric, namespace), kernel_esp=kernel_esp,
                sessions=len(fabric.ends_at(namespace)),
            )
            for namespace in fabric.gateways
        }  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Make the world, build the network, start the daemons.

        Raises:
            WorldError: Something of it can't be; nothing is left then.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self.world.start()
        try:
            await build(self.fabric, self.world)
            limit = asyncio.Semaphore(STARTS_AT_ONCE)
            await asyncio.gather(self._delay(), *(_started(charon, limit) for charon in self.charons.values()))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End everything."""
        await self.world.close()

    async def _delay(self) -> None:
        log = self._folder / "delay.log"
        self.applied = await apply(self.fabric, self.world, self._latency_s, self._bits_per_s, log=log)

    def charon(self, tunnel: str, side: Side) -> Charon:
        """Return the daemon at one end of a tunnel."""
        return self.charons[self.fabric.places[tunnel, side].gateway]

    def gateway(
        self, tunnel: str, side: Side, auth: Shared | Certified, mode: Literal["ppk", "psk"] = "ppk"
    ) -> Gateway:
        """Return what an agent must know of the gateway at one end of a tunnel; its IKE identity is the SAE's name."""
        other: Side = "server" if side == "client" else "client"
        here, there = self.fabric.places[tunnel, side], self.fabric.places[tunnel, other]
        charon = self.charons[here.gateway]
        return Gateway(
            tunnel=tunnel, side=side, vici=str(charon.vici), log=str(charon.log), mode=mode, auth=auth,
            local=here.outer, remote=there.outer, local_id=_identity(tunnel, side, auth),
            remote_id=_identity(tunnel, other, auth),
            local_ts=(here.selector,), remote_ts=(there.selector,), encap=not self._kernel_esp,
        )  # fmt: skip


async def _started(charon: Charon, limit: asyncio.Semaphore) -> None:
    async with limit:
        charon.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await charon.start()


def _name(fabric: Fabric, namespace: str) -> str:
    """Return what people call a gateway: its SAE where it has one tunnel to itself, else its node."""
    ends: list[End] = fabric.ends_at(namespace)
    return _sae(*ends[0]) if fabric.layout == "bridge" else fabric.gateways[namespace][0]


def _sae(tunnel: str, side: Side) -> str:
    return sae_names(tunnel)[side == "server"]


def _identity(tunnel: str, side: Side, auth: Shared | Certified) -> str:
    """Return an IKE identity: the SAE's name, or the subject of its certificate."""
    name = _sae(tunnel, side)
    if isinstance(auth, Shared):
        return name
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return f"asn1dn:#{subject.public_bytes().hex()}"
