"""The paths of a relayed pool: as given, or found among the known links."""

from typing import Any

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


def spares(directory: Directory, relay: Relay, used: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return further paths for a pool whose paths are found, not given: they share no KME with these or each other."""
    import networkx as nx  # noqa: PLC0415

    if relay.paths:
        return ()
    first, last = sorted(relay.kmes)
    names, graph = _graph(directory, first, last)
    graph.remove_nodes_from(names.index(kme) for path in used for kme in path[1:-1])
    graph.remove_edges_from([(names.index(first), names.index(last))])
    found = []
    while nx.has_path(graph, names.index(first), names.index(last)):
        route = nx.shortest_path(graph, names.index(first), names.index(last))
        graph.remove_nodes_from(route[1:-1])
        found.append(tuple(names[index] for index in route))
    return tuple(found)


def _find(directory: Directory, first: str, last: str, count: int, where: str) -> tuple[Path, ...]:
    import networkx as nx  # noqa: PLC0415  # slow to import, and most KMEs have no relayed pool

    names, graph = _graph(directory, first, last)
    ends = names.index(first), names.index(last)
    try:
        if count == 1:
            routes = [nx.shortest_path(graph, *ends)]
        else:
            routes = list(nx.node_disjoint_paths(graph, *ends, cutoff=count))
    except nx.NetworkXNoPath:
        routes = []
    if len(routes) < count:
        raise ScenarioError(f"the known links have {len(routes)} disjoint paths, not {count}", path=where)
    return tuple(
        sorted((tuple(names[index] for index in route) for route in routes), key=lambda path: (len(path), path))
    )


def _graph(directory: Directory, first: str, last: str) -> tuple[list[str], Any]:
    """Return the known KMEs, in order, and the graph of their links: by number, because networkx walks sets."""
    import networkx as nx  # noqa: PLC0415

    names = sorted({first, last, *(name for link in directory.links for name in link)})
    number = {name: index for index, name in enumerate(names)}
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(names)))
    graph.add_edges_from(sorted({(number[min(link)], number[max(link)]) for link in directory.links}))
    return names, graph
