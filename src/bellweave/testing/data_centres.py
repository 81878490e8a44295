"""Small data centres for tests: a few users, blocks of some 300 bits of key, a few milliseconds of work each."""

from typing import Any

import msgspec

from bellweave.scenario.load import load
from bellweave.scenario.scaled import scaled
from bellweave.scenario.schema import Scenario

SLOT_S = 10.5


def small(users: int = 2, slots: int = 12, *, tunnels: int | None = None, **tables: dict[str, Any]) -> Scenario:
    """Return a network of users ``user1``, ``user2``...; every pair has a link, and the first ones a tunnel.

    Keys of 128 bits are due every 15 s from 20 s on. ``tables`` change values: ``schedule={"sources": 2}``,
    ``fault={"dark": {"at_s": 1.0, "down": "user1"}}``; ``every_tunnel`` and ``every_node`` those of all of them.
    """
    scenario = scaled(load("datacenter"), users, tunnels=tunnels)
    tree: dict[str, Any] = msgspec.to_builtins(scenario)
    tree["run"] |= {"level": "coincidences"}
    tree["schedule"] |= {"slots": slots, "slot_s": SLOT_S}
    tree["kms"] |= {"key_size_bits": 128}
    defaults = {"key_bits": 128, "period_s": 15.0, "start_s": 20.0, "session_s": None}
    for kind, values in (("tunnel", defaults | tables.pop("every_tunnel", {})), ("node", tables.pop("every_node", {}))):
        tree[kind] = {name: each | values for name, each in tree[kind].items()}
    for name, values in tables.items():
        tree[name] = (tree.get(name) or {}) | values
    return msgspec.convert(tree, Scenario)


def with_seed(scenario: Scenario, seed: int) -> Scenario:
    """Return the scenario with another seed."""
    return msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, seed=seed))
