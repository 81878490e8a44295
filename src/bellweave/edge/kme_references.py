"""Does a KME's configuration fit together? Names that are used are known, ways lead somewhere, limits do not cross.

Each refusal is a :class:`~bellweave.errors.ScenarioError` with the path of what is to blame.
"""

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from itertools import pairwise
from urllib.parse import urlsplit

from bellweave.blocks import Origin
from bellweave.edge.identity import holder_of
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig
from bellweave.kms.params import Directory, Expansion, Kms, Pair, Relay

MAX_SAE_NAME = 256
"""Characters; the standard sets no limit, paths and logs need one."""

_KME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # stands in names of pools, folders and units


def check_references(config: KmeConfig) -> None:
    """Check everything that can be checked without looking at files.

    Raises:
        ScenarioError: Something does not fit.
    """
    known = _check_names(config.directory)
    for number, link in enumerate(config.directory.links):
        _check_ends(link, f"directory.links[{number}]")
    _check_unique([frozenset(link) for link in config.directory.links], "directory.links")
    _check_pairs(config.directory)
    _check_made_pools(config.directory, known)
    _check_peers(config)
    _check_sizes(config.kms)
    _check_endpoints(config)
    _check_clients(config)


def address(text: str, path: str = "") -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 address stands in brackets.

    Raises:
        ScenarioError: It is something else.

    >>> address("[::1]:8443")
    ('::1', 8443)
    """
    host, colon, port = text.rpartition(":")
    plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not plain or (":" in plain) != (plain != host) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ScenarioError(f"expected host:port, or [address]:port for IPv6, got {text!r}", path=path)
    if int(port) > 65535:
        raise ScenarioError(f"expected a port up to 65535, got {port}", path=path)
    return plain, int(port)


def local_saes(directory: Directory) -> frozenset[str]:
    """Return the SAEs that are registered at this KME: who may ask here."""
    return frozenset(name for name, kme in directory.saes.items() if kme == directory.kme)


def _check_names(directory: Directory) -> set[str]:
    """Check who there is, and return this KME and its peers."""
    for path, name in (("directory.kme", directory.kme), *(("directory.peers", each) for each in directory.peers)):
        if not _KME_NAME.fullmatch(name):
            raise ScenarioError(
                f"expected up to 64 of A-Z a-z 0-9 . _ - that begin with a letter or digit, got {name!r}", path=path
            )
    known = {directory.kme, *directory.peers}
    _check_unique([directory.kme, *directory.peers], "directory.peers")
    for name, kme in directory.saes.items():
        path = f"directory.saes.{name}"
        if not 1 <= len(name) <= MAX_SAE_NAME or name.startswith("@") or not name.isprintable():
            raise ScenarioError(
                f"an SAE's name has 1 to {MAX_SAE_NAME} printable characters, the first no @ (a KME's own)", path=path
            )
        _check_known(kme, known, "KME", path)
    return known


def _check_pairs(directory: Directory) -> None:
    _check_unique([(pair.master, pair.slave) for pair in directory.pairs], "directory.pairs")
    for number, pair in enumerate(directory.pairs):
        path = f"directory.pairs[{number}]"
        _check_known(pair.master, directory.saes, "SAE", f"{path}.master")
        _check_known(pair.slave, directory.saes, "SAE", f"{path}.slave")
        if pair.master == pair.slave:
            raise ScenarioError(f"an SAE shares no key with itself: {pair.master!r}", path=path)
        if not pair.origins:
            raise ScenarioError("expected at least one of direct, relayed and expanded", path=f"{path}.origins")
        _check_unique(pair.origins, f"{path}.origins")
        _check_pools_of(pair, directory, f"{path}.origins")


def _check_pools_of(pair: Pair, directory: Directory, path: str) -> None:
    """Check that there is something to make a pair's relayed or expanded key from."""
    ends = {directory.saes[pair.master], directory.saes[pair.slave]}
    if len(ends) < 2 or directory.kme not in ends:
        return
    made: dict[Origin, tuple[Relay | Expansion, ...]] = {
        "relayed": directory.relays,
        "expanded": directory.expansions,
    }
    for origin, pools in made.items():
        if origin in pair.origins and not any(set(pool.kmes) == ends for pool in pools):
            table = "directory.relays" if origin == "relayed" else "directory.expansions"
            raise ScenarioError(f"no entry of {table} has the KMEs {' and '.join(sorted(ends))}", path=path)


def _check_made_pools(directory: Directory, known: set[str]) -> None:
    links = {frozenset(link) for link in directory.links}
    made: dict[str, tuple[Relay | Expansion, ...]] = {"relays": directory.relays, "expansions": directory.expansions}
    for kind, pools in made.items():
        _check_unique([frozenset(pool.kmes) for pool in pools], f"directory.{kind}")
        for number, pool in enumerate(pools):
            path = f"directory.{kind}[{number}].kmes"
            _check_ends(pool.kmes, path)
            if directory.kme in pool.kmes:
                for kme in pool.kmes:
                    _check_known(kme, known, "KME", path)
    for number, relay in enumerate(directory.relays):
        _check_paths(relay, links, f"directory.relays[{number}].paths")


