"""Put a scenario's tables together: names resolved, losses in the order of the path, every link ready to simulate."""

from collections.abc import Mapping
from typing import TypeVar

from bellweave.errors import ScenarioError
from bellweave.network.checks import check_pairs, check_schedule
from bellweave.photonics.checks import check_link
from bellweave.photonics.params import Arm, Fibre, OpticalLink
from bellweave.scenario.schema import Link, Scenario
from bellweave.scenario.wide import check_wide
from bellweave.units import transmission

Part = TypeVar("Part")


def optical_link(scenario: Scenario, name: str) -> OpticalLink:
    """Return everything that the photons of one link meet.

    Raises:
        ScenarioError: If a name leads nowhere or the parts do not fit; with the path.
    """
    link = _named(scenario.link, name, "link")
    path = f"link.{name}"
    source = _named(scenario.source, link.source, f"{path}.source")
    if link.alice == link.bob:
        raise ScenarioError(f"a link joins two nodes, both are {link.bob!r}", path=f"{path}.bob")
    alice, bob = (_arm(scenario, path, link, end) for end in ("alice", "bob"))
    optical = OpticalLink(
        name=name,
        source=source,
        alice=alice,
        bob=bob,
        window_ps=link.window_ps,
        block_s=link.block_s,
        crosstalk=_crosstalk(scenario, link),
        eavesdropper=link.eavesdropper,
        cut=link.cut,
        calibration=link.calibration,
    )
    try:
        check_link(optical)
    except ScenarioError as error:
        raise ScenarioError(error.problem, path=_path_of(error.path, path, link)) from None
    return optical


def check_references(scenario: Scenario) -> None:
    """Refuse a scenario whose names lead nowhere or whose parts do not fit together.

    Raises:
        ScenarioError: With the path.
    """
    for name in scenario.link:
        optical_link(scenario, name)
    check_wide(scenario)
    links = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
    for name, tunnel in scenario.tunnel.items():
        for end in ("client", "server"):
            _named({**scenario.node, **scenario.slave}, getattr(tunnel, end), f"tunnel.{name}.{end}")
        if tunnel.client == tunnel.server:
            raise ScenarioError(f"a tunnel joins two nodes, both are {tunnel.client!r}", path=f"tunnel.{name}.server")
        _check_sizes(scenario, name)
    # any two slaves share key over the backbone
    near = {
        name: each for name, each in scenario.tunnel.items() if not {each.client, each.server} <= set(scenario.slave)
    }
    check_pairs({f"tunnel.{name}": (each.client, each.server) for name, each in near.items()}, links)
    if scenario.schedule is not None:
        check_schedule(scenario.schedule, links, lost_s(scenario))
    for name in scenario.recorded:
        if name not in scenario.link:
            raise ScenarioError(f"no link of that name; there are {_list(scenario.link)}", path=f"recorded.{name}")
    if scenario.switch is not None:
        users = {end for link in scenario.link.values() if link.via_switch for end in (link.alice, link.bob)}
        if len(users) > scenario.switch.ports:
            raise ScenarioError(
                f"{scenario.switch.ports} ports can't serve {len(users)} nodes ({', '.join(sorted(users))})",
                path="switch.ports",
            )


def lost_s(scenario: Scenario) -> float:
    """Return what reconfiguration and synchronisation take of a slot in which the switch connects other ports."""
    switch = scenario.switch
    return 0.0 if switch is None else switch.reconfiguration_s + switch.synchronisation_s


def _check_sizes(scenario: Scenario, name: str) -> None:
    bits, kms = scenario.tunnel[name].key_bits, scenario.kms
    if bits % 8 or not kms.min_key_size_bits <= bits <= kms.max_key_size_bits:
        limits = f"a multiple of 8 from {kms.min_key_size_bits} to {kms.max_key_size_bits}"
        raise ScenarioError(f"the KMS gives {limits}, got {bits}", path=f"tunnel.{name}.key_bits")


def _arm(scenario: Scenario, path: str, link: Link, end: str) -> Arm:
    node = _named(scenario.node, getattr(link, end), f"{path}.{end}")
    losses: dict[str, float] = {}
    delay_ps = 0
    share = link.source_position if end == "alice" else 1.0 - link.source_position
    if link.fibre is not None and share > 0.0:
        part = Fibre(
            length_km=link.fibre.length_km * share,
            loss_db_per_km=link.fibre.loss_db_per_km,
            group_index=link.fibre.group_index,
        )
        losses["link fibre"] = part.loss_db
        delay_ps += part.delay_ps
    if link.via_switch:
        if scenario.switch is None:
            raise ScenarioError("there is no [switch] table", path=f"{path}.via_switch")
        losses["switch"] = scenario.switch.insertion_loss_db
    if node.fibre is not None:
        losses["fibre"] = node.fibre.loss_db
        delay_ps += node.fibre.delay_ps
    return Arm(node=node, loss_db=losses | dict(node.loss_db), delay_ps=delay_ps)


def _crosstalk(scenario: Scenario, link: Link) -> float:
    if not link.via_switch or scenario.switch is None or scenario.switch.crosstalk_db is None:
        return 0.0
    return transmission(scenario.switch.crosstalk_db)


def _path_of(inner: str, path: str, link: Link) -> str:
    """Turn a path inside an optical link (``link.NAME.bob.detector``) into one of the file (``node.bob.detector``)."""
    inner = inner.removeprefix(f"{path}.")
    tables = {"alice": f"node.{link.alice}", "bob": f"node.{link.bob}", "source": f"source.{link.source}"}
    for end, table in tables.items():
        if inner == end or inner.startswith(f"{end}."):
            return table + inner.removeprefix(end)
    return f"{path}.{inner}" if inner else path


def _named(table: Mapping[str, Part], name: str, path: str) -> Part:
    if name not in table:
        raise ScenarioError(f"there is no {name!r}; there are {_list(table)}", path=path)
    return table[name]


def _list(table: Mapping[str, object]) -> str:
    return ", ".join(sorted(table)) or "none"
