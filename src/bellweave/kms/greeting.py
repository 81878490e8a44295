"""How two KMEs get in step after a start, a cut, or a backup.

Each store counts its changes (once a second; the count is stored before it is told), and each KME remembers the highest
count that it was ever told of another's store. A KME that greets with a lower one than its peer remembers runs on a
backup: keys wait there that were taken already. It withdraws them all before it hands out any, and asks at once how far
all its portions were used, so that the peer may lose its store next.

The count is kept at the own store as what is remembered of oneself.
"""

from bellweave.errors import PeerRefused
from bellweave.kms import portions
from bellweave.kms.confirmation import confirm
from bellweave.kms.effects import Work, apply, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import PROTOCOL, Hello, Welcome
from bellweave.kms.operations import WithdrawAll, Witness
from bellweave.kms.records import pool_name
from bellweave.kms.roster import ORIGINS


def greet(memory: Memory, store_name: str, peer: str, now_s: float) -> Work[None]:
    """Greet the peer on a new link; afterwards it is in step, unless this raises or the link broke meanwhile.

    Raises:
        PeerUnreachable: The link broke again.
        PeerRefused: The peer does not know this KME, or speaks another protocol.
    """
    state = memory.peers.get(peer)
    if state is None:
        raise PeerRefused(f"{peer} is not among the peers of {memory.kme}")
    memory.leave(state)
    era = state.era
    told = memory.changes = yield from apply(Witness(peer=memory.kme))  # not one more: a copy may be just one behind
    hello = Hello(sender=memory.kme, receiver=peer, store=store_name, changes=told)
    welcome = yield from ask(peer, hello, Welcome)
    if welcome.changes > told and welcome.changes > (yield from apply(Witness(peer=memory.kme))):
        yield from _withdraw_all(memory, now_s)
        memory.changes = yield from apply(Witness(peer=memory.kme, changes=welcome.changes))
    memory.strangers.discard(peer)
    if state.era == era:  # else the link broke meanwhile, or was made anew: what that one's greeting has found counts
        state.linked = True


def count_change(memory: Memory) -> Work[int]:
    """Count one more change of the own store and return the count, which other servers on it may have raised too."""
    if not memory.changes:
        memory.changes = yield from apply(Witness(peer=memory.kme))
    memory.changes = yield from apply(Witness(peer=memory.kme, changes=memory.changes + 1))
    return memory.changes


def catch_up(memory: Memory, peer: str) -> Work[None]:
    """Confirm what waits and get the portions that are missing here, in every pool that is shared with the peer.

    Raises:
        PeerUnreachable, PeerRefused: The rest is for the next tick.
    """
    for pool, other in memory.roster.fed.items():
        if other == peer and pool not in memory.peers[peer].aligned:
            if memory.roster.leads(pool):
                yield from confirm(memory, peer, pool)
            if (yield from portions.aligned(memory, peer, pool)) and pool in memory.peers[peer].restored:
                yield from portions.skip_used(peer, pool)
                memory.peers[peer].restored.discard(pool)


def answer_hello(memory: Memory, sender: str, message: Hello) -> Work[Welcome]:
    """Remember the sender's count and tell the highest that is remembered."""
    if (message.sender, message.receiver) != (sender, memory.kme):
        raise PeerRefused(f"{sender} greets as {message.sender}, and calls {memory.kme} {message.receiver}")
    if message.protocol != PROTOCOL:
        raise PeerRefused(f"{sender} speaks protocol {message.protocol}, {memory.kme} speaks {PROTOCOL}")
    return Welcome(changes=(yield from apply(Witness(peer=sender, changes=message.changes))))


def _withdraw_all(memory: Memory, now_s: float) -> Work[None]:
    """Forget all keys that wait here, whomever they are from (copies are also from pools between others)."""
    known = sorted({memory.kme, *memory.roster.peers, *memory.directory.saes.values()})
    pools = {pool_name(one, other, origin) for one in known for other in known for origin in ORIGINS}
    yield from apply(WithdrawAll(pools=tuple(sorted(pools)), now_s=now_s))
    for pool, peer in memory.roster.pools.items():
        if peer in memory.peers:
            memory.peers[peer].restored.add(pool)
