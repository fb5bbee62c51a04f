"""Numba's view of memory at an address: planes are read where the decoder put them, without an array object per row.

Also the two sums whose shape LLVM knows: written as 32-bit integer arithmetic they become the processor's own
"sum of absolute differences" instruction (x86 PSADBW); numba's own operators would widen to 64 bit first.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[misc]
def samples_at(typing_context, address, like):  # type: ignore[no-untyped-def]
    """A pointer to samples of the type of `like` (np.uint8(0), np.uint16(0), np.int64(0)) at an int64 address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(types.int64, like), generate


@intrinsic  # type: ignore[misc]
def add_difference(typing_context, total, a, b):  # type: ignore[no-untyped-def]
    """`total + |a - b|` as int32; a and b are unsigned samples of at most 16 bit. The caller bounds the sum."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        difference = builder.sub(builder.zext(arguments[1], word), builder.zext(arguments[2], word))
        negative = builder.icmp_signed("<", difference, ir.Constant(word, 0))
        return builder.add(arguments[0], builder.select(negative, builder.neg(difference), difference))

    return types.int32(types.int32, a, b), generate


@intrinsic  # type: ignore[misc]
def add_sample(typing_context, total, a):  # type: ignore[no-untyped-def]
    """`total + a` as int32; a is an unsigned sample of at most 16 bit. The caller bounds the sum."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.add(arguments[0], builder.zext(arguments[1], ir.IntType(32)))

    return types.int32(types.int32, a), generate
