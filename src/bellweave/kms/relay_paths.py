"""The paths of a relayed pool: as given, or found among the known links."""

from bellweave.errors import ScenarioError
from bellweave.kms.params import Directory, Relay

Path = tuple[str, ...]


def paths(directory: Directory, relay: Relay) -> tuple[Path, ...]:
    """Return a pool's paths from its lead to the other end, the same at each call.

    Raises:
        ScenarioError: They do not join the two ends, share a KME on the way, or there are fewer than asked for.
    """
    first, last = sorted(relay.kmes)
    where = f"directory.relays of {first} and {last}"
    if relay.paths:
        found = tuple(path if path[:1] == (first,) else path[::-1] for path in relay.paths)
    else:
        found = _find(directory, first, last, relay.disjoint, where)
    for path in found:
        if len(path) < 2 or (path[0], path[-1]) != (first, last) or len(set(path)) < len(path):
            raise ScenarioError(f"{' - '.join(path)} is no path between the two", path=where)
    inner = [kme for path in found for kme in path[1:-1]]
    twice = sorted({kme for kme in inner if inner.count(kme) > 1})
    if twice:
        raise ScenarioError(f"several paths lead through {', '.join(twice)}, which would know the key", path=where)
    return found


def _find(directory: Directory, first: str, last: str, count: int, where: str) -> tuple[Path, ...]:
    import networkx as nx  # noqa: PLC0415  # slow to import, and most KMEs have no relayed pool

    names = sorted({first, last, *(name for link in directory.links for name in link)})
    number = {name: index for index, name in enumerate(names)}  # networkx walks sets: numbers have one order, names not
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(names)))
    edges = {(number[min(link)], number[max(link)]) for link in directory.links}
    graph.add_edges_from(sorted(edges))
    try:
        if count == 1:
            routes = [nx.shortest_path(graph, number[first], number[last])]
        else:
            routes = list(nx.node_disjoint_paths(graph, number[first], number[last], cutoff=count))
    except nx.NetworkXNoPath:
        routes = []
    if len(routes) < count:
        raise ScenarioError(f"the known links have {len(routes)} disjoint paths, not {count}", path=where)
    return tuple(
        sorted((tuple(names[index] for index in route) for route in routes), key=lambda path: (len(path), path))
    )
