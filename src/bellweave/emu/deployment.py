"""What each process of an emulated network gets, as one line of JSON on its standard input; and what they say later.

Rules:

1. The line holds all that a process needs, secrets included, so nothing of it has to lie on disk. It is never logged:
   what holds secrets shows none of them as text.
2. A process gets what is its own, and what is public; of another node's secrets nothing.
3. After the line come commands, one a line (:data:`Command`); when the
   input ends the process does, too.
4. On its standard output a process says events (:mod:`bellweave.results.network_records`) and :class:`Said`, one a
   line.
"""

from typing import Literal

import msgspec

from bellweave.edge.gateway import Gateway
from bellweave.edge.probe import PROBE_HZ
from bellweave.emu.messages import Fault
from bellweave.kms.config import KmeConfig
from bellweave.results.network_records import Event
from bellweave.results.wide_records import WideEvent

Address = tuple[str, int]
"""Host and port."""

SOURCE = "source"
"""Name of the source's process, and of its certificate."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Base of what goes over a process's standard input and output."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "<Credentials>"


class Secrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process's random streams come from where no seed fixes them.

    Attributes:
        run: Label of the run, in the ids of its blocks.
        own: Its own.
        links: By link, what its two ends share: their authentication keys.
    """

    run: str
    own: bytes
    links: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "<Secrets>"


# ----------------------------------------------------------------------------------------------------------- processes
class Common(Line, frozen=True):
    """What source and nodes have in common.

    Attributes:
        name: Of the process.
        scenario: TOML, with the seed, the number of slots and the speed of this run.
        secrets: Where randomness comes from; None: from the scenario's seed.
        ca: The run's authority, PEM.
        device: Own certificate as a device.
        listen: Where it listens: the source for nodes, a node's device for other nodes'.
    """

    name: str
    scenario: str
    secrets: Secrets | None
    ca: bytes
    device: Credentials
    listen: Address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class SourceDeployment(Common, frozen=True):
    """The process of source and switch."""


class Aead(Line, frozen=True):
    """One end of a tunnel whose channel is AES-256-GCM over UDP.

    Attributes:
        local, remote: Where this end and the other one send from and receive.
        probe_hz: Probes a second.
    """

    local: Address
    remote: Address
    probe_hz: float = PROBE_HZ


class Ipsec(Line, frozen=True):
    """One end of a tunnel whose channel is IPsec.

    Attributes:
        gateway: Which daemon, and between which addresses.
        probes: Unix socket that tells what the tunnel's probe stream meets; None: nobody probes.
    """

    gateway: Gateway
    probes: str | None = None

    def __repr__(self) -> str:
        return "<Ipsec>"


class AgentDeployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One end of a tunnel.

    Attributes:
        tunnel: Its name.
        side: Which end.
        sae: Own certificate as an SAE.
        link: The server's agent's address: where it listens, or is dialled.
        channel: What protects the traffic.
    """

    tunnel: str
    side: Literal["client", "server"]
    sae: Credentials
    link: Address
    channel: Aead | Ipsec

    def __repr__(self) -> str:
        return f"<AgentDeployment {self.tunnel} {self.side}>"


class NodeDeployment(Common, frozen=True):
    """The process of a node: device end, KME, agents.

    Attributes:
        folder: For its store; private.
        source: Where the source listens.
        peers: Where the devices of the other nodes listen.
        kme: Its KME; ``tls`` names no files yet.
        kme_credentials: Of the KME.
        master_key: What wraps its store's data keys, 32 bytes.
        agents: Of the tunnels that end here.
    """

    folder: str
    source: Address
    peers: dict[str, Address]
    kme: KmeConfig
    kme_credentials: Credentials
    master_key: bytes
    agents: tuple[AgentDeployment, ...] = ()

    def __repr__(self) -> str:
        return f"<NodeDeployment {self.name}>"


Deployment = SourceDeployment | NodeDeployment


# -------------------------------------------------------------------------------------------------------- what is said
class Drain(Line, frozen=True):
    """To a node: agents ask for no more keys; end what is under way, and say ``drained``. To a backbone: end now.

    Attributes:
        early: Before the source's last slot.
    """

    early: bool = False


class Finish(Line, frozen=True):
    """To a node: end all sessions, close the books, and say ``finished``. All nodes get it at the same time."""


class Order(Line, frozen=True):
    """To a process: a fault begins or ends."""

    fault: Fault


Command = Drain | Finish | Order


class Said(Line, frozen=True):
    """From a process, about itself.

    Attributes:
        what: ``serving``: it listens; ``in step``: a node's KME is with all its peers; ``begun``: the run is under way
            (``at_s``: since this moment of the machine's monotonic clock); ``over``: the source's last slot has ended;
            ``drained``, ``finished``: a node has done what it was told to; ``problem``: what people should know.
        detail: For people.
    """

    what: Literal["serving", "in step", "begun", "over", "drained", "finished", "problem"]
    at_s: float = 0.0
    detail: str = ""


class Stocked(Line, frozen=True):
    """From a node: what its KME holds of a link's key.

    Attributes:
        available_bits, reserved_bits: In stock, and delivered to a master but not fetched yet.
    """

    at_s: float
    link: str
    kme: str
    available_bits: int
    reserved_bits: int


Happened = Event | WideEvent

Report = Happened | Said | Stocked

DEPLOYMENT = msgspec.json.Decoder(Deployment)
COMMAND = msgspec.json.Decoder(Command)
REPORT: "msgspec.json.Decoder[Report]" = msgspec.json.Decoder(Report)
_encode = msgspec.json.Encoder().encode


def line(what: msgspec.Struct) -> bytes:
    """Return what stands on one line, with its end."""
    return _encode(what) + b"\n"
