"""Expanded key: where the link gives too little, a generator stretches some of it.

The pool's lead draws a seed from the direct pool, and both ends make the same block of it: NIST SP 800-108r1, counter
mode (4.1) with HMAC-SHA256, a 32-bit counter before the fixed data, pool and block id as its context. Such key is as
secret as HMAC-SHA256 is hard to break: its origin says so, and nothing of it counts as proven.

After a cut the lead says the same again; a peer that has made the block answers so. A seed that the peer has lost (it
crashed between the two steps) is given up, and another one is drawn after a wait that grows.
"""

from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from bellweave.errors import NotEnoughKey, NotMet, PeerRefused, PeerUnreachable, ScenarioError
from bellweave.kms.effects import Work, apply_all, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Done, Expand
from bellweave.kms.operations import AddBlock
from bellweave.kms.pads import draw_one, lacks, take_one
from bellweave.kms.params import Expansion
from bellweave.kms.parts import additions, is_held
from bellweave.kms.records import Material, Statement, pool_name

LABEL = b"bellweave expansion 1"
BLOCK_ID_BYTES = 16

BLOCKS_A_TICK = 8
"""Of one pool: other work waits meanwhile."""

LONGEST_WAIT_S = 300.0


def expand(seed: bytes, pool: str, block_id: str, size_bytes: int) -> bytes:
    """Return a block's bytes; other pools and ids give independent ones.

    >>> expand(bytes(32), "kme-a|kme-b/expanded", "1", 8).hex()
    'd2f53dae490e897c'
    """
    names = (pool.encode(), block_id.encode())
    return KBKDFHMAC(
        algorithm=SHA256(),
        mode=Mode.CounterMode,
        length=size_bytes,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=LABEL,
        context=b"".join(len(name).to_bytes(4, "big") + name for name in names),
        fixed=None,
    ).derive(seed)


def expanded(seed: Statement) -> Statement:
    """Return what is known of key that is made of such a seed."""
    return msgspec.structs.replace(seed, origin="expanded", epsilon=1.0, provable=False)


@dataclass(slots=True)
class Making:
    """A block that the peer is being told of."""

    message: Expand
    additions: tuple[AddBlock, ...] = field(repr=False)


class Expansions:
    """The expanded pools of one KME.

    Raises:
        ScenarioError: One of them is shared with a stranger.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._expansions = {
            pool_name(*each.kmes, "expanded"): each for each in memory.directory.expansions if memory.kme in each.kmes
        }
        for pool, each in self._expansions.items():
            if memory.roster.pools.get(pool, memory.kme) == memory.kme:
                raise ScenarioError(f"{' and '.join(each.kmes)} are no peers", path="directory.expansions")
        self._making: dict[str, Making] = {}
        self._refusals: dict[str, int] = {}
        self._again_s: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------------------- the lead

    def refill(self, now_s: float) -> Work[None]:
        """Bring each pool that this KME leads above its low watermark, a few blocks at a time.

        Raises:
            StoreFailed: The rest is for the next tick.
        """
        for pool, expansion in self._expansions.items():
            peer = self._memory.roster.pools[pool]
            if not self._memory.roster.leads(pool) or not self._memory.in_step(peer):
                continue
            if now_s < self._again_s.get(pool, 0.0):
                continue
            for _ in range(BLOCKS_A_TICK):
                if pool not in self._making and not (yield from lacks(pool, expansion.low_bits)):
                    break
                if not (yield from self._make(pool, peer, expansion, now_s)):
                    break

    def _make(self, pool: str, peer: str, expansion: Expansion, now_s: float) -> Work[bool]:
        """Begin or go on with a block; return whether both ends hold it."""
        try:
            if pool not in self._making:
                seed = yield from draw_one(self._memory, peer, expansion.seed_bits // 8, "expansion", now_s)
                self._making[pool] = self._begin(pool, expansion.block_bits // 8, seed, now_s)
            making = self._making[pool]
            yield from ask(peer, making.message, Done)
        except PeerRefused:
            self._making.pop(pool, None)
            self._refusals[pool] = self._refusals.get(pool, 0) + 1
            self._again_s[pool] = now_s + min(2.0 ** self._refusals[pool], LONGEST_WAIT_S)
            return False
        except (PeerUnreachable, NotEnoughKey, NotMet):
            return False  # the next tick says the same again
        yield from apply_all(*making.additions)
        self._making.pop(pool, None)
        self._refusals.pop(pool, None)
        return True

    def _begin(self, pool: str, size_bytes: int, seed: Material, now_s: float) -> Making:
        block_id = self._memory.entropy.bytes(BLOCK_ID_BYTES).hex()
        expires_s = now_s + self._memory.params.block_lifetime_s
        message = Expand(pool=pool, block_id=block_id, seed_id=seed.key_id, size_bytes=size_bytes, expires_s=expires_s)
        return Making(message, _additions(message, seed))

    # ------------------------------------------------------------------------------------------------------- the peer

    def answer(self, sender: str, message: Expand, now_s: float) -> Work[Done]:
        """Make the block here, too.

        Raises:
            PeerRefused: This KME expects no such block.
            UnknownKeys, StoreFailed: The seed is not there (any more).
        """
        expansion = self._expansions.get(message.pool)
        roster = self._memory.roster
        if expansion is None or roster.leads(message.pool) or roster.pools[message.pool] != sender:
            raise PeerRefused(f"{sender} does not lead {message.pool} here")
        if not 0 < message.size_bytes <= expansion.block_bits // 8:
            raise PeerRefused(f"a block of {message.pool} has {expansion.block_bits // 8} bytes")
        if (yield from is_held(message.pool, message.block_id, message.size_bytes)):
            return Done()
        seed = yield from take_one(self._memory, sender, message.seed_id, now_s)
        if 8 * len(seed.bits) < expansion.seed_bits:
            raise PeerRefused(f"a seed of {message.pool} has {expansion.seed_bits} bits, not {8 * len(seed.bits)}")
        yield from apply_all(*_additions(message, seed))
        return Done()


def _additions(message: Expand, seed: Material) -> tuple[AddBlock, ...]:
    material = expand(seed.bits, message.pool, message.block_id, message.size_bytes)
    return additions(message.pool, message.block_id, material, expanded(seed.statement), message.expires_s)
