"""An emulated network for the applications and gateways of others: key servers, and no agents of ours.

What is exported, into the run directory: the authority's certificate, and for each SAE a certificate and its key, in
files of mode 0600; nothing else that is secret leaves the memory of the processes. The authority's own key is dropped.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bellweave.edge.files import new_folder, write_whole
from bellweave.edge.pki import Authority
from bellweave.emu.deployment import Address
from bellweave.emu.prepare import DAYS
from bellweave.errors import ScenarioError
from bellweave.scenario.directory import hosts_of, nodes_of, sae_names
from bellweave.scenario.schema import Scenario

PORT = 8443
STEP = 10
"""The key servers of one address are so far apart."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is served.

    Attributes:
        saes: Name of each SAE to its node; empty: those of the scenario's tunnels.
        host, port: Where the first key server listens; the next ones 10 ports further each.
    """

    saes: Mapping[str, str]
    host: str = "127.0.0.1"
    port: int = PORT

    def services(self, scenario: Scenario) -> dict[str, Address]:
        """Return where each node's key server listens for SAEs.

        Raises:
            ScenarioError: There are not so many ports.
        """
        nodes = nodes_of(scenario)
        last = self.port + STEP * (len(nodes) - 1)
        if last > 65535:
            raise ScenarioError(f"the ports from {self.port} on are too few for {len(nodes)} key servers")
        return {name: (self.host, self.port + STEP * place) for place, name in enumerate(nodes)}

    def users(self, scenario: Scenario) -> dict[str, str]:
        """Return the SAEs, and their nodes.

        Raises:
            ScenarioError: A node is unknown, or there are fewer than two SAEs.
        """
        users = dict(self.saes) or hosts_of(scenario)
        if not users:
            for name, tunnel in scenario.tunnel.items():
                users |= dict(zip(sae_names(name), (tunnel.client, tunnel.server), strict=True))
        for sae, node in users.items():
            if node not in nodes_of(scenario):
                raise ScenarioError(f"SAE {sae}: there is no node {node!r}; there are {', '.join(nodes_of(scenario))}")
        if len(users) < 2:
            raise ScenarioError("key is for two: give at least two SAEs, --sae NAME@NODE each")
        return users


def export(out: Path, authority: Authority, saes: Mapping[str, str], services: Mapping[str, Address]) -> dict[str, Any]:
    """Write what SAEs need into a directory, and return where everything is.

    Raises:
        ScenarioError: A file can't be written.
    """
    folder = out / "saes"
    new_folder(folder)
    ca = out / "ca.crt"
    write_whole(ca, authority.own().certificate, mode=0o644)
    users = {}
    for sae, node in saes.items():
        cert = folder / f"{quote(sae, safe='')}.crt"
        authority.issue("sae", sae, days=DAYS).write(cert, cert.with_suffix(".key"), renew=True)
        users[sae] = {"kme": node, "cert": str(cert), "key": str(cert.with_suffix(".key"))}
    kmes = {node: f"https://{f'[{host}]' if ':' in host else host}:{port}" for node, (host, port) in services.items()}
    return {"ca": str(ca), "kmes": kmes, "saes": users}


def hints(where: Mapping[str, Any], pair: tuple[str, str] | None = None) -> Iterator[str]:
    """Yield what people can do with it: URLs, and commands that work as they stand, for this pair or the first one."""
    yield "key servers (ETSI GS QKD 014, mutual TLS):"
    for node, url in where["kmes"].items():
        yield f"  {node}: {url}"
    yield f"certificates of the SAEs, and their keys: {Path(where['ca']).parent / 'saes'}; the authority: {where['ca']}"
    master, slave = pair or _pair(where["saes"])
    yield f"a key for {master} and {slave}, once there is some (503 until then):"
    yield f"  {_curl(where, master, slave, 'enc_keys')}"
    yield "and at the other end, with the key_ID from the answer:"
    yield f"  {_curl(where, slave, master, 'dec_keys?key_ID=KEY_ID')}"
    yield "how much there is:"
    yield f"  {_curl(where, master, slave, 'status')}"


def _pair(saes: Mapping[str, Any]) -> tuple[str, str]:
    """Return two SAEs that share key: at different nodes, if there are such."""
    names = list(saes)
    other = next((name for name in names if saes[name]["kme"] != saes[names[0]]["kme"]), names[1])
    return names[0], other


def _curl(where: Mapping[str, Any], sae: str, other: str, what: str) -> str:
    """Return the command with which an SAE asks for something about another one."""
    own = where["saes"][sae]
    url = f"{where['kmes'][own['kme']]}/api/v1/keys/{quote(other, safe='')}/{what}"
    return shlex.join(["curl", "--cacert", where["ca"], "--cert", own["cert"], "--key", own["key"], url])
