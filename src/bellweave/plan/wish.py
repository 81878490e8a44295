"""What a data centre is to serve: so many tunnels, each with a key of that size that often."""

import msgspec

from bellweave.errors import ScenarioError
from bellweave.scenario.load import checked_scenario
from bellweave.scenario.schema import Scenario
from bellweave.tunnel.params import Tunnel


def wished(
    scenario: Scenario, *, tunnels: int | None = None, key_bits: int | None = None, period_s: float | None = None
) -> Scenario:
    """Return the scenario with these tunnels; what is None stays as it is.

    Another number of tunnels is dealt out over the links in their order, round after round, every second one on a link
    in the other direction; they are like the scenario's first one.

    Raises:
        ScenarioError: If it has no link for them, or the KMS does not give keys of that size.
    """
    found = dict(scenario.tunnel)
    if tunnels is not None and tunnels != len(found):
        found = _dealt(scenario, tunnels)
    if not found:
        raise ScenarioError("has no tunnels, and none are asked for", path="tunnel")
    changes = {name: value for name, value in (("key_bits", key_bits), ("period_s", period_s)) if value is not None}
    found = {name: msgspec.structs.replace(tunnel, **changes) for name, tunnel in found.items()}
    return checked_scenario(msgspec.structs.replace(scenario, tunnel=found))


def _dealt(scenario: Scenario, tunnels: int) -> dict[str, Tunnel]:
    links = list(scenario.link.items())
    if not links:
        raise ScenarioError("has no links, so no tunnel has key", path="link")
    like = next(iter(scenario.tunnel.values()), Tunnel(client="", server=""))
    found = {}
    for number in range(tunnels):
        lap, at = divmod(number, len(links))
        name, link = links[at]
        client, server = (link.alice, link.bob) if lap % 2 == 0 else (link.bob, link.alice)
        found[f"{name}-{lap + 1}"] = msgspec.structs.replace(like, client=client, server=server)
    return found