def _check_paths(relay: Relay, links: set[frozenset[str]], path: str) -> None:
    between: list[str] = []
    for number, kmes in enumerate(relay.paths):
        place = f"{path}[{number}]"
        if len(kmes) < 3 or {kmes[0], kmes[-1]} != set(relay.kmes) or len(set(kmes)) < len(kmes):
            ends = " to ".join(relay.kmes)
            raise ScenarioError(f"expected a path from {ends} over others, each once, got {list(kmes)}", path=place)
        for hop in pairwise(kmes):
            if frozenset(hop) not in links:
                raise ScenarioError(f"{hop[0]} and {hop[1]} share no link in directory.links", path=place)
        between += kmes[1:-1]
    twice = [kme for kme, times in Counter(between).items() if times > 1]
    if twice:
        raise ScenarioError(f"{twice[0]} is on two paths, and would know the key", path=path)


def _check_peers(config: KmeConfig) -> None:
    peers = config.directory.peers
    for name, peer in config.peers.items():
        _check_known(name, peers, "peer", f"peers.{name}")
        if address(peer.address, f"peers.{name}.address")[1] == 0:
            raise ScenarioError("expected the port where the peer listens, got 0", path=f"peers.{name}.address")
    for name in peers:
        if name not in config.peers and config.link is None:
            raise ScenarioError("has no address, and there is no [link] endpoint to wait for it", path=f"peers.{name}")
    for name, peer_name in config.devices.items():
        _check_known(peer_name, peers, "peer", f"devices.{name}")
    for name, vendor in config.vendors.items():
        _check_known(vendor.peer, peers, "peer", f"vendors.{name}.peer")
        url = urlsplit(vendor.url)
        if url.scheme != "https" or not url.hostname:
            raise ScenarioError(f"expected https://host..., got {vendor.url!r}", path=f"vendors.{name}.url")


def _check_sizes(kms: Kms) -> None:
    if not kms.min_key_size_bits <= kms.key_size_bits <= kms.max_key_size_bits:
        limits = f"{kms.min_key_size_bits} to {kms.max_key_size_bits}"
        raise ScenarioError(f"expected {limits}, as min_ and max_key_size_bits say, got {kms.key_size_bits}",
                            path="kms.key_size_bits")  # fmt: skip
    if not kms.low_keys <= kms.high_keys <= kms.quota_keys:
        raise ScenarioError(
            f"expected low_keys <= high_keys <= quota_keys, got {kms.low_keys}, {kms.high_keys}, {kms.quota_keys}",
            path="kms.high_keys",
        )


def _check_endpoints(config: KmeConfig) -> None:
    taken: dict[tuple[str, int], str] = {}
    for name in ("etsi014", "etsi004", "skip", "link", "device", "admin"):
        endpoint = getattr(config, name)
        if endpoint is None:
            continue
        where = address(endpoint.listen, f"{name}.listen")
        if where[1] and where in taken:
            raise ScenarioError(f"{endpoint.listen} is that of {taken[where]} already", path=f"{name}.listen")
        taken[where] = name
    if not re.match(r"memory:$|sqlite:///.|postgresql\+psycopg://", config.store):
        kind = config.store.partition(":")[0]  # the rest may hold a password
        raise ScenarioError(
            f"expected memory:, sqlite:///PATH or postgresql+psycopg://..., got {kind}:...", path="store"
        )


def _check_clients(config: KmeConfig) -> None:
    directory = config.directory
    saes = local_saes(directory)
    if config.skip is not None:
        system = config.skip.system or directory.kme
        if system not in saes:
            raise ScenarioError(f"{system!r} is no SAE of {directory.kme} in directory.saes", path="skip.system")
        for name in config.skip.clients:
            _check_known(name, saes, "SAE of this KME", "skip.clients")
    for fingerprint, name in config.tls.fingerprints.items():
        if holder_of(name) is None and name not in directory.saes:
            raise ScenarioError(
                f"expected a registered SAE, or urn:bellweave:kme:NAME for a peer, got {name!r}",
                path=f"tls.fingerprints.{fingerprint[:16]}...",
            )
    if not config.tls.identity:
        raise ScenarioError("expected at least one of san-uri, san-dns, cn and fingerprint", path="tls.identity")


def _check_ends(kmes: tuple[str, str], path: str) -> None:
    if kmes[0] == kmes[1]:
        raise ScenarioError(f"expected two KMEs, got {kmes[0]!r} twice", path=path)


def _check_known(name: str, known: Collection[str], kind: str, path: str) -> None:
    if name not in known:
        listed = ", ".join(sorted(known)[:8]) or "none"
        raise ScenarioError(f"no such {kind}: {name!r}; there are {listed}", path=path)


def _check_unique(items: Iterable[Hashable], path: str) -> None:
    for item, times in Counter(items).items():
        if times > 1:
            words = " and ".join(sorted(item)) if isinstance(item, frozenset | tuple) else str(item)
            raise ScenarioError(f"stands there twice: {words}", path=path)
