"""The data network of an emulation, inside a world: hosts, gateways, bridges, and guards against clear text.

Two layouts. ``bridge``, as the data-centre paper: every tunnel end is a host of its own with a gateway on it; all hosts
are on one bridge, and what a tunnel joins are two inner addresses::

    10.10.1.1 (lo) [t0c: eth0 10.9.1.1] ---- bridge ---- [t0s: eth0 10.9.2.1] (lo) 10.10.2.1

``rack``, as the paper's compact device: one gateway for each node, a rack of hosts behind it, and tunnels from site to
site; inside a rack traffic is in clear, between racks nothing is::

    [t0ch 10.21.1.2] -- rack0 10.21.1.1 [g1: eth0 10.9.1.1] ---- bridge ---- [g2: 10.9.2.1] 10.22.1.1 rack0 -- [t0sh]

Rules:

1. A guard: where no tunnel is up there is an *unreachable* route to what tunnels join, and no default route. The routes
   of strongSwan are looked up before it (table 220), so a tunnel that is up is used and nothing else ever is. What
   tunnels join can't send to gateways' outer addresses either, and there is no IPv6.
2. Namespaces are numbered; names of nodes and tunnels are anybody's choice and stay outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bellweave.edge.world import World
from bellweave.errors import ScenarioError

Layout = Literal["bridge", "rack"]
Side = Literal["client", "server"]
End = tuple[str, Side]

FABRIC = "fabric"
"""Namespace of the bridge that joins all gateways; captures are made here, on ``br0``."""

BRIDGE = "br0"
OUTER = "10.9.0.0/16"
OUTER_BITS = 16
INNER = "10.10.0.0/16"
MOST_NODES = 200
MOST_ENDS = 250

SETTINGS = """
forward=$1; shift
for each in "$@"; do
  ip netns exec "$each" sh -c "
    echo $forward > /proc/sys/net/ipv4/ip_forward
    [ ! -e /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6" || exit
done
"""
"""What the kernel is told in each namespace, before links are up."""


@dataclass(frozen=True)
class Place:
    """Where one end of a tunnel is.

    Attributes:
        gateway: Namespace of its gateway.
        outer: The gateway's address.
        selector: Network on this side of the tunnel.
        host: Namespace of the application; the gateway's own with ``bridge``.
        inner: Address of the application.
    """

    gateway: str
    outer: str
    selector: str
    host: str
    inner: str


@dataclass(frozen=True)
class Fabric:
    """A data network, before it is built.

    Attributes:
        layout: Which.
        gateways: Namespace of each gateway to its node and outer address.
        places: Where each end of each tunnel is.
    """

    layout: Layout
    gateways: Mapping[str, tuple[str, str]]
    places: Mapping[End, Place]

    def ends_at(self, gateway: str) -> list[End]:
        """Return the tunnel ends at a gateway."""
        return [end for end, place in self.places.items() if place.gateway == gateway]

    def ports(self) -> dict[str, str]:
        """Return each gateway's port in the fabric: interface names to namespaces."""
        return {f"p{number}": name for number, name in enumerate(self.gateways)}


def planned(tunnels: Mapping[str, tuple[str, str]], layout: Layout) -> Fabric:
    """Return the network for these tunnels.

    Args:
        tunnels: Name to the nodes of its client and its server end, in order.
        layout: How hosts and gateways are put together.

    Raises:
        ScenarioError: There are more nodes or ends than there are addresses.
    """
    nodes = list(dict.fromkeys(node for ends in tunnels.values() for node in ends))
    if len(nodes) > MOST_NODES:
        raise ScenarioError(f"at most {MOST_NODES} nodes have a gateway, got {len(nodes)}", path="tunnel")
    if layout == "rack" and len(tunnels) > MOST_ENDS:
        raise ScenarioError(f"at most {MOST_ENDS} tunnels in racks, got {len(tunnels)}", path="tunnel")
    gateways: dict[str, tuple[str, str]] = {}
    places: dict[End, Place] = {}
    taken = dict.fromkeys(nodes, 0)
    for number, (tunnel, (client, server)) in enumerate(tunnels.items()):
        for side, node in (("client", client), ("server", server)):
            n = nodes.index(node) + 1
            taken[node] += 1
            if taken[node] > MOST_ENDS:
                raise ScenarioError(f"at most {MOST_ENDS} tunnel ends at a node", path=f"node.{node}")
            place = _alone(n, taken[node], f"t{number}{side[0]}") if layout == "bridge" else _in_rack(n, number, side)
            gateways.setdefault(place.gateway, (node, place.outer))
            places[tunnel, side] = place  # type: ignore[index]  # side is a literal
    return Fabric(layout, gateways, places)


def _alone(node: int, end: int, name: str) -> Place:
    inner = f"10.10.{node}.{end}"
    return Place(name, f"10.9.{node}.{end}", f"{inner}/32", name, inner)


def _in_rack(node: int, tunnel: int, side: str) -> Place:
    site = f"10.{20 + node}.{tunnel + 1}"
    return Place(f"g{node}", f"10.9.{node}.1", f"{site}.0/24", f"t{tunnel}{side[0]}h", f"{site}.2")


async def build(fabric: Fabric, world: World) -> None:
    """Build a network in a world: everything but its gateways' daemons.

    Raises:
        WorldError: The kernel refuses something.
    """
    hosts = {place.host: place for place in fabric.places.values() if place.host != place.gateway}
    await world.ip(
        "",
        *(f"netns add {name}" for name in (FABRIC, *fabric.gateways, *hosts)),
        *(
            f"link add name eth0 netns {name} type veth peer name {port} netns {FABRIC}"
            for port, name in fabric.ports().items()
        ),
        *(
            f"link add name eth0 netns {name} type veth peer name r{number} netns {place.gateway}"
            for number, (name, place) in enumerate(hosts.items())
        ),
    )
    forward = "1" if fabric.layout == "rack" else "0"
    await world.run(["sh", "-c", SETTINGS, "sh", forward, *fabric.gateways, *hosts])
    await world.ip(
        FABRIC,
        f"link add name {BRIDGE} type bridge forward_delay 0",
        f"link set {BRIDGE} up",
        *(f"link set {port} master {BRIDGE} up" for port in fabric.ports()),
    )
    for name in fabric.gateways:
        lines = _gateway_lines(fabric, name)
        if fabric.layout == "rack":
            lines += [f"link set r{n} master rack0 up" for n, each in enumerate(hosts.values()) if each.gateway == name]
        await world.ip(name, *lines)
    for name, place in hosts.items():
        await world.ip(name, *_host_lines(place))


def _gateway_lines(fabric: Fabric, name: str) -> list[str]:
    _, outer = fabric.gateways[name]
    own = [place for place in fabric.places.values() if place.gateway == name]
    lines = ["link set lo up", f"addr add {outer}/{OUTER_BITS} dev eth0", "link set eth0 up"]
    if fabric.layout == "bridge":
        lines += [f"addr add {place.inner}/32 dev lo" for place in own]
    else:
        lines += ["link add name rack0 type bridge forward_delay 0", "link set rack0 up"]
        lines += [f"addr add {_router(place)}/24 dev rack0" for place in own]
    lines.append(
        f"rule add from {INNER} to {OUTER} unreachable"
        if fabric.layout == "bridge"
        else f"rule add iif rack0 to {OUTER} unreachable"
    )
    return lines + [f"route add unreachable {network}" for network in guarded(fabric, name)]


def _host_lines(place: Place) -> list[str]:
    return [
        "link set lo up",
        f"addr add {place.inner}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {_router(place)}",
    ]


def _router(place: Place) -> str:
    """Return the gateway's address in a rack's network."""
    return place.inner.rpartition(".")[0] + ".1"


def guarded(fabric: Fabric, gateway: str) -> list[str]:
    """Return the networks that a gateway must not send to in clear, in order."""
    if fabric.layout == "bridge":
        return [INNER]
    own = {_site(place) for place in fabric.places.values() if place.gateway == gateway}
    return sorted({_site(place) for place in fabric.places.values()} - own)


def _site(place: Place) -> str:
    first, second, _, _ = place.inner.split(".")
    return f"{first}.{second}.0.0/16"
