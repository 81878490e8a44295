"""Cascade's variants by name: block sizes, what is re-used, what comes after the passes.

================  ==================  ====================  ================================================  ==========
name              first block         second block          afterwards                                        repairs
================  ==================  ====================  ================================================  ==========
``original``      ceil(0.73/Q)        twice the first       two more passes, doubling; blocks re-used only    no
``paper-dc``      as ``original``     as ``original``       as ``original``                                   no
``biconf``        ceil(0.92/Q)        three times           subsets until 10 in a row are clean; blocks only  yes
``yanetal``       ceil(0.80/Q)        five times            8 subsets; blocks only                            yes
``opt3``          ceil(1/Q)           twice                 14 subsets; blocks only                           yes
``opt4``          ceil(1/Q)           twice                 14 subsets                                        yes
``opt7``          2^ceil(a)           four times            12 subsets                                        yes
``opt8``          2^ceil(a - 1/2)     2^ceil((a + 11.5)/2)  blocks of 4096, then 11 subsets                   yes
``low-leak``      2^b                 2^(b + 4)             nothing                                           yes
``low-latency``   2^b                 2^(b + 3)             nothing                                           yes
================  ==================  ====================  ================================================  ==========

a = log2(1/Q), b = a rounded; a subset check stands for a pass with blocks of half the frame, whose second parity is
inferred. Every variant ends with the tag; "repairs" says that what the tag shows to be wrong is searched further.
The two last are our own: two passes, the tag, and repairs disclose less than more passes or checks would.

Sources: Brassard, Salvail 1993; Sugimoto, Yamazaki 2000; Yan et al. 2008; Martinez-Mateo et al. 2015
(arXiv:1407.3257) for opt3 to opt8, which counts 10 (yanetal), 16 (opt3, opt4) and 14 (opt7, opt8) passes in all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

MAX_HEIGHT = 17
"""Largest block: 2^17 slots; three words of six heights each hold a branch."""

MAX_REPAIRS = 63
"""Repairs of a frame before it is given up: with the first comparison, 64 chances for unequal bits to pass."""

SHORT = 4000
"""Frames shorter than this do with other blocks in the two-pass variants: fewer errors survive, a check costs more."""


@dataclass(frozen=True)
class Preset:
    """One variant.

    Attributes:
        blocks: (error rate, bits of a frame) to the block size of each pass, not yet capped to the frame.
        reuse: Whether halves that searches disclose are used again, not only whole blocks.
        infer: Whether the last block of a later pass is inferred from the frame's parity.
        checks: Random subsets to compare after the passes.
        in_a_row: Whether so many of them must be clean one after another.
        repairs: Repairs after the tag.
    """

    blocks: Callable[[float, int], list[int]]
    reuse: bool = True
    infer: bool = True
    checks: int = 0
    in_a_row: bool = False
    repairs: int = MAX_REPAIRS


def _original(qber: float, _: int) -> list[int]:
    first = math.ceil(0.73 / qber)
    return [first, 2 * first, 4 * first, 8 * first]


def _multiple(expected: float, factor: int) -> Callable[[float, int], list[int]]:
    def blocks(qber: float, _: int) -> list[int]:
        first = math.ceil(expected / qber)
        return [first, factor * first]

    return blocks


def _opt7(qber: float, _: int) -> list[int]:
    first = math.ceil(-math.log2(qber))
    return [1 << first, 4 << first]


def _opt8(qber: float, _: int) -> list[int]:
    a = -math.log2(qber)
    return [1 << math.ceil(a - 0.5), 1 << math.ceil((a + 11.5) / 2), 4096]


def _two_passes(step: int) -> Callable[[float, int], list[int]]:
    def blocks(qber: float, bits: int) -> list[int]:
        a = -math.log2(qber)
        if bits < SHORT:
            first = max(2, math.floor(a + 0.1))
            return [1 << first, 1 << max(6, first + 2)]
        first = max(2, round(a))
        return [1 << first, 1 << (first + step)]

    return blocks


PRESETS = {
    "original": Preset(_original, reuse=False, infer=False, repairs=0),
    "paper-dc": Preset(_original, reuse=False, infer=False, repairs=0),
    "biconf": Preset(_multiple(0.92, 3), reuse=False, checks=10, in_a_row=True),
    "yanetal": Preset(_multiple(0.80, 5), reuse=False, checks=8),
    "opt3": Preset(_multiple(1.0, 2), reuse=False, checks=14),
    "opt4": Preset(_multiple(1.0, 2), checks=14),
    "opt7": Preset(_opt7, checks=12),
    "opt8": Preset(_opt8, checks=11),
    "low-leak": Preset(_two_passes(4)),
    "low-latency": Preset(_two_passes(3)),
}
"""The variants by the name that ``reconciliation`` takes in a scenario."""


def error_rate(errors: int, sample: int) -> float:
    """Return the estimate that block sizes follow; no errors count as half a one, for a sample can't show less.

    Any estimate corrects; a wrong one costs bits (too high) or rounds (too low).

    >>> error_rate(0, 1000)
    0.0005
    """
    return min(max(errors, 0.5) / max(sample, 1), 0.5)


def block_sizes(name: str, qber: float, bits: int) -> list[int]:
    """Return the block size of each pass of a preset.

    Args:
        name: One of :data:`PRESETS`.
        qber: Estimate, in (0, 0.5].
        bits: Bits of a frame, >= 1.

    A block holds at most half of the frame, or a pass would have nothing to compare.

    >>> block_sizes("original", 0.064, 1832), block_sizes("low-latency", 0.064, 65536)
    ([12, 24, 48, 96], [16, 128])
    """
    half = min((bits + 1) // 2, 1 << MAX_HEIGHT)
    sizes = PRESETS[name].blocks(qber, bits)
    if all(size & (size - 1) == 0 for size in sizes):  # powers of two stay powers of two
        half = 1 << (half.bit_length() - 1)
    return [min(size, half) for size in sizes]
