"""Products of polynomials over GF(2) by the processor's carry-less multiplication, for numba kernels.

Rules:

1. numba has no such operation, so this module alone writes LLVM instructions; one takes :data:`LANES` words.
2. A processor without them has ``LANES == 0``, and nothing here may be called: LLVM would stop the process. Callers
   keep a portable way, and the tests run both.
3. The instructions take the same time whatever they multiply, so nothing here depends on secrets but the result.

Polynomials are little-endian arrays of uint64: bit i of word w is the coefficient of x^(64 w + i).
"""

from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

Words = NDArray[np.uint64]

cgutils: Any = untyped_cgutils
types: Any = numba.types
config: Any = numba.config


def supported_lanes() -> int:
    """Return how many words this processor's widest carry-less multiplication takes: 8, 4, 2, or 0 without any."""
    if config.DISABLE_JIT:
        return 0
    if config.CPU_FEATURES is not None:  # numba was told what to compile for (NUMBA_CPU_FEATURES)
        has = {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    elif config.CPU_NAME is not None:  # for another processor than this one: unknown
        has = set()
    else:
        has = {name for name, there in binding.get_host_cpu_features().items() if there}
    if "pclmul" not in has:
        return 0
    if not {"vpclmulqdq", "avx2"} <= has:
        return 2
    return 8 if "avx512f" in has else 4


LANES = supported_lanes()
"""Words that one instruction takes; 0 where the processor has none."""

REGISTERS = 4
"""Vectors that a tile of :func:`middle` keeps; as many products under way hide the instruction's latency."""

_NAMES = {2: "llvm.x86.pclmulqdq", 4: "llvm.x86.pclmulqdq.256", 8: "llvm.x86.pclmulqdq.512"}
_WORD = ir.IntType(64)


def _declared(builder: Any, lanes: int) -> Any:
    """Return LLVM's function that multiplies one word of each pair of the first vector by one of the second."""
    vector = ir.VectorType(_WORD, lanes)
    kind = ir.FunctionType(vector, [vector, vector, ir.IntType(8)])
    return cgutils.get_or_insert_function(builder.module, kind, _NAMES[lanes])


def _place(number: int) -> Any:
    return ir.Constant(ir.IntType(32), number)


def _multiply(typing_context: Any, one: Any, other: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        empty = ir.Constant(ir.VectorType(_WORD, 2), None)
        vectors = [builder.insert_element(empty, argument, _place(0)) for argument in arguments]
        product = builder.call(_declared(builder, 2), [*vectors, ir.Constant(ir.IntType(8), 0)])
        words = [builder.extract_element(product, _place(i)) for i in range(2)]
        return context.make_tuple(builder, signature.return_type, words)

    return types.UniTuple(types.uint64, 2)(types.uint64, types.uint64), generate


multiply: Any = intrinsic(_multiply)
"""(uint64, uint64) to (low word, high word) of their product; for numba kernels only."""


def _sum_tile(typing_context: Any, factor: Any, count: Any, other: Any, start: Any, sums: Any) -> Any:  # noqa: ARG001
    """Add up factor[i] * other[start - i + k] over i < count, for every k of a tile; see :func:`middle`.

    A vector of ``LANES`` words gives two of products, two words each: of its even words, then of its odd ones.
    """
    vector = ir.VectorType(_WORD, LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = [context.make_array(signature.args[i])(context, builder, value=arguments[i]).data for i in (0, 2, 4)]
        clmul = _declared(builder, LANES)
        kept = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(2 * REGISTERS)]
        with cgutils.for_range(builder, arguments[1]) as loop:
            word = builder.load(builder.gep(data[0], [loop.index]))
            first = builder.insert_element(ir.Constant(vector, ir.Undefined), word, _place(0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
            spread = builder.shuffle_vector(first, first, zeros)
            near = builder.gep(data[1], [builder.sub(arguments[3], loop.index)])
            for register in range(REGISTERS):
                place = builder.gep(near, [ir.Constant(_WORD, register * LANES)])
                words = builder.load(builder.bitcast(place, vector.as_pointer()), align=8)
                for odd in range(2):
                    slot = kept[2 * register + odd]
                    product = builder.call(clmul, [words, spread, ir.Constant(ir.IntType(8), odd)])
                    builder.store(builder.xor(builder.load(slot), product), slot)
        for i, slot in enumerate(kept):
            place = builder.gep(data[2], [ir.Constant(_WORD, i * LANES)])
            builder.store(builder.load(slot), builder.bitcast(place, vector.as_pointer()), align=8)
        return context.get_dummy_value()

    array = types.Array(types.uint64, 1, "C")
    return types.void(array, types.int64, array, types.int64, array), generate


_tile: Any = intrinsic(_sum_tile)


@numba.njit(cache=True, nogil=True)  # the cache on disk is kept by processor and features, as ``LANES`` is
def write_middle(factor: Words, other: Words, first: int, out: Words) -> None:
    """Write words ``first``, ``first`` + 1, ... of the product to ``out``; see :func:`middle`.

    It returns no array: a function loaded from numba's cache can't, once another one that calls it has been loaded.
    """
    tile = REGISTERS * LANES
    front = factor.size  # zeros on both sides of the other factor, so that a tile needs no bounds
    padded = np.zeros(front + max(other.size, first + out.size) + tile, np.uint64)
    padded[front : front + other.size] = other
    sums = np.empty(2 * tile, np.uint64)
    above = np.uint64(0)  # high word of the product before; that before the first one is computed, but not put out
    for base in range(0, out.size + 1, tile):
        _tile(factor, factor.size, padded, front + first - 1 + base, sums)
        for k in range(min(tile, out.size + 1 - base)):
            place = (k // LANES) * 2 * LANES + (k & 1) * LANES + (k % LANES & ~1)
            if base + k:
                out[base + k - 1] = sums[place] ^ above
            above = sums[place + 1]


def middle(factor: Words, other: Words, first: int, count: int) -> Words:
    """Return words ``first`` to ``first + count - 1`` of the product, by the schoolbook: shape (count,).

    Args:
        factor: Shape (n,), n >= 1.
        other: Shape (m,), m >= 1.
        first: Place of the first word, >= 0.
        count: Words, >= 1.
    """
    out = np.empty(count, np.uint64)
    write_middle(factor, other, first, out)
    return out
