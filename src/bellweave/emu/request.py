"""What an emulation is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bellweave.edge.fabric import Layout
from bellweave.edge.gateways_file import Gateways
from bellweave.edge.probe import PROBE_HZ
from bellweave.emu.serve_only import Serving
from bellweave.scenario.schema import Scenario

Say = Callable[[str], None]
"""Gets sentences for people."""

Announce = Callable[[dict[str, Any]], None]
"""Gets where everything is: see :func:`bellweave.emu.serve_only.export`."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be emulated.

    Attributes:
        scenario: With the seed, the slots and the speed of the run.
        out: Run directory.
        seeded: Whether the scenario's seed fixes all protocol randomness.
        channel: What protects tunnels; ``auto``: IPsec wherever it runs.
        layout: Of the data network, with IPsec.
        gateways: Of somebody else's, to be driven instead of ones of our own: all ends of all tunnels.
        serving: Key servers for SAEs of others, and no tunnels.
        probe_hz: Probes a second in each tunnel.
        hold: Whether events are kept for the result; not for runs without end.
    """

    scenario: Scenario
    out: Path
    seeded: bool = True
    channel: Literal["auto", "ipsec", "aead"] = "auto"
    layout: Layout = "bridge"
    gateways: Gateways | None = None
    serving: Serving | None = None
    probe_hz: float = PROBE_HZ
    hold: bool = True
