"""A data centre with another number of users: every user like the first node, a link for every pair."""

from itertools import combinations

import msgspec

from bellweave.errors import ScenarioError
from bellweave.scenario.schema import Scenario
from bellweave.tunnel.params import Tunnel

MOST_USERS = 1024


def scaled(scenario: Scenario, users: int, *, tunnels: int | None = None) -> Scenario:
    """Return the scenario with ``users`` users on as many switch ports, and all their pairs as links.

    Nodes and links are copies of the scenario's first ones; tunnels, if there are any, copies of its first one, one for
    each of the first ``tunnels`` links (default: for every link).

    Raises:
        ScenarioError: With fewer than 2 users, or more than this is meant for.
    """
    if not 2 <= users <= MOST_USERS:
        raise ScenarioError(f"a data centre has 2 to {MOST_USERS} users, got {users}", path="users")
    node = next(iter(scenario.node.values()))
    link = next(iter(scenario.link.values()))
    names = [f"user{number:0{len(str(users))}d}" for number in range(1, users + 1)]
    pairs = list(combinations(names, 2))
    links = {f"{a}-{b}": msgspec.structs.replace(link, alice=a, bob=b) for a, b in pairs}
    made: dict[str, Tunnel] = {}
    if scenario.tunnel:
        tunnel = next(iter(scenario.tunnel.values()))
        chosen = pairs if tunnels is None else pairs[:tunnels]
        made = {f"{a}-{b}": msgspec.structs.replace(tunnel, client=a, server=b) for a, b in chosen}
    switch = scenario.switch and msgspec.structs.replace(scenario.switch, ports=users)
    return msgspec.structs.replace(
        scenario,
        name=f"{scenario.name}-{users}",
        node=dict.fromkeys(names, node),
        link=links,
        tunnel=made,
        switch=switch,
    )
